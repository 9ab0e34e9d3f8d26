"""Digests do not depend on how the bytes came, nor full-object checksums on how the object was cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vault.checksums import (
    ALGORITHMS,
    Algorithm,
    BodyDigests,
    Checksum,
    ChecksumType,
    multipart_checksum,
    parse_checksum,
)
from vault.errors import S3Error
from vault.s3.claims import read_claims, read_upload

CRCS = [algorithm for algorithm in ALGORITHMS.values() if algorithm.combine is not None]
PIECES = st.lists(st.binary(max_size=300), max_size=6)


def checksum(algorithm: Algorithm, data: bytes) -> Checksum:
    digest = algorithm.new()
    digest.update(data)
    return Checksum(algorithm, digest.digest())


@given(st.sampled_from([*ALGORITHMS.values()]), PIECES)
def test_digests_do_not_depend_on_how_the_bytes_came(algorithm: Algorithm, pieces: list[bytes]) -> None:
    digests, whole = BodyDigests(algorithm), BodyDigests(algorithm)

    for piece in pieces:
        digests.update(memoryview(piece))
    whole.update(b"".join(pieces))

    assert (digests.size, digests.md5, digests.sha256) == (whole.size, whole.md5, whole.sha256)
    assert digests.checksum == whole.checksum == checksum(algorithm, b"".join(pieces))


@given(st.sampled_from(CRCS), PIECES.filter(bool))
def test_a_full_object_checksum_does_not_depend_on_the_parts(algorithm: Algorithm, parts: list[bytes]) -> None:
    value = multipart_checksum(ChecksumType.FULL_OBJECT, [(checksum(algorithm, part), len(part)) for part in parts])

    assert value == checksum(algorithm, b"".join(parts)).base64


# No part is empty: awscrt takes the CRC of an empty one for granted.
SIZES = st.integers(min_value=1, max_value=5 * 2**40)


@given(st.sampled_from(CRCS), st.lists(st.tuples(st.binary(min_size=8, max_size=8), SIZES), min_size=3, max_size=3))
def test_combining_parts_of_any_size_is_associative(algorithm: Algorithm, parts: list[tuple[bytes, int]]) -> None:
    checksums = [(Checksum(algorithm, digest[: algorithm.size]), size) for digest, size in parts]

    def combined(*some: tuple[Checksum, int]) -> tuple[Checksum, int]:
        value = multipart_checksum(ChecksumType.FULL_OBJECT, some)
        return parse_checksum(algorithm, value), sum(size for _, size in some)

    first, second, third = checksums
    assert combined(combined(first, second), third) == combined(first, combined(second, third))


HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                b"content-md5",
                b"x-amz-checksum-crc32",
                b"x-amz-checksum-blake3",
                b"x-amz-checksum-algorithm",
                b"x-amz-checksum-type",
                b"x-amz-sdk-checksum-algorithm",
            ]
        ),
        st.sampled_from([b"NSRBwg==", b"CRC32", b"SHA1", b"COMPOSITE", b"1B2M2Y8AsgTpgAmY7PhCfg=="])
        | st.binary(max_size=9),
    ),
    max_size=3,
)


@given(
    HEADERS,
    st.lists(st.sampled_from(["x-amz-checksum-crc32", "x-amz-checksum-", "x"]) | st.text(max_size=5), max_size=2),
)
def test_claims_are_well_formed_or_refused(headers: list[tuple[bytes, bytes]], trailers: list[str]) -> None:
    try:
        claims = read_claims(headers, trailers)
    except S3Error:
        return
    assert claims.md5 is None or len(claims.md5) == 16
    assert b"x-amz-checksum-blake3" not in dict(headers)
    if claims.checksum is not None:
        assert dict(headers)[claims.checksum.algorithm.header.encode()].strip() == claims.checksum.base64.encode()


@given(HEADERS)
def test_the_checksum_of_an_upload_is_well_formed_or_refused(headers: list[tuple[bytes, bytes]]) -> None:
    try:
        found = read_upload(headers)
    except S3Error:
        return
    assert (found is None) == (b"x-amz-checksum-algorithm" not in dict(headers))


@given(st.sampled_from([*ALGORITHMS.values()]), st.text(max_size=100))
def test_a_value_is_canonical_or_refused(algorithm: Algorithm, value: str) -> None:
    try:
        read = parse_checksum(algorithm, value)
    except S3Error:
        return
    assert read.base64 == value
