from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.s3.calls import raw, refused

if TYPE_CHECKING:
    from tests.integration.served import Server


def configuration(**default: Any) -> dict[str, Any]:
    return {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": default}}


def put(server: Server, bucket: str, content: str) -> tuple[int, str]:
    body = f"<ObjectLockConfiguration>{content}</ObjectLockConfiguration>".encode()
    md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    answer = raw(server, "PUT", f"/{bucket}?object-lock", {"Content-MD5": md5}, body)
    return answer.status, answer.code if answer.body else ""


@pytest.mark.parametrize("default", [{"Mode": "GOVERNANCE", "Days": 50}, {"Mode": "COMPLIANCE", "Years": 1}])
def test_it_comes_back_as_it_was_put(s3: Any, locked: str, default: dict[str, Any]) -> None:
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration(**default))
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == configuration(**default)
    empty = {"ObjectLockEnabled": "Enabled"}
    s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=empty)
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == empty


def test_a_new_locked_bucket_has_one_without_a_rule_and_is_versioned(s3: Any, locked: str) -> None:
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == {
        "ObjectLockEnabled": "Enabled"
    }
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"


def test_a_bucket_without_lock_has_none(s3: Any, bucket: str) -> None:
    refusal = refused(s3.get_object_lock_configuration, Bucket=bucket)
    assert refusal.brief == (404, "ObjectLockConfigurationNotFoundError")
    assert refusal.message == "Object Lock configuration does not exist for this bucket"


def test_it_needs_versioning_and_can_be_added_to_a_versioned_bucket(s3: Any, bucket: str, versioned: str) -> None:
    wanted = configuration(Mode="GOVERNANCE", Days=1)
    refusal = refused(s3.put_object_lock_configuration, Bucket=bucket, ObjectLockConfiguration=wanted)
    assert refusal.brief == (409, "InvalidBucketState")
    assert refusal.message == "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
    s3.put_object_lock_configuration(Bucket=versioned, ObjectLockConfiguration=wanted)
    assert s3.get_object_lock_configuration(Bucket=versioned)["ObjectLockConfiguration"] == wanted


def test_versioning_of_a_locked_bucket_stays(s3: Any, locked: str) -> None:
    refusal = refused(s3.put_bucket_versioning, Bucket=locked, VersioningConfiguration={"Status": "Suspended"})
    assert refusal.brief == (409, "InvalidBucketState")
    assert refusal.message == (
        "An Object Lock configuration is present on this bucket, so the versioning state cannot be changed."
    )


ENABLED = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"


def rule(content: str) -> str:
    return f"{ENABLED}<Rule><DefaultRetention>{content}</DefaultRetention></Rule>"


@pytest.mark.parametrize(
    "content",
    [
        "",
        "<ObjectLockEnabled>Disabled</ObjectLockEnabled>",
        rule("<Mode>GOVERNANCE</Mode><Days>1</Days>").removeprefix(ENABLED),
        f"{ENABLED}<Rule/>",
        rule(""),
        rule("<Mode>abc</Mode><Days>1</Days>"),
        rule("<Mode>governance</Mode><Days>1</Days>"),
        rule("<Mode>GOVERNANCE</Mode>"),
        rule("<Days>1</Days>"),
        rule("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"),
    ],
)
def test_what_is_none_is_malformed(server: Server, s3: Any, locked: str, content: str) -> None:
    before = s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"]
    assert put(server, locked, content) == (400, "MalformedXML")
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == before


@pytest.mark.parametrize("period", [{"Days": 0}, {"Days": -1}, {"Years": -1}, {"Days": 36501}, {"Years": 101}])
def test_a_period_that_is_none_is_refused(s3: Any, locked: str, period: dict[str, int]) -> None:
    wanted = configuration(Mode="GOVERNANCE", **period)
    refusal = refused(s3.put_object_lock_configuration, Bucket=locked, ObjectLockConfiguration=wanted)
    assert refusal.brief == (400, "InvalidRetentionPeriod")


def test_a_default_event_hold_is_refused(server: Server, locked: str) -> None:
    content = rule("<Mode>GOVERNANCE</Mode><DefaultEventHold><Days>1</Days></DefaultEventHold>")
    assert put(server, locked, content) == (501, "NotImplemented")


def test_it_needs_a_checksum(server: Server, locked: str) -> None:
    body = b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled></ObjectLockConfiguration>"
    answer = raw(server, "PUT", f"/{locked}?object-lock", {}, body)
    assert (answer.status, answer.code) == (400, "InvalidRequest")
    assert answer.message == "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
