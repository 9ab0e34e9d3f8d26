from __future__ import annotations

import hashlib

import pytest

from vault.checksums import ALGORITHMS, BodyDigests, ChecksumType, parse_checksum, to_base64
from vault.errors import S3Error
from vault.s3.claims import (
    Claims,
    check_body,
    check_completion,
    checksum_header,
    read_claims,
    read_upload,
    require_algorithm,
)

BODY = b"abc"
MD5 = hashlib.md5(BODY, usedforsecurity=False).digest()
CRC = (b"x-amz-checksum-crc32", b"NSRBwg==")
SHA1 = (b"x-amz-checksum-sha1", b"qZk+NkcGgWq6PiVxeFDCbJzQ2J0=")
SDK = b"x-amz-sdk-checksum-algorithm"
TRAILER = "x-amz-checksum-crc32"
MULTIPLE = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."


def refused(headers: list[tuple[bytes, bytes]], trailers: tuple[str, ...] = ()) -> S3Error:
    with pytest.raises(S3Error) as caught:
        read_claims(headers, trailers)
    return caught.value


def digests(claims: Claims, body: bytes = BODY) -> BodyDigests:
    made = BodyDigests(claims.algorithm)
    made.update(body)
    return made


def test_a_request_may_claim_nothing() -> None:
    claims = read_claims([(b"host", b"x"), (b"x-amz-checksum-mode", b"ENABLED"), (b"x-amz-checksum-type", b"x")])

    assert claims == Claims()
    assert claims.algorithm is None
    check_body(claims, digests(claims, b"anything"))


def test_claims_in_headers_are_read() -> None:
    claims = read_claims([(b"content-md5", to_base64(MD5).encode()), (SDK, b"crc32"), CRC])

    assert claims == Claims(md5=MD5, checksum=parse_checksum(ALGORITHMS["CRC32"], "NSRBwg=="))
    assert claims.algorithm is ALGORITHMS["CRC32"]


def test_a_claim_in_a_trailer_is_announced() -> None:
    claims = read_claims([(SDK, b"CRC32")], (TRAILER,))

    assert claims == Claims(trailing=ALGORITHMS["CRC32"])
    assert claims.algorithm is ALGORITHMS["CRC32"]


@pytest.mark.parametrize("value", [b"", b"abc", to_base64(MD5[:15]).encode(), to_base64(MD5).encode()[:-1], b"\xff"])
def test_a_content_md5_that_is_not_base64_of_16_bytes_is_refused(value: bytes) -> None:
    assert refused([(b"content-md5", value)]).s3_code == "InvalidDigest"


def test_two_content_md5_are_refused() -> None:
    assert refused([(b"content-md5", to_base64(MD5).encode())] * 2).s3_code == "InvalidDigest"


@pytest.mark.parametrize("value", [b"", b"NSRBwg", b"!", b"AAAA"])
def test_a_malformed_checksum_is_refused(value: bytes) -> None:
    error = refused([(b"x-amz-checksum-crc32", value)])

    assert (error.s3_code, error.message) == ("InvalidRequest", "Value for x-amz-checksum-crc32 header is invalid.")


@pytest.mark.parametrize(
    ("headers", "trailers"),
    [([CRC, SHA1], ()), ([CRC, CRC], ()), ([CRC], (TRAILER,)), ([], (TRAILER, "x-amz-checksum-sha1"))],
)
def test_more_than_one_checksum_is_refused(headers: list[tuple[bytes, bytes]], trailers: tuple[str, ...]) -> None:
    error = refused(headers, trailers)

    assert (error.s3_code, error.message) == ("InvalidRequest", MULTIPLE)


@pytest.mark.parametrize(
    ("headers", "trailers"),
    [
        ([(b"x-amz-checksum-blake3", b"AAAA")], ()),
        ([(b"x-amz-checksum-", b"AAAA")], ()),
        ([(b"x-amz-checksum-\xff", b"AAAA")], ()),
        ([(SDK, b"BLAKE3")], ()),
        ([CRC, (SDK, b"BLAKE3")], ()),
        ([], ("x-amz-checksum-blake3",)),
    ],
)
def test_an_algorithm_we_do_not_have_is_never_ignored(
    headers: list[tuple[bytes, bytes]], trailers: tuple[str, ...]
) -> None:
    assert refused(headers, trailers).s3_code == "NotImplemented"


def test_another_trailer_than_a_checksum_is_refused() -> None:
    assert refused([], ("x-amz-meta-a",)).s3_code == "InvalidRequest"


def test_an_algorithm_may_be_asked_for_without_a_claim() -> None:
    claims = read_claims([(b"x-amz-checksum-algorithm", b"CRC32")])
    assert (claims.algorithm, claims.claimed) == (ALGORITHMS["CRC32"], None)
    check_body(claims, digests(claims, b"anything"))
    assert read_claims([(b"x-amz-checksum-algorithm", b"CRC32"), CRC]).claimed is ALGORITHMS["CRC32"]
    for other in ([CRC], []):
        sent = [(b"x-amz-checksum-algorithm", b"SHA1"), (b"x-amz-checksum-algorithm", b"CRC32"), *other]
        assert (refused(sent).s3_code, refused(sent).message) == ("InvalidRequest", MULTIPLE)


def test_an_sdk_algorithm_without_its_checksum_is_refused() -> None:
    error = refused([(SDK, b"CRC32")])

    assert error.s3_code == "InvalidRequest"
    assert error.message.startswith("x-amz-sdk-checksum-algorithm specified, but no corresponding")


@pytest.mark.parametrize(("headers", "trailers"), [([SHA1], ()), ([], ("x-amz-checksum-sha1",))])
def test_an_sdk_algorithm_other_than_its_checksum_is_refused(
    headers: list[tuple[bytes, bytes]], trailers: tuple[str, ...]
) -> None:
    error = refused([*headers, (SDK, b"CRC32")], trailers)

    assert error.message == "Value for x-amz-sdk-checksum-algorithm header is invalid."


def test_a_body_that_is_as_claimed_passes() -> None:
    claims = read_claims([(b"content-md5", to_base64(MD5).encode()), CRC])
    check_body(claims, digests(claims), hashlib.sha256(BODY).hexdigest())

    trailing = read_claims([], (TRAILER,))
    check_body(trailing, digests(trailing), trailers={TRAILER: "NSRBwg=="})


@pytest.mark.parametrize(
    ("headers", "content_sha256", "code", "message"),
    [
        ([(b"content-md5", to_base64(MD5).encode())], None, "BadDigest", "The Content-MD5 you specified"),
        ([CRC], None, "BadDigest", "The CRC32 you specified did not match the calculated checksum."),
        ([SHA1], None, "BadDigest", "The SHA1 you specified did not match the calculated checksum."),
        ([], hashlib.sha256(BODY).hexdigest(), "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256'"),
    ],
)
def test_another_body_than_claimed_is_refused(
    headers: list[tuple[bytes, bytes]], content_sha256: str | None, code: str, message: str
) -> None:
    claims = read_claims(headers)
    with pytest.raises(S3Error) as caught:
        check_body(claims, digests(claims, b"abd"), content_sha256)

    assert caught.value.s3_code == code
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize(
    ("trailers", "code"),
    [({TRAILER: "AAAAAA=="}, "BadDigest"), ({TRAILER: "AAA"}, "InvalidRequest"), ({}, "InvalidRequest")],
)
def test_another_trailing_checksum_than_the_bodys_is_refused(trailers: dict[str, str], code: str) -> None:
    claims = read_claims([], (TRAILER,))
    with pytest.raises(S3Error) as caught:
        check_body(claims, digests(claims), trailers=trailers)

    assert caught.value.s3_code == code


def test_a_body_digested_otherwise_than_claimed_does_not_pass() -> None:
    with pytest.raises(S3Error) as caught:
        check_body(read_claims([CRC]), BodyDigests(None))

    assert caught.value.s3_code == "BadDigest"


def test_the_checksum_of_a_whole_multipart_object_is_found_unparsed() -> None:
    assert checksum_header([(b"x-amz-checksum-crc32", b" NSRBwg==-2 ")]) == (ALGORITHMS["CRC32"], "NSRBwg==-2")
    assert checksum_header([(b"x-amz-checksum-type", b"COMPOSITE")]) is None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"algorithm": "crc32"}, ("CRC32", "COMPOSITE")),
        ({"algorithm": "CRC32", "type": "FULL_OBJECT"}, ("CRC32", "FULL_OBJECT")),
        ({"algorithm": "CRC64NVME"}, ("CRC64NVME", "FULL_OBJECT")),
    ],
)
def test_the_checksum_of_an_upload_is_read(headers: dict[str, str], expected: tuple[str, str] | None) -> None:
    found = read_upload([(f"x-amz-checksum-{name}".encode(), value.encode()) for name, value in headers.items()])

    assert (None if found is None else (found[0].name, found[1].value)) == expected


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([(b"x-amz-checksum-type", b"FULL_OBJECT")], "InvalidRequest"),
        ([(b"x-amz-checksum-algorithm", b"SHA1"), (b"x-amz-checksum-type", b"FULL_OBJECT")], "InvalidRequest"),
        ([(b"x-amz-checksum-algorithm", b"BLAKE3")], "NotImplemented"),
        ([(b"x-amz-checksum-algorithm", b"CRC32")] * 2, "InvalidRequest"),
    ],
)
def test_an_upload_that_cannot_have_its_checksum_is_refused(headers: list[tuple[bytes, bytes]], code: str) -> None:
    with pytest.raises(S3Error) as caught:
        read_upload(headers)

    assert caught.value.s3_code == code


@pytest.mark.parametrize(
    ("created", "requested", "parts"),
    [
        (ChecksumType.COMPOSITE, None, {1: {"CRC32": "NSRBwg=="}}),
        (ChecksumType.COMPOSITE, "COMPOSITE", {1: {"CRC32": "NSRBwg=="}}),
        (ChecksumType.FULL_OBJECT, None, {1: {}, 2: {"CRC32": "NSRBwg=="}}),
    ],
)
def test_a_completion_of_the_uploads_kind_passes(
    created: ChecksumType, requested: str | None, parts: dict[int, dict[str, str]]
) -> None:
    check_completion(ALGORITHMS["CRC32"], created, requested, parts)


@pytest.mark.parametrize(
    ("created", "requested", "parts", "message"),
    [
        (
            ChecksumType.FULL_OBJECT,
            "COMPOSITE",
            {1: {}},
            (
                "The upload was created using the FULL_OBJECT checksum mode. "
                "The complete request must use the same checksum mode."
            ),
        ),
        (
            ChecksumType.COMPOSITE,
            None,
            {1: {"CRC32": "NSRBwg=="}, 2: {}},
            (
                "The upload was created using a crc32 checksum. The complete request must include the checksum for "
                "each part. It was missing for part 2 in the request."
            ),
        ),
        (
            ChecksumType.FULL_OBJECT,
            None,
            {1: {"SHA1": "x"}},
            "Checksum Type mismatch occurred, expected checksum Type: crc32, actual checksum Type: sha1",
        ),
    ],
)
def test_a_completion_of_another_kind_is_refused(
    created: ChecksumType, requested: str | None, parts: dict[int, dict[str, str]], message: str
) -> None:
    with pytest.raises(S3Error) as caught:
        check_completion(ALGORITHMS["CRC32"], created, requested, parts)

    assert (caught.value.s3_code, caught.value.message) == ("InvalidRequest", message)


def test_a_part_of_another_algorithm_than_its_upload_is_refused() -> None:
    require_algorithm(ALGORITHMS["CRC32"], ALGORITHMS["CRC32"])
    with pytest.raises(S3Error, match="expected checksum Type: crc32, actual checksum Type: crc32c"):
        require_algorithm(ALGORITHMS["CRC32"], ALGORITHMS["CRC32C"])
