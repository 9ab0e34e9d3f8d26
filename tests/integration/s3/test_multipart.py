from __future__ import annotations

import base64
import hashlib
import zlib
from typing import Any

import pytest

from tests.integration.s3.calls import later, refused

MIB = 1024 * 1024
PARTS = [b"a" * (5 * MIB), b"b" * (5 * MIB + 1), b"end"]


def begin(s3: Any, bucket: str, **arguments: Any) -> dict[str, Any]:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", **arguments)["UploadId"]
    return {"Bucket": bucket, "Key": "k", "UploadId": upload}


def send(s3: Any, upload: dict[str, Any], parts: list[bytes], **arguments: Any) -> dict[str, Any]:
    """Send parts; what a completion then lists."""
    sent = []
    for number, body in enumerate(parts, 1):
        answer = s3.upload_part(**upload, PartNumber=number, Body=body, **arguments)
        checksums = {name: value for name, value in answer.items() if name.startswith("Checksum")}
        sent.append({"PartNumber": number, "ETag": answer["ETag"], **checksums})
    return {"Parts": sent}


def test_parts_become_an_object(s3: Any, versioned: str) -> None:
    upload = begin(s3, versioned, ContentType="text/plain", Metadata={"a": "b"})
    done = s3.complete_multipart_upload(**upload, MultipartUpload=send(s3, upload, PARTS))
    digests = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in PARTS)
    assert done["ETag"] == f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-3"'
    found = s3.get_object(Bucket=versioned, Key="k")
    assert (found["VersionId"], found["ETag"]) == (done["VersionId"], done["ETag"])
    assert (found["ContentType"], found["Metadata"]) == ("text/plain", {"a": "b"})
    assert found["Body"].read() == b"".join(PARTS)
    whole = b"".join(PARTS)
    piece = s3.get_object(Bucket=versioned, Key="k", Range=f"bytes={5 * MIB - 2}-{5 * MIB + 1}")
    assert piece["Body"].read() == whole[5 * MIB - 2 : 5 * MIB + 2]
    second = s3.get_object(Bucket=versioned, Key="k", PartNumber=2)
    assert (second["PartsCount"], second["Body"].read()) == (3, PARTS[1])
    assert refused(s3.upload_part, **upload, PartNumber=1, Body=b"x").brief == (404, "NoSuchUpload")


def test_a_part_sent_again_takes_the_place_of_the_first(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    first = send(s3, upload, [b"one"])
    second = send(s3, upload, [b"two"])
    refusal = refused(s3.complete_multipart_upload, **upload, MultipartUpload=first)
    assert refusal.brief == (400, "InvalidPart")
    s3.complete_multipart_upload(**upload, MultipartUpload=second)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"two"


def test_a_completion_names_parts_that_are_there_in_order(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    (first, second) = send(s3, upload, [b"1" * 5 * MIB, b"2"])["Parts"]
    for parts, code in (
        ([second, first], "InvalidPartOrder"),
        ([first, first], "InvalidPartOrder"),
        ([first, {"PartNumber": 3, "ETag": second["ETag"]}], "InvalidPart"),
        ([{"PartNumber": 1, "ETag": '"other"'}], "InvalidPart"),
        ([], "MalformedXML"),
    ):
        refusal = refused(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts})
        assert refusal.brief == (400, code)
    assert refused(s3.head_object, Bucket=bucket, Key="k").status == 404


def test_a_part_that_is_too_small_is_refused(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    parts = send(s3, upload, [b"small", b"end"])
    assert refused(s3.complete_multipart_upload, **upload, MultipartUpload=parts).brief == (400, "EntityTooSmall")


@pytest.mark.parametrize("number", [0, 10001])
def test_part_numbers_are_bounded(s3: Any, bucket: str, number: int) -> None:
    refusal = refused(s3.upload_part, **begin(s3, bucket), PartNumber=number, Body=b"x")
    assert refusal.brief == (400, "InvalidArgument")


def test_an_aborted_upload_is_gone(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    parts = send(s3, upload, [b"x"])
    assert s3.abort_multipart_upload(**upload)["ResponseMetadata"]["HTTPStatusCode"] == 204
    for call, arguments in (
        (s3.complete_multipart_upload, {"MultipartUpload": parts}),
        (s3.upload_part, {"PartNumber": 1, "Body": b"x"}),
        (s3.list_parts, {}),
        (s3.abort_multipart_upload, {}),
    ):
        assert refused(call, **upload, **arguments).brief == (404, "NoSuchUpload")


def test_completing_again_makes_nothing_new_and_says_what_was_made(s3: Any, locked: str) -> None:
    upload = begin(s3, locked)
    parts = send(s3, upload, [b"x"])
    first = s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    s3.put_object(Bucket=locked, Key=upload["Key"], Body=b"later")
    second = s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert (first["VersionId"], first["ETag"]) == (second["VersionId"], second["ETag"])
    assert len(s3.list_object_versions(Bucket=locked)["Versions"]) == 2


def test_parts_are_listed(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    send(s3, upload, [b"1", b"22", b"333"])
    page = s3.list_parts(**upload)
    assert [(each["PartNumber"], each["Size"]) for each in page["Parts"]] == [(1, 1), (2, 2), (3, 3)]
    assert page["Parts"][0]["ETag"] == f'"{hashlib.md5(b"1", usedforsecurity=False).hexdigest()}"'
    first = s3.list_parts(**upload, MaxParts=2)
    assert (first["IsTruncated"], first["NextPartNumberMarker"]) == (True, 2)
    rest = s3.list_parts(**upload, MaxParts=2, PartNumberMarker=2)
    assert (rest["IsTruncated"], [each["PartNumber"] for each in rest["Parts"]]) == (False, [3])


def test_uploads_are_listed(s3: Any, bucket: str) -> None:
    ids = [
        (key, s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]) for key in ("a", "a", "b/1", "b/2", "c")
    ]
    found = s3.list_multipart_uploads(Bucket=bucket)
    assert [(each["Key"], each["UploadId"]) for each in found["Uploads"]] == ids
    grouped = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [each["Prefix"] for each in grouped["CommonPrefixes"]] == ["b/"]
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, PaginationConfig={"PageSize": 2})
    assert [(each["Key"], each["UploadId"]) for page in pages for each in page.get("Uploads", [])] == ids


def test_an_upload_keeps_a_bucket_from_being_deleted(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    assert refused(s3.delete_bucket, Bucket=bucket).brief == (409, "BucketNotEmpty")
    s3.abort_multipart_upload(**upload)
    s3.delete_bucket(Bucket=bucket)


def test_the_lock_is_fixed_when_the_upload_is_begun(s3: Any, locked: str) -> None:
    until = later()
    upload = begin(
        s3, locked, ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until, ObjectLockLegalHoldStatus="ON"
    )
    s3.complete_multipart_upload(**upload, MultipartUpload=send(s3, upload, [b"x"]))
    found = s3.head_object(Bucket=locked, Key="k")
    assert (found["ObjectLockMode"], found["ObjectLockRetainUntilDate"]) == ("COMPLIANCE", until)
    assert found["ObjectLockLegalHoldStatus"] == "ON"


def test_if_none_match_counts_at_completion(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket)
    parts = send(s3, upload, [b"x"])
    s3.put_object(Bucket=bucket, Key="k", Body=b"first")
    refusal = refused(s3.complete_multipart_upload, **upload, MultipartUpload=parts, IfNoneMatch="*")
    assert refusal.brief == (412, "PreconditionFailed")


def test_a_composite_checksum(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket, ChecksumAlgorithm="SHA256")
    parts = send(s3, upload, PARTS, ChecksumAlgorithm="SHA256")
    done = s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    digests = b"".join(hashlib.sha256(part).digest() for part in PARTS)
    expected = f"{base64.b64encode(hashlib.sha256(digests).digest()).decode()}-3"
    assert (done["ChecksumSHA256"], done["ChecksumType"]) == (expected, "COMPOSITE")
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumSHA256"] == expected


def test_a_full_object_checksum(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    parts = send(s3, upload, PARTS, ChecksumAlgorithm="CRC32")
    expected = base64.b64encode(zlib.crc32(b"".join(PARTS)).to_bytes(4, "big")).decode()
    wrong = base64.b64encode(bytes(4)).decode()
    arguments = {**upload, "MultipartUpload": parts, "ChecksumType": "FULL_OBJECT"}
    assert refused(s3.complete_multipart_upload, **arguments, ChecksumCRC32=wrong).brief == (400, "BadDigest")
    done = s3.complete_multipart_upload(**arguments, ChecksumCRC32=expected)
    assert (done["ChecksumCRC32"], done["ChecksumType"]) == (expected, "FULL_OBJECT")


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("CRC64NVME", "COMPOSITE"), ("SHA1", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT")]
)
def test_a_type_that_an_algorithm_cannot_have_is_refused(s3: Any, bucket: str, algorithm: str, kind: str) -> None:
    refusal = refused(
        s3.create_multipart_upload, Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind
    )
    assert refusal.brief == (400, "InvalidRequest")
    assert f"The {kind} checksum type cannot be used" in refusal.message


def test_a_completion_of_another_checksum_type_is_refused(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket, ChecksumAlgorithm="CRC32", ChecksumType="COMPOSITE")
    parts = send(s3, upload, [b"x"], ChecksumAlgorithm="CRC32")
    refusal = refused(s3.complete_multipart_upload, **upload, MultipartUpload=parts, ChecksumType="FULL_OBJECT")
    assert refusal.brief == (400, "InvalidRequest")


def test_a_composite_completion_names_each_checksum(s3: Any, bucket: str) -> None:
    upload = begin(s3, bucket, ChecksumAlgorithm="CRC32", ChecksumType="COMPOSITE")
    (part,) = send(s3, upload, [b"x"], ChecksumAlgorithm="CRC32")["Parts"]
    bare = {"PartNumber": 1, "ETag": part["ETag"]}
    refusal = refused(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": [bare]})
    assert refusal.brief == (400, "InvalidRequest")
