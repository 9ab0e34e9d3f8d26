from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.s3.calls import raw, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.served import Server


def test_a_bucket_is_made_found_and_deleted(s3: Any) -> None:
    made = s3.create_bucket(Bucket="made-and-deleted")
    assert made["Location"] == "/made-and-deleted"
    assert s3.head_bucket(Bucket="made-and-deleted")["BucketRegion"] == "us-east-1"
    listed = s3.list_buckets()
    assert "made-and-deleted" in [bucket["Name"] for bucket in listed["Buckets"]]
    assert listed["Owner"]["ID"]
    assert s3.delete_bucket(Bucket="made-and-deleted")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refused(s3.head_bucket, Bucket="made-and-deleted").status == 404


def test_a_bucket_is_made_once(s3: Any, bucket: str) -> None:
    assert refused(s3.create_bucket, Bucket=bucket).brief == (409, "BucketAlreadyOwnedByYou")


def test_a_bucket_that_holds_anything_is_not_deleted(s3: Any, versioned: str) -> None:
    s3.put_object(Bucket=versioned, Key="k")
    s3.delete_object(Bucket=versioned, Key="k")
    assert refused(s3.delete_bucket, Bucket=versioned).brief == (409, "BucketNotEmpty")


@pytest.mark.parametrize("name", ["ab", "Upper", "under_score", "192.168.5.4", "a..b", "a" * 64])
def test_a_name_that_s3_forbids_is_refused(server: Server, name: str) -> None:
    answer = raw(server, "PUT", f"/{name}")
    assert (answer.status, answer.code) == (400, "InvalidBucketName")


def test_a_bucket_that_is_not_there_is_told(s3: Any) -> None:
    for call in (s3.list_objects_v2, s3.get_bucket_location, s3.get_bucket_versioning, s3.delete_bucket):
        assert refused(call, Bucket="not-there").brief == (404, "NoSuchBucket")


def test_location(s3: Any, bucket: str) -> None:
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None


def test_versioning_is_switched(s3: Any, bucket: str) -> None:
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for status in ("Enabled", "Suspended"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status


def test_mfa_delete_is_refused(s3: Any, bucket: str) -> None:
    configuration = {"Status": "Enabled", "MFADelete": "Enabled"}
    refusal = refused(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=configuration)
    assert refusal.brief == (501, "NotImplemented")
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)


def test_a_strict_bucket_takes_no_delete_markers_and_no_overwrites(server: Server, s3: Any) -> None:
    headers = {"x-strongroom-bucket-strict": "true", "x-amz-bucket-object-lock-enabled": "true"}
    assert raw(server, "PUT", "/strict", headers).status == 200
    s3.put_object(Bucket="strict", Key="k", Body=b"1")
    assert refused(s3.put_object, Bucket="strict", Key="k", Body=b"2").brief == (403, "AccessDenied")
    assert refused(s3.delete_object, Bucket="strict", Key="k").brief == (403, "AccessDenied")
    assert s3.get_object(Bucket="strict", Key="k")["Body"].read() == b"1"


def test_strict_is_true_or_nothing(server: Server, s3: Any) -> None:
    answer = raw(server, "PUT", "/not-strict", {"x-strongroom-bucket-strict": "false"})
    assert (answer.status, answer.code) == (400, "InvalidArgument")
    assert refused(s3.head_bucket, Bucket="not-strict").status == 404


def test_every_answer_names_its_record(s3: Any, make: Callable[..., str]) -> None:
    bucket = make()
    seen = [
        int(call(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]["x-strongroom-record"].split("/")[1])
        for call in (s3.head_bucket, s3.get_bucket_location, s3.list_objects_v2)
    ]
    missing = refused(s3.get_object, Bucket=bucket, Key="not-there").headers["x-strongroom-record"]
    assert sorted({*seen, int(missing.split("/")[1])}) == [*seen, int(missing.split("/")[1])]
