from __future__ import annotations

import base64
import hashlib
import zlib

import pytest

from vault.checksums import (
    ALGORITHMS,
    Algorithm,
    BodyDigests,
    Checksum,
    ChecksumType,
    find_algorithm,
    from_base64,
    multipart_checksum,
    multipart_type,
    parse_checksum,
)
from vault.errors import S3Error

EVERY = list(ALGORITHMS.values())
CRC32 = ALGORITHMS["CRC32"]


def checksum(algorithm: Algorithm, data: bytes) -> Checksum:
    digest = algorithm.new()
    digest.update(data)
    return Checksum(algorithm, digest.digest())


@pytest.mark.parametrize("name", ["crc32", "CRC32", "Crc32"])
def test_an_algorithm_is_found_in_any_case(name: str) -> None:
    assert find_algorithm(name) is CRC32


@pytest.mark.parametrize("name", ["", "CRC16", "SHA3-256", "crc32 "])
def test_an_unknown_algorithm_is_not_implemented(name: str) -> None:
    with pytest.raises(S3Error) as caught:
        find_algorithm(name)

    assert (caught.value.s3_code, caught.value.http_status) == ("NotImplemented", 501)


def test_headers_carry_the_name_in_lower_case() -> None:
    assert ALGORITHMS["CRC64NVME"].header == "x-amz-checksum-crc64nvme"


@pytest.mark.parametrize("algorithm", EVERY, ids=lambda a: a.name)
def test_a_value_reads_back_as_written(algorithm: Algorithm) -> None:
    value = checksum(algorithm, b"hello")

    assert parse_checksum(algorithm, value.base64) == value


@pytest.mark.parametrize(
    "value", ["", "NSRBwg", "NSRBwg=", "NSRBwg===", "NSRBwh==", "NSRBwg==\n", " NSRBwg==", "NSRB_g==", "NSRBwgA=", "ü"]
)
def test_a_value_that_is_not_canonical_base64_of_the_right_size_is_refused(value: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_checksum(CRC32, value)

    assert caught.value.s3_code == "InvalidRequest"
    assert caught.value.message == "Value for x-amz-checksum-crc32 header is invalid."


def test_a_bad_trailing_value_says_that_it_was_trailing() -> None:
    with pytest.raises(S3Error, match=r"^Value for x-amz-checksum-crc32 trailing header is invalid\.$"):
        parse_checksum(CRC32, "", trailing=True)


def test_base64_reads_to_bytes() -> None:
    assert from_base64("AAEC") == b"\0\1\2"


@pytest.mark.parametrize("algorithm", [None, *EVERY], ids=lambda a: a.name if a else "none")
@pytest.mark.parametrize("step", [1, 700, 5000])
def test_all_digests_of_a_body_come_from_one_pass(algorithm: Algorithm | None, step: int) -> None:
    body = bytes(range(256)) * 19
    digests = BodyDigests(algorithm)

    for at in range(0, len(body), step):
        digests.update(memoryview(body)[at : at + step])

    assert digests.size == len(body)
    assert digests.md5 == hashlib.md5(body, usedforsecurity=False).digest()
    assert digests.sha256 == hashlib.sha256(body).digest()
    assert digests.checksum == (None if algorithm is None else checksum(algorithm, body))


def test_digests_of_nothing_are_those_of_the_empty_body() -> None:
    digests = BodyDigests(CRC32)

    assert digests.size == 0
    assert digests.md5.hex() == "d41d8cd98f00b204e9800998ecf8427e"
    assert digests.checksum == Checksum(CRC32, bytes(4))


@pytest.mark.parametrize(
    ("name", "default", "other"),
    [
        ("CRC32", "COMPOSITE", "FULL_OBJECT"),
        ("CRC32C", "COMPOSITE", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT", None),
        ("SHA1", "COMPOSITE", None),
        ("SHA256", "COMPOSITE", None),
        ("SHA512", "COMPOSITE", None),
        ("MD5", "COMPOSITE", None),
        ("XXHASH64", "COMPOSITE", None),
        ("XXHASH3", "COMPOSITE", None),
        ("XXHASH128", "COMPOSITE", None),
    ],
)
def test_each_algorithm_has_its_multipart_types(name: str, default: str, other: str | None) -> None:
    algorithm = ALGORITHMS[name]
    allowed = {default, other} - {None}

    assert multipart_type(algorithm, None) == default
    for kind in ChecksumType:
        if kind in allowed:
            assert multipart_type(algorithm, kind.value) is kind
        else:
            with pytest.raises(S3Error) as caught:
                multipart_type(algorithm, kind.value)
            assert caught.value.s3_code == "InvalidRequest"
            assert caught.value.message == (
                f"The {kind.value} checksum type cannot be used with the {name.lower()} checksum algorithm."
            )


@pytest.mark.parametrize("requested", ["", "composite", "FULL"])
def test_an_unknown_multipart_type_is_refused(requested: str) -> None:
    with pytest.raises(S3Error) as caught:
        multipart_type(CRC32, requested)

    assert caught.value.s3_code == "InvalidRequest"


def test_a_composite_checksum_is_that_of_the_parts_checksums_and_their_count() -> None:
    parts = [b"a" * 100, b"b" * 7, b""]
    digests = b"".join(hashlib.sha256(part).digest() for part in parts)

    value = multipart_checksum(
        ChecksumType.COMPOSITE, [(checksum(ALGORITHMS["SHA256"], part), len(part)) for part in parts]
    )

    assert value == base64.b64encode(hashlib.sha256(digests).digest()).decode() + "-3"


def test_a_full_object_checksum_is_that_of_the_whole_object() -> None:
    parts = [b"a" * 100, b"", b"b" * 7]

    value = multipart_checksum(ChecksumType.FULL_OBJECT, [(checksum(CRC32, part), len(part)) for part in parts])

    assert value == base64.b64encode(zlib.crc32(b"".join(parts)).to_bytes(4, "big")).decode()


def test_a_checksum_that_cannot_be_combined_is_not_made_up() -> None:
    with pytest.raises(S3Error) as caught:
        multipart_checksum(ChecksumType.FULL_OBJECT, [(checksum(ALGORITHMS["SHA1"], b"a"), 1)])

    assert caught.value.s3_code == "InvalidRequest"
