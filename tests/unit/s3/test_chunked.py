from __future__ import annotations

import pytest

from tests.unit.s3.signer import NOW, Signer, lookup
from vault.errors import S3Error
from vault.s3.authorization import Payload
from vault.s3.chunked import (
    MAX_BODY_BYTES,
    MAX_EMPTY_LINES,
    MAX_LINE_BYTES,
    MAX_TRAILERS,
    MIN_CHUNK_BYTES,
    ChunkedDecoder,
    announced_trailers,
    decoder,
    strip_aws_chunked,
)
from vault.s3.sigv4 import Verified, verify

CRC = "x-amz-checksum-crc32"
FULL = b"x" * MIN_CHUNK_BYTES
STREAMS = [Payload.STREAMING, Payload.STREAMING_TRAILER, Payload.STREAMING_UNSIGNED_TRAILER]


def verified(mode: Payload) -> Verified[str]:
    request = Signer().header(payload=mode.value)
    return verify(request.method, request.path, request.query, request.headers, now=NOW, lookup=lookup)


def framed(mode: Payload, chunks: list[bytes], trailers: dict[str, str] | None = None) -> bytes:
    seed = None if mode is Payload.STREAMING_UNSIGNED_TRAILER else verified(mode).seed_signature
    return Signer().body(seed, chunks, trailers or {}, sign_trailers=mode is Payload.STREAMING_TRAILER)


def decode(mode: Payload, body: bytes, length: int, announced: str | None = None) -> tuple[bytes, dict[str, str]]:
    stream = decoder(verified(mode), str(length).encode(), announced.encode() if announced else None)
    payload = b"".join(stream.feed(body))
    return payload, stream.finish()


def refused(mode: Payload, body: bytes, length: int, announced: str | None = None) -> S3Error:
    with pytest.raises(S3Error) as caught:
        decode(mode, body, length, announced)
    return caught.value


@pytest.mark.parametrize("mode", STREAMS)
@pytest.mark.parametrize("chunks", [[], [b"abc"], [FULL], [FULL, FULL + b"y", b"z"]])
def test_payload_and_trailers_come_out_as_they_went_in(mode: Payload, chunks: list[bytes]) -> None:
    trailers = {} if mode is Payload.STREAMING else {CRC: "NSRBwg=="}
    payload = b"".join(chunks)

    result = decode(mode, framed(mode, chunks, trailers), len(payload), CRC if trailers else None)

    assert result == (payload, trailers)


def test_the_body_that_boto3_sends_over_tls_decodes() -> None:
    body = b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n"

    assert decode(Payload.STREAMING_UNSIGNED_TRAILER, body, 3, CRC) == (b"abc", {CRC: "NSRBwg=="})


@pytest.mark.parametrize(
    "ending",
    [
        b"x-amz-checksum-crc32:NSRBwg==\r\n\r\n",
        b"x-amz-checksum-crc32:NSRBwg==\r\n",
        b"x-amz-checksum-crc32:NSRBwg==\n\r\n\r\n",
        b"\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n",
        b"X-Amz-Checksum-Crc32 : NSRBwg== \r\n\r\n",
    ],
)
def test_each_ending_that_clients_are_known_to_send_is_accepted(ending: bytes) -> None:
    body = b"3\r\nabc\r\n0\r\n" + ending

    assert decode(Payload.STREAMING_UNSIGNED_TRAILER, body, 3, CRC) == (b"abc", {CRC: "NSRBwg=="})


def test_a_separator_before_the_trailer_signature_is_accepted() -> None:
    mode = Payload.STREAMING_TRAILER
    body = framed(mode, [b"abc"], {CRC: "NSRBwg=="}).replace(b"==\r\nx-amz-trailer", b"==\n\r\nx-amz-trailer")

    assert decode(mode, body, 3, CRC) == (b"abc", {CRC: "NSRBwg=="})


@pytest.mark.parametrize("ending", [b"", b"\r\n", b"\r\n\r\n"])
def test_signed_chunks_may_end_with_or_without_an_empty_line(ending: bytes) -> None:
    body = framed(Payload.STREAMING, [b"abc"]).removesuffix(b"\r\n") + ending

    assert decode(Payload.STREAMING, body, 3) == (b"abc", {})


def test_payload_is_handed_on_without_copying_or_waiting_for_the_chunk() -> None:
    stream = ChunkedDecoder(MAX_BODY_BYTES)
    data = f"{MAX_BODY_BYTES:x}\r\n".encode() + FULL

    (piece,) = stream.feed(data)

    assert piece.obj is data
    assert piece == FULL


@pytest.mark.parametrize("mode", [Payload.STREAMING, Payload.STREAMING_TRAILER])
@pytest.mark.parametrize("part", [b"chunk-signature=", b"\r\nx", b"\r\n0;chunk-signature="])
def test_a_change_in_a_signed_chunk_is_refused(mode: Payload, part: bytes) -> None:
    body = framed(mode, [FULL])
    at = body.index(part) + len(part)
    changed = body[:at] + (b"0" if body[at : at + 1] != b"0" else b"1") + body[at + 1 :]

    error = refused(mode, changed, len(FULL))

    assert (error.s3_code, error.reason) == ("SignatureDoesNotMatch", "chunk_signature")


def test_chunks_in_another_order_are_refused() -> None:
    body = framed(Payload.STREAMING, [FULL, FULL])
    size = body.index(b"\r\n" + b"2000;", 10) + 2

    assert refused(Payload.STREAMING, body[size : 2 * size] + body[:size] + body[2 * size :], 2 * len(FULL)).reason == (
        "chunk_signature"
    )


@pytest.mark.parametrize(("old", "new"), [(b"NSRBwg==", b"NSRBwA=="), (b"trailer-signature:", b"trailer-signature:0")])
def test_a_change_in_a_signed_trailer_is_refused(old: bytes, new: bytes) -> None:
    body = framed(Payload.STREAMING_TRAILER, [b"abc"], {CRC: "NSRBwg=="}).replace(old, new)

    error = refused(Payload.STREAMING_TRAILER, body, 3, CRC)

    assert (error.s3_code, error.reason) == ("SignatureDoesNotMatch", "trailer_signature")


@pytest.mark.parametrize("mode", STREAMS)
@pytest.mark.parametrize("length", [0, 2, 4, MAX_BODY_BYTES])
def test_another_length_than_announced_is_refused(mode: Payload, length: int) -> None:
    error = refused(mode, framed(mode, [b"abc"]), length)

    assert (error.s3_code, error.reason) == ("IncompleteBody", "decoded_length")


def test_more_than_was_announced_is_refused_before_it_is_handed_on() -> None:
    with pytest.raises(S3Error) as caught:
        ChunkedDecoder(2).feed(b"3\r\n")

    assert caught.value.reason == "decoded_length"


@pytest.mark.parametrize("rest", [b"\r", b"x-amz-checksum"])
def test_a_line_without_its_end_at_the_end_is_refused(rest: bytes) -> None:
    assert refused(Payload.STREAMING, framed(Payload.STREAMING, [b"abc"]) + rest, 3).reason == "truncated"


@pytest.mark.parametrize("mode", STREAMS)
def test_a_body_that_breaks_off_is_refused_wherever_it_does(mode: Payload) -> None:
    trailers = {} if mode is Payload.STREAMING else {CRC: "NSRBwg=="}
    announced = CRC if trailers else None
    body = framed(mode, [b"abc"], trailers).removesuffix(b"\r\n")

    assert decode(mode, body, 3, announced) == (b"abc", trailers)
    for end in range(len(body)):
        assert refused(mode, body[:end], 3, announced).s3_code in {"IncompleteBody", "InvalidRequest"}


def test_a_small_chunk_before_another_one_is_refused() -> None:
    error = refused(Payload.STREAMING, framed(Payload.STREAMING, [FULL[1:], b"x"]), len(FULL))

    assert error.s3_code == "InvalidChunkSizeError"


@pytest.mark.parametrize(
    "body",
    [
        b"3\nabc\r\n0\r\n\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"3\r\nabc\n0\r\n\r\n",
        b"3;chunk-signature=00\r\nabc\r\n0\r\n\r\n",
        b"-3\r\nabc\r\n0\r\n\r\n",
        b"+3\r\nabc\r\n0\r\n\r\n",
        b" 3\r\nabc\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"\xd9\xa3\r\nabc\r\n0\r\n\r\n",
        b"\r\n3\r\nabc\r\n0\r\n\r\n",
    ],
)
def test_a_malformed_chunk_is_refused(body: bytes) -> None:
    assert refused(Payload.STREAMING_UNSIGNED_TRAILER, body, 3).reason == "malformed_chunk"


def test_an_unsigned_chunk_where_signed_ones_are_due_is_refused() -> None:
    assert refused(Payload.STREAMING, b"3\r\nabc\r\n0\r\n\r\n", 3).reason == "malformed_chunk"


@pytest.mark.parametrize(
    "ending",
    [
        b"\r\n",
        b"x-amz-checksum-crc32:NSRBwg==\r\nx-amz-checksum-sha1:x\r\n\r\n",
        b"x-amz-checksum-crc32:NSRBwg==\r\nx-amz-checksum-crc32:NSRBwg==\r\n\r\n",
        b"x-amz-checksum-sha1:x\r\n\r\n",
        b"x-amz-checksum-crc32\r\n\r\n",
        b"x-amz-checksum-crc32:NSRBwg==\r\n\r\n0\r\n\r\n",
        b"x-amz-checksum-crc32:NSRBwg==\r\nx-amz-trailer-signature:00\r\n\r\n",
        b"x-amz-checksum-crc32:NSRBwg==\r\n" + b"\r\n" * (MAX_EMPTY_LINES + 1),
    ],
)
def test_trailers_other_than_announced_are_refused(ending: bytes) -> None:
    error = refused(Payload.STREAMING_UNSIGNED_TRAILER, b"3\r\nabc\r\n0\r\n" + ending, 3, CRC)

    assert error.reason == "malformed_trailer"


def test_signed_trailers_without_their_signature_are_refused() -> None:
    body = framed(Payload.STREAMING_TRAILER, [b"abc"], {CRC: "NSRBwg=="})

    unsigned = body[: body.index(b"x-amz-trailer-signature")] + b"\r\n"

    assert refused(Payload.STREAMING_TRAILER, unsigned, 3, CRC).reason == "malformed_trailer"


def test_a_trailer_behind_the_trailer_signature_is_refused() -> None:
    mode = Payload.STREAMING_TRAILER
    body = framed(mode, [b"abc"], {CRC: "NSRBwg=="})
    at, end = body.index(CRC.encode()), body.index(b"x-amz-trailer-signature")

    assert refused(mode, body[:at] + body[end:-2] + body[at:end] + b"\r\n", 3, CRC).reason == "malformed_trailer"


@pytest.mark.parametrize("start", [b"", b"0\r\n"])
def test_a_line_without_end_is_refused_before_it_fills_the_memory(start: bytes) -> None:
    stream = ChunkedDecoder(0)
    stream.feed(start)
    for _ in range(MAX_LINE_BYTES - 1):
        assert stream.feed(b"0") == []

    with pytest.raises(S3Error) as caught:
        stream.feed(b"0")

    assert caught.value.reason == "line_too_long"


def test_a_refused_decoder_stays_refused() -> None:
    stream = ChunkedDecoder(3)
    with pytest.raises(S3Error) as first:
        stream.feed(b"zzz\r\n")

    for again in (lambda: stream.feed(b"3\r\nabc\r\n0\r\n\r\n"), stream.finish):
        with pytest.raises(S3Error) as caught:
            again()
        assert caught.value is first.value


@pytest.mark.parametrize(
    ("length", "code"),
    [
        (None, "MissingContentLength"),
        (b"", "InvalidArgument"),
        (b"-1", "InvalidArgument"),
        (b"1_0", "InvalidArgument"),
        (b"\xb2", "InvalidArgument"),
        (b"9" * 16, "InvalidArgument"),
        (b"%d" % (MAX_BODY_BYTES + 1), "EntityTooLarge"),
    ],
)
def test_a_bad_decoded_length_is_refused(length: bytes | None, code: str) -> None:
    with pytest.raises(S3Error) as caught:
        decoder(verified(Payload.STREAMING), length, None)

    assert caught.value.s3_code == code


def test_trailers_cannot_be_announced_for_a_mode_without_them() -> None:
    with pytest.raises(S3Error) as caught:
        decoder(verified(Payload.STREAMING), b"3", CRC.encode())

    assert caught.value.s3_code == "InvalidRequest"


@pytest.mark.parametrize(
    ("value", "names"), [(None, ()), (b"X-Amz-Checksum-CRC32", (CRC,)), (b"a, x-amz-checksum-crc32", ("a", CRC))]
)
def test_announced_trailers_are_read_in_lower_case(value: bytes | None, names: tuple[str, ...]) -> None:
    assert announced_trailers(value) == names


@pytest.mark.parametrize(
    "value", [b"", b"a,,b", b"a,a", b"a b", b"a:b", b"\xe4", b",".join([b"%d"] * 9) % (*range(9),)]
)
def test_malformed_announcements_are_refused(value: bytes) -> None:
    assert MAX_TRAILERS < 9
    with pytest.raises(S3Error) as caught:
        announced_trailers(value)

    assert caught.value.s3_code == "InvalidRequest"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("gzip", "gzip"),
        ("deflate,gzip", "deflate,gzip"),
        ("aws-chunked", None),
        ("AWS-Chunked", None),
        ("aws-chunked,", None),
        ("aws-chunked, aws-chunked", None),
        ("aws-chunked,gzip", "gzip"),
        ("gzip, aws-chunked", "gzip"),
        ("deflate, aws-chunked,gzip", "deflate, gzip"),
        ("aws-chunkedx", "aws-chunkedx"),
    ],
)
def test_the_transports_coding_is_taken_out_of_the_content_encoding(sent: str, kept: str | None) -> None:
    assert strip_aws_chunked(sent) == kept
