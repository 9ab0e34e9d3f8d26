from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.s3.calls import raw, refused

if TYPE_CHECKING:
    from tests.integration.served import Server

ASKED = [
    {"ACL": "public-read"},
    {"StorageClass": "GLACIER"},
    {"ServerSideEncryption": "aws:kms"},
    {"Tagging": "a=b"},
    {"WebsiteRedirectLocation": "/x"},
    {"GrantRead": "id=1"},
    {"ExpectedBucketOwner": "123456789012"},
    {"ObjectLockEventHold": "ON"},
    {"ObjectLockEventHoldDurationDays": 1},
]


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: next(iter(asked)))
def test_an_upload_that_asks_for_what_we_do_not_have_is_refused(s3: Any, bucket: str, asked: dict[str, Any]) -> None:
    refusal = refused(s3.put_object, Bucket=bucket, Key="k", Body=b"x", **asked)
    assert refusal.brief == (501, "NotImplemented")
    assert refusal.fields["Header"].startswith("x-amz-")
    assert "x-strongroom-record" in refusal.headers
    assert refused(s3.head_object, Bucket=bucket, Key="k").status == 404


def test_an_upload_that_asks_for_what_there_is_anyway_is_taken(s3: Any, bucket: str) -> None:
    answer = s3.put_object(
        Bucket=bucket, Key="k", ACL="private", StorageClass="STANDARD", ServerSideEncryption="AES256"
    )
    assert answer["ServerSideEncryption"] == "AES256"


def test_a_copy_is_refused_and_not_taken_for_an_empty_upload(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    refusal = refused(s3.copy_object, Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "source"})
    assert refusal.brief == (501, "NotImplemented")
    assert refused(s3.head_object, Bucket=bucket, Key="copy").status == 404


@pytest.mark.parametrize(
    "operation",
    [
        "get_bucket_acl",
        "get_bucket_policy",
        "get_bucket_lifecycle_configuration",
        "get_bucket_tagging",
        "delete_bucket_policy",
    ],
)
def test_other_operations_on_buckets_are_refused(s3: Any, bucket: str, operation: str) -> None:
    assert refused(getattr(s3, operation), Bucket=bucket).brief == (501, "NotImplemented")


@pytest.mark.parametrize(
    "operation", ["get_object_acl", "get_object_tagging", "delete_object_tagging", "restore_object"]
)
def test_other_operations_on_objects_are_refused(s3: Any, bucket: str, operation: str) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    assert refused(getattr(s3, operation), Bucket=bucket, Key="k").brief == (501, "NotImplemented")
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 0


def test_a_parameter_with_a_slip_of_the_pen_deletes_nothing(server: Server, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    for slip in ("versionid=null", "VersionId=null", "versionID=null"):
        assert raw(server, "DELETE", f"/{bucket}/k?{slip}").code == "NotImplemented"
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 0


def test_other_methods_are_not_allowed(server: Server, bucket: str) -> None:
    assert raw(server, "PATCH", f"/{bucket}/k").status == 405
    assert raw(server, "OPTIONS", f"/{bucket}/k").status == 405
