from __future__ import annotations

import base64
import hashlib
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.s3.calls import later, raw, refused, soon

if TYPE_CHECKING:
    from tests.integration.served import Server

KEYS = [
    "a b", "a+b", "a/../b", "./a", "//x//y", "a/", "ü€𝄞", "a%20b", "a&b=c?d#e", "a\\b", '"quoted"', "<tag>", "~-._",
    "k" * 1024, "ü" * 512,
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_kept_as_it_is(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == b"x"
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]


def test_a_key_that_is_too_long_is_refused(s3: Any, bucket: str) -> None:
    assert refused(s3.put_object, Bucket=bucket, Key="k" * 1025).brief == (400, "KeyTooLongError")


def test_headers_and_metadata_come_back(s3: Any, bucket: str) -> None:
    stored = {
        "ContentType": "text/plain; charset=utf-8", "CacheControl": "no-cache", "ContentDisposition": "inline",
        "ContentEncoding": "gzip", "ContentLanguage": "de",
    }  # fmt: skip
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"one": "1", "Two": "a, b"}, **stored)
    found = s3.head_object(Bucket=bucket, Key="k")
    assert {name: found[name] for name in stored} == stored
    assert found["Metadata"] == {"one": "1", "two": "a, b"}


def test_metadata_is_bounded(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Metadata={"a": "x" * 2047})
    refusal = refused(s3.put_object, Bucket=bucket, Key="k", Metadata={"a": "x" * 2048})
    assert refusal.brief == (400, "MetadataTooLarge")


def test_the_etag_is_the_md5(s3: Any, bucket: str) -> None:
    answer = s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    assert answer["ETag"] == f'"{hashlib.md5(b"hello", usedforsecurity=False).hexdigest()}"'
    assert "VersionId" not in answer


@pytest.mark.parametrize("size", [0, 1, 128 * 1024 - 1, 128 * 1024, 128 * 1024 + 1, 5 * 1024 * 1024 + 1])
def test_a_body_of_any_size_comes_back(s3: Any, bucket: str, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + bytes(size % 256)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body


def test_versions_are_kept_where_the_bucket_keeps_them(s3: Any, versioned: str) -> None:
    first = s3.put_object(Bucket=versioned, Key="k", Body=b"1")["VersionId"]
    second = s3.put_object(Bucket=versioned, Key="k", Body=b"2")["VersionId"]
    assert first != second
    assert s3.get_object(Bucket=versioned, Key="k", VersionId=first)["Body"].read() == b"1"
    assert s3.get_object(Bucket=versioned, Key="k")["Body"].read() == b"2"


def test_a_suspended_bucket_has_one_null_version(s3: Any, versioned: str) -> None:
    kept = s3.put_object(Bucket=versioned, Key="k", Body=b"1")["VersionId"]
    s3.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Suspended"})
    for body in (b"2", b"3"):
        assert s3.put_object(Bucket=versioned, Key="k", Body=body)["VersionId"] == "null"
    assert {each["VersionId"] for each in s3.list_object_versions(Bucket=versioned)["Versions"]} == {kept, "null"}
    assert s3.get_object(Bucket=versioned, Key="k", VersionId="null")["Body"].read() == b"3"


def test_if_none_match_makes_a_key_once(s3: Any, versioned: str) -> None:
    s3.put_object(Bucket=versioned, Key="k", Body=b"1", IfNoneMatch="*")
    refusal = refused(s3.put_object, Bucket=versioned, Key="k", Body=b"2", IfNoneMatch="*")
    assert refusal.brief == (412, "PreconditionFailed")
    s3.delete_object(Bucket=versioned, Key="k")
    s3.put_object(Bucket=versioned, Key="k", Body=b"3", IfNoneMatch="*")


def test_if_match_replaces_what_the_client_knows(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)
    assert refused(s3.put_object, Bucket=bucket, Key="k", Body=b"3", IfMatch=etag).brief == (412, "PreconditionFailed")
    assert refused(s3.put_object, Bucket=bucket, Key="other", Body=b"3", IfMatch=etag).brief == (404, "NoSuchKey")


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_a_checksum_is_verified_kept_and_told(s3: Any, bucket: str, algorithm: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm=algorithm)
    name = f"Checksum{algorithm}"
    found = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert put[name] == found[name]
    assert found["ChecksumType"] == "FULL_OBJECT"
    assert name not in s3.head_object(Bucket=bucket, Key="k")


def test_a_wrong_checksum_is_refused(s3: Any, bucket: str) -> None:
    wrong = base64.b64encode(zlib.crc32(b"other").to_bytes(4, "big")).decode()
    refusal = refused(s3.put_object, Bucket=bucket, Key="k", Body=b"hello", ChecksumCRC32=wrong)
    assert refusal.brief == (400, "BadDigest")
    assert refusal.message == "The CRC32 you specified did not match the calculated checksum."
    assert refused(s3.head_object, Bucket=bucket, Key="k").status == 404


def test_a_checksum_that_is_none_is_refused(s3: Any, bucket: str) -> None:
    refusal = refused(s3.put_object, Bucket=bucket, Key="k", Body=b"hello", ChecksumCRC32="not base64")
    assert refusal.brief == (400, "InvalidRequest")
    assert refusal.message == "Value for x-amz-checksum-crc32 header is invalid."


def test_two_checksums_are_refused(server: Server, bucket: str) -> None:
    crc = base64.b64encode(zlib.crc32(b"hello").to_bytes(4, "big")).decode()
    sha = base64.b64encode(hashlib.sha256(b"hello").digest()).decode()
    headers = {"x-amz-checksum-crc32": crc, "x-amz-checksum-sha256": sha}
    answer = raw(server, "PUT", f"/{bucket}/k", headers, b"hello")
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert answer.message.startswith("Expecting a single x-amz-checksum- header")


def test_a_lock_comes_back(s3: Any, locked: str) -> None:
    until = later()
    s3.put_object(
        Bucket=locked, Key="k", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until,
        ObjectLockLegalHoldStatus="ON",
    )  # fmt: skip
    for found in (s3.head_object(Bucket=locked, Key="k"), s3.get_object(Bucket=locked, Key="k")):
        assert (found["ObjectLockMode"], found["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", until)
        assert found["ObjectLockLegalHoldStatus"] == "ON"


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        (
            {"x-amz-object-lock-mode": "GOVERNANCE"},
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
        ),
        (
            {"x-amz-object-lock-retain-until-date": "2140-01-01T00:00:00Z"},
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
        ),
        (
            {"x-amz-object-lock-mode": "abc", "x-amz-object-lock-retain-until-date": "2140-01-01T00:00:00Z"},
            "Unknown wormMode directive.",
        ),
        (
            {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "2020-01-01T00:00:00Z"},
            "The retain until date must be in the future!",
        ),
        (
            {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "soon"},
            "The retain until date must be provided in ISO 8601 format",
        ),
        ({"x-amz-object-lock-legal-hold": "on"}, "Legal Hold must be either of 'ON' or 'OFF'"),
    ],
)
def test_a_lock_that_is_none_is_refused(
    server: Server, s3: Any, locked: str, headers: dict[str, str], message: str
) -> None:
    md5 = base64.b64encode(hashlib.md5(b"x", usedforsecurity=False).digest()).decode()
    answer = raw(server, "PUT", f"/{locked}/k", headers | {"Content-MD5": md5}, b"x")
    assert (answer.status, answer.code, answer.message) == (400, "InvalidArgument", message)
    assert refused(s3.head_object, Bucket=locked, Key="k").status == 404


def test_a_lock_needs_a_bucket_that_locks(s3: Any, versioned: str) -> None:
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": later()}
    for asked in (lock, {"ObjectLockLegalHoldStatus": "ON"}):
        refusal = refused(s3.put_object, Bucket=versioned, Key="k", **asked)
        assert refusal.brief == (400, "InvalidRequest")
        assert refusal.message == "Bucket is missing Object Lock Configuration"


def test_a_lock_needs_a_checksum(server: Server, locked: str) -> None:
    answer = raw(server, "PUT", f"/{locked}/k", {"x-amz-object-lock-legal-hold": "ON"}, b"x")
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert "Content-MD5 OR x-amz-checksum- HTTP header is required" in answer.message


def test_a_date_far_away_is_kept(s3: Any, locked: str) -> None:
    until = later(41_000)  # beyond 2106, where 32 bits of seconds end
    s3.put_object(Bucket=locked, Key="k", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
    assert s3.head_object(Bucket=locked, Key="k")["ObjectLockRetainUntilDate"] == until


def test_a_date_that_has_passed_when_it_is_decided_is_refused(s3: Any, locked: str) -> None:
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": soon(-1)}
    assert refused(s3.put_object, Bucket=locked, Key="k", **lock).brief == (400, "InvalidArgument")
