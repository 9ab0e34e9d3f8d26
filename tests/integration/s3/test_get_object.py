from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.s3.calls import later, raw, refused

if TYPE_CHECKING:
    from tests.integration.served import Server

LARGE = bytes(range(256)) * 4096 * 3 + b"end"  # three chunks and a little


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    """A bucket with ``k`` (11 bytes) and ``large``."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello world", ContentType="text/plain")
    s3.put_object(Bucket=bucket, Key="large", Body=LARGE)
    return bucket


def test_what_is_not_there_is_told(s3: Any, versioned: str) -> None:
    s3.put_object(Bucket=versioned, Key="other")
    assert refused(s3.get_object, Bucket=versioned, Key="k").brief == (404, "NoSuchKey")
    assert refused(s3.head_object, Bucket=versioned, Key="k").status == 404
    unknown = "00000001" + "0" * 24
    refusal = refused(s3.get_object, Bucket=versioned, Key="other", VersionId=unknown)
    assert refusal.brief == (404, "NoSuchVersion")
    assert refused(s3.get_object, Bucket=versioned, Key="other", VersionId="x").brief == (400, "InvalidArgument")


def test_a_deleted_key_says_that_a_marker_hides_it(s3: Any, versioned: str) -> None:
    s3.put_object(Bucket=versioned, Key="k")
    marker = s3.delete_object(Bucket=versioned, Key="k")["VersionId"]
    hidden = refused(s3.get_object, Bucket=versioned, Key="k")
    assert hidden.brief == (404, "NoSuchKey")
    assert (hidden.headers["x-amz-delete-marker"], hidden.headers["x-amz-version-id"]) == ("true", marker)
    named = refused(s3.get_object, Bucket=versioned, Key="k", VersionId=marker)
    assert named.brief == (405, "MethodNotAllowed")
    assert named.headers["x-amz-delete-marker"] == "true"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-4", 0, 4), ("bytes=6-", 6, 10), ("bytes=-5", 6, 10), ("bytes=0-100", 0, 10), ("bytes=-100", 0, 10)],
)
def test_a_range(s3: Any, stored: str, asked: str, first: int, last: int) -> None:
    answer = s3.get_object(Bucket=stored, Key="k", Range=asked)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert answer["ContentRange"] == f"bytes {first}-{last}/11"
    assert answer["ContentLength"] == last - first + 1
    assert answer["Body"].read() == b"hello world"[first : last + 1]


@pytest.mark.parametrize(("first", "last"), [(0, 0), (1048575, 1048576), (5, len(LARGE) - 1), (3145728, 3145730)])
def test_a_range_across_chunks(s3: Any, stored: str, first: int, last: int) -> None:
    answer = s3.get_object(Bucket=stored, Key="large", Range=f"bytes={first}-{last}")
    assert answer["Body"].read() == LARGE[first : last + 1]


@pytest.mark.parametrize("asked", ["bytes=11-", "bytes=-0", "bytes=100-200"])
def test_a_range_outside_is_refused(s3: Any, stored: str, asked: str) -> None:
    refusal = refused(s3.get_object, Bucket=stored, Key="k", Range=asked)
    assert refusal.brief == (416, "InvalidRange")


@pytest.mark.parametrize("asked", ["bytes=4-2", "bytes=0-1,3-4", "chunks=0-1"])
def test_a_range_that_is_none_is_ignored(s3: Any, stored: str, asked: str) -> None:
    answer = s3.get_object(Bucket=stored, Key="k", Range=asked)
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Body"].read()) == (200, b"hello world")


def test_conditions(s3: Any, stored: str) -> None:
    found = s3.head_object(Bucket=stored, Key="k")
    etag, modified = found["ETag"], found["LastModified"]
    before, after = modified - timedelta(hours=1), modified + timedelta(seconds=0)
    good: list[dict[str, Any]] = [
        {"IfMatch": etag}, {"IfNoneMatch": '"other"'}, {"IfModifiedSince": before}, {"IfUnmodifiedSince": after},
        {"IfMatch": etag, "IfUnmodifiedSince": before}, {"IfNoneMatch": '"other"', "IfModifiedSince": after},
    ]  # fmt: skip
    for conditions in good:
        assert s3.get_object(Bucket=stored, Key="k", **conditions)["Body"].read() == b"hello world"
    bad: list[tuple[dict[str, Any], int]] = [
        ({"IfMatch": '"other"'}, 412), ({"IfNoneMatch": etag}, 304), ({"IfModifiedSince": after}, 304),
        ({"IfUnmodifiedSince": before}, 412),
    ]  # fmt: skip
    for conditions, status in bad:
        assert refused(s3.get_object, Bucket=stored, Key="k", **conditions).status == status
        assert refused(s3.head_object, Bucket=stored, Key="k", **conditions).status == status


def test_not_modified_says_which_version_it_is(s3: Any, server: Server, stored: str) -> None:
    etag = s3.head_object(Bucket=stored, Key="k")["ETag"]
    answer = raw(server, "GET", f"/{stored}/k", {"If-None-Match": etag})
    assert (answer.status, answer.body, answer.headers.get("etag")) == (304, b"", etag)


def test_headers_of_the_answer_can_be_replaced(s3: Any, stored: str) -> None:
    answer = s3.get_object(
        Bucket=stored, Key="k", ResponseContentType="text/csv", ResponseContentDisposition="attachment",
        ResponseCacheControl="no-cache", ResponseContentEncoding="identity", ResponseContentLanguage="de",
    )  # fmt: skip
    assert (answer["ContentType"], answer["ContentDisposition"]) == ("text/csv", "attachment")
    assert (answer["CacheControl"], answer["ContentLanguage"]) == ("no-cache", "de")


def test_head_is_get_without_the_bytes(s3: Any, stored: str) -> None:
    head, get = s3.head_object(Bucket=stored, Key="k"), s3.get_object(Bucket=stored, Key="k")
    ignored = {"ResponseMetadata", "Body", "ChecksumCRC32", "ChecksumType"}
    assert {name: head[name] for name in head if name not in ignored} == {
        name: get[name] for name in get if name not in ignored
    }


def test_one_connection_serves_many_requests(s3: Any, stored: str) -> None:
    for _ in range(20):
        assert s3.get_object(Bucket=stored, Key="k")["Body"].read() == b"hello world"
        assert s3.head_object(Bucket=stored, Key="k")["ContentLength"] == 11
        assert refused(s3.get_object, Bucket=stored, Key="not-there").status == 404


def test_an_object_without_a_type_has_the_default_one(server: Server, s3: Any, bucket: str) -> None:
    assert raw(server, "PUT", f"/{bucket}/k", {}, b"x").status == 200
    assert s3.head_object(Bucket=bucket, Key="k")["ContentType"] == "binary/octet-stream"


def test_part_number_of_a_whole_object(s3: Any, stored: str) -> None:
    assert s3.get_object(Bucket=stored, Key="k", PartNumber=1)["Body"].read() == b"hello world"
    assert refused(s3.get_object, Bucket=stored, Key="k", PartNumber=2).status in {400, 416}
    assert refused(s3.get_object, Bucket=stored, Key="k", PartNumber=1, Range="bytes=0-1").status == 400


def test_a_lock_is_shown_with_milliseconds(server: Server, s3: Any, locked: str) -> None:
    s3.put_object(Bucket=locked, Key="k", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=later())
    shown = raw(server, "HEAD", f"/{locked}/k").headers["x-amz-object-lock-retain-until-date"]
    assert shown.endswith(".000Z")
