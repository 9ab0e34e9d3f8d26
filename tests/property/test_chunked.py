"""The framing of a body comes off in any pieces, and what is signed cannot be changed."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.s3.signer import NOW, Signer, lookup
from vault.errors import S3Error
from vault.s3.authorization import Payload
from vault.s3.chunked import MIN_CHUNK_BYTES, ChunkedDecoder, announced_trailers, decoder, strip_aws_chunked
from vault.s3.sigv4 import Verified, verify

SIGNED = [Payload.STREAMING, Payload.STREAMING_TRAILER]


def verified(mode: Payload) -> Verified[str]:
    request = Signer().header(payload=mode.value)
    return verify(request.method, request.path, request.query, request.headers, now=NOW, lookup=lookup)


VERIFIED = {mode: verified(mode) for mode in (*SIGNED, Payload.STREAMING_UNSIGNED_TRAILER)}


@dataclass
class Stream:
    mode: Payload
    payload: bytes
    trailers: dict[str, str]
    body: bytes

    def decoder(self) -> ChunkedDecoder:
        announced = ",".join(self.trailers).encode() or None
        return decoder(VERIFIED[self.mode], str(len(self.payload)).encode(), announced)


@st.composite
def streams(draw: st.DrawFn, modes: list[Payload]) -> Stream:
    mode = draw(st.sampled_from(modes))
    # Full chunks are cut from one pattern: drawing their bytes one by one would only cost time.
    pattern = draw(st.binary(min_size=1, max_size=40))
    sizes = draw(st.lists(st.integers(MIN_CHUNK_BYTES, MIN_CHUNK_BYTES + 200), max_size=2))
    chunks = [(pattern * size)[:size] for size in sizes]
    last = draw(st.binary(max_size=60))
    if last:
        chunks.append(last)
    names = st.from_regex(r"x-amz-[a-z0-9-]{1,9}", fullmatch=True).filter(lambda n: n != "x-amz-trailer-signature")
    trailers = {}
    if mode is not Payload.STREAMING:
        trailers = draw(st.dictionaries(names, st.from_regex(r"[A-Za-z0-9+/]{0,9}={0,2}", fullmatch=True), max_size=3))
    seed = None if mode is Payload.STREAMING_UNSIGNED_TRAILER else VERIFIED[mode].seed_signature
    body = Signer().body(seed, chunks, trailers, sign_trailers=mode is Payload.STREAMING_TRAILER)
    return Stream(mode, b"".join(chunks), trailers, body)


def decode(stream: Stream, body: bytes, cuts: list[int]) -> tuple[bytes, dict[str, str]]:
    made = stream.decoder()
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    payload = b"".join(piece for start, end in itertools.pairwise(places) for piece in made.feed(body[start:end]))
    return payload, made.finish()


CUTS = st.lists(st.integers(min_value=0, max_value=2**20), max_size=20)


@given(streams([*VERIFIED]), CUTS)
def test_any_stream_decodes_in_any_pieces(stream: Stream, cuts: list[int]) -> None:
    assert decode(stream, stream.body, cuts) == (stream.payload, stream.trailers)


@given(streams(SIGNED), st.integers(min_value=0, max_value=2**24), CUTS)
def test_a_flipped_bit_in_a_signed_stream_never_changes_what_comes_out(
    stream: Stream, bit: int, cuts: list[int]
) -> None:
    at, shift = divmod(bit % (8 * len(stream.body)), 8)
    changed = stream.body[:at] + bytes([stream.body[at] ^ 1 << shift]) + stream.body[at + 1 :]

    try:
        result = decode(stream, changed, cuts)
    except S3Error:
        return
    assert result == (stream.payload, stream.trailers)


@given(streams([*VERIFIED]), st.integers(min_value=0, max_value=2**20))
def test_a_stream_cut_short_never_passes_as_another(stream: Stream, end: int) -> None:
    try:
        result = decode(stream, stream.body[: end % len(stream.body)], [])
    except S3Error:
        return
    assert result[0] == stream.payload
    assert result[1].keys() == stream.trailers.keys()


PARTS = st.sampled_from(
    [b"0", b"3", b"\r\n", b"\n", b"abc", b";chunk-signature=", b"0" * 64, b"x-amz-a:", b":", b"z" * 900]
)


@given(
    st.sampled_from([*VERIFIED]),
    st.integers(min_value=0, max_value=6),
    st.lists(st.lists(PARTS | st.binary(max_size=3), max_size=6).map(b"".join), max_size=8),
)
def test_garbage_gives_our_errors_and_no_more_than_was_announced(mode: Payload, length: int, data: list[bytes]) -> None:
    stream = decoder(VERIFIED[mode], str(length).encode(), None)
    payload = b""
    refusal = None
    try:
        for piece in data:
            payload += b"".join(stream.feed(piece))
        stream.finish()
    except S3Error as error:
        refusal = error

    assert len(payload) <= length
    assert len(payload) == length or refusal is not None


@given(st.binary(max_size=40))
def test_a_header_of_announced_trailers_gives_names_or_our_error(value: bytes) -> None:
    try:
        names = announced_trailers(value)
    except S3Error:
        return
    assert len(set(names)) == len(names) > 0
    assert all(name == name.lower().strip() for name in names)


@given(st.text(max_size=30))
def test_a_stored_content_encoding_never_names_the_transports_coding(value: str) -> None:
    kept = strip_aws_chunked(value)

    assert kept is None or "aws-chunked" not in [coding.strip().lower() for coding in kept.split(",")]
