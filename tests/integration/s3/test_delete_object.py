from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from tests.integration.s3.calls import PROTECTED, later, raw, refused

if TYPE_CHECKING:
    from tests.integration.served import Server


def test_without_versioning_a_delete_removes(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    answer = s3.delete_object(Bucket=bucket, Key="k")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert {"DeleteMarker", "VersionId"}.isdisjoint(answer)
    assert refused(s3.head_object, Bucket=bucket, Key="k").status == 404
    assert s3.delete_object(Bucket=bucket, Key="k")["ResponseMetadata"]["HTTPStatusCode"] == 204
    s3.delete_bucket(Bucket=bucket)


def test_with_versioning_a_delete_hides(s3: Any, versioned: str) -> None:
    version = s3.put_object(Bucket=versioned, Key="k", Body=b"x")["VersionId"]
    answer = s3.delete_object(Bucket=versioned, Key="k")
    assert answer["DeleteMarker"] is True
    assert s3.get_object(Bucket=versioned, Key="k", VersionId=version)["Body"].read() == b"x"
    undone = s3.delete_object(Bucket=versioned, Key="k", VersionId=answer["VersionId"])
    assert (undone["DeleteMarker"], undone["VersionId"]) == (True, answer["VersionId"])
    assert s3.get_object(Bucket=versioned, Key="k")["Body"].read() == b"x"
    gone = s3.delete_object(Bucket=versioned, Key="k", VersionId=version)
    assert gone["VersionId"] == version
    assert "DeleteMarker" not in gone
    assert refused(s3.get_object, Bucket=versioned, Key="k", VersionId=version).brief == (404, "NoSuchVersion")


def test_a_marker_is_made_where_nothing_was(s3: Any, versioned: str) -> None:
    assert s3.delete_object(Bucket=versioned, Key="never")["DeleteMarker"] is True
    assert len(s3.list_object_versions(Bucket=versioned)["DeleteMarkers"]) == 1


def test_a_locked_version_stays_and_a_marker_can_hide_it(s3: Any, locked: str) -> None:
    for mode in ("GOVERNANCE", "COMPLIANCE"):
        version = s3.put_object(
            Bucket=locked, Key=mode, Body=b"x", ObjectLockMode=mode, ObjectLockRetainUntilDate=later()
        )["VersionId"]
        refusal = refused(s3.delete_object, Bucket=locked, Key=mode, VersionId=version)
        assert (refusal.brief, refusal.message) == ((403, "AccessDenied"), PROTECTED)
        assert s3.delete_object(Bucket=locked, Key=mode)["DeleteMarker"] is True
        assert s3.get_object(Bucket=locked, Key=mode, VersionId=version)["Body"].read() == b"x"


def test_governance_can_be_bypassed_and_compliance_cannot(s3: Any, locked: str) -> None:
    for mode in ("GOVERNANCE", "COMPLIANCE"):
        version = s3.put_object(Bucket=locked, Key=mode, ObjectLockMode=mode, ObjectLockRetainUntilDate=later())[
            "VersionId"
        ]
        arguments = {"Bucket": locked, "Key": mode, "VersionId": version}
        refusal = refused(s3.delete_object, **arguments, BypassGovernanceRetention=False)
        assert refusal.brief == (403, "AccessDenied")
        if mode == "GOVERNANCE":
            s3.delete_object(**arguments, BypassGovernanceRetention=True)
        else:
            assert refused(s3.delete_object, **arguments, BypassGovernanceRetention=True).brief == (403, "AccessDenied")


def test_the_bypass_header_is_for_buckets_that_lock(s3: Any, versioned: str) -> None:
    for value in (True, False):
        refusal = refused(s3.delete_object, Bucket=versioned, Key="k", BypassGovernanceRetention=value)
        assert refusal.brief == (400, "InvalidArgument")
        assert refusal.message == (
            "x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets."
        )


def test_many_are_deleted_each_on_its_own(s3: Any, locked: str) -> None:
    free = s3.put_object(Bucket=locked, Key="free")["VersionId"]
    held = s3.put_object(Bucket=locked, Key="held", ObjectLockLegalHoldStatus="ON")["VersionId"]
    members = [
        {"Key": "free", "VersionId": free},
        {"Key": "held", "VersionId": held},
        {"Key": "hidden"},
        {"Key": "held", "VersionId": "not-an-id"},
    ]
    answer = s3.delete_objects(Bucket=locked, Delete={"Objects": members})
    gone, hidden = answer["Deleted"]
    assert gone == {"Key": "free", "VersionId": free}
    assert (hidden["Key"], hidden["DeleteMarker"]) == ("hidden", True)
    assert hidden["DeleteMarkerVersionId"]
    protected, unknown = answer["Errors"]
    assert protected == {"Key": "held", "VersionId": held, "Code": "AccessDenied", "Message": PROTECTED}
    assert (unknown["Key"], unknown["VersionId"], unknown["Code"]) == ("held", "not-an-id", "InvalidArgument")
    assert s3.head_object(Bucket=locked, Key="held", VersionId=held)["ObjectLockLegalHoldStatus"] == "ON"


def test_quiet_tells_only_of_failures(s3: Any, locked: str) -> None:
    held = s3.put_object(Bucket=locked, Key="held", ObjectLockLegalHoldStatus="ON")["VersionId"]
    members = [{"Key": "a"}, {"Key": "held", "VersionId": held}]
    answer = s3.delete_objects(Bucket=locked, Delete={"Objects": members, "Quiet": True})
    assert "Deleted" not in answer
    assert [error["Key"] for error in answer["Errors"]] == ["held"]


def test_a_thousand_are_deleted_and_one_more_is_too_many(s3: Any, bucket: str) -> None:
    members = [{"Key": f"k{number}"} for number in range(1000)]
    assert len(s3.delete_objects(Bucket=bucket, Delete={"Objects": members})["Deleted"]) == 1000
    refusal = refused(s3.delete_objects, Bucket=bucket, Delete={"Objects": [*members, {"Key": "one more"}]})
    assert refusal.brief == (400, "MalformedXML")


def test_a_member_whose_key_is_too_long_fails_alone(s3: Any, bucket: str) -> None:
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k" * 100_000}, {"Key": "a"}]})
    assert [error["Code"] for error in answer["Errors"]] == ["KeyTooLongError"]
    assert [each["Key"] for each in answer["Deleted"]] == ["a"]


def test_conditions_that_we_do_not_have_delete_nothing(server: Server, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k")
    assert raw(server, "DELETE", f"/{bucket}/k", {"If-Match": '"other"'}).code == "NotImplemented"
    body = b"<Delete><Object><Key>k</Key><ETag>other</ETag></Object></Delete>"
    md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    assert raw(server, "POST", f"/{bucket}?delete", {"Content-MD5": md5}, body).code == "NotImplemented"
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 0
