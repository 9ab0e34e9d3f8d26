from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.s3.calls import PROTECTED, later, raw, refused, soon

if TYPE_CHECKING:
    from tests.integration.served import Server


def lock(mode: str, days: int = 1) -> dict[str, Any]:
    return {"Mode": mode, "RetainUntilDate": later(days)}


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_it_comes_back_as_it_was_put(s3: Any, locked: str, mode: str) -> None:
    s3.put_object(Bucket=locked, Key="k")
    wanted = lock(mode)
    s3.put_object_retention(Bucket=locked, Key="k", Retention=wanted)
    assert s3.get_object_retention(Bucket=locked, Key="k")["Retention"] == wanted


def test_it_is_of_one_version(s3: Any, locked: str) -> None:
    first = s3.put_object(Bucket=locked, Key="k")["VersionId"]
    s3.put_object(Bucket=locked, Key="k")
    wanted = lock("GOVERNANCE")
    s3.put_object_retention(Bucket=locked, Key="k", VersionId=first, Retention=wanted)
    assert s3.get_object_retention(Bucket=locked, Key="k", VersionId=first)["Retention"] == wanted
    assert refused(s3.get_object_retention, Bucket=locked, Key="k").code == "NoSuchObjectLockConfiguration"


def test_what_was_never_set_is_told(s3: Any, locked: str) -> None:
    s3.put_object(Bucket=locked, Key="k")
    refusal = refused(s3.get_object_retention, Bucket=locked, Key="k")
    assert refusal.brief == (404, "NoSuchObjectLockConfiguration")
    assert refusal.message == "The specified object does not have a ObjectLock configuration"


def test_a_bucket_without_lock_has_none(s3: Any, versioned: str) -> None:
    s3.put_object(Bucket=versioned, Key="k")
    for call, arguments in (
        (s3.get_object_retention, {}),
        (s3.put_object_retention, {"Retention": lock("GOVERNANCE")}),
    ):
        refusal = refused(call, Bucket=versioned, Key="k", **arguments)
        assert refusal.brief == (400, "InvalidRequest")
        assert refusal.message == "Bucket is missing Object Lock Configuration"


def test_a_delete_marker_has_none(s3: Any, locked: str) -> None:
    marker = s3.delete_object(Bucket=locked, Key="k")["VersionId"]
    refusal = refused(s3.put_object_retention, Bucket=locked, Key="k", VersionId=marker, Retention=lock("GOVERNANCE"))
    assert refusal.brief == (405, "MethodNotAllowed")
    assert refusal.fields["ResourceType"] == "DeleteMarker"


@pytest.mark.parametrize(
    "content",
    [
        "<Mode>GOVERNANCE</Mode>",
        "<RetainUntilDate>2140-01-01T00:00:00Z</RetainUntilDate>",
        "<Mode>abc</Mode><RetainUntilDate>2140-01-01T00:00:00Z</RetainUntilDate>",
        "<Mode>governance</Mode><RetainUntilDate>2140-01-01T00:00:00Z</RetainUntilDate>",
        "<Mode>GOVERNANCE</Mode><RetainUntilDate>soon</RetainUntilDate>",
    ],
)
def test_what_is_none_is_malformed_and_changes_nothing(server: Server, s3: Any, locked: str, content: str) -> None:
    s3.put_object(Bucket=locked, Key="k")
    before = lock("GOVERNANCE")
    s3.put_object_retention(Bucket=locked, Key="k", Retention=before)
    body = f"<Retention>{content}</Retention>".encode()
    md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    headers = {"Content-MD5": md5, "x-amz-bypass-governance-retention": "true"}
    answer = raw(server, "PUT", f"/{locked}/k?retention", headers, body)
    assert (answer.status, answer.code) == (400, "MalformedXML")
    assert s3.get_object_retention(Bucket=locked, Key="k")["Retention"] == before


def test_a_date_that_has_passed_is_refused(s3: Any, locked: str) -> None:
    s3.put_object(Bucket=locked, Key="k")
    past = {"Mode": "GOVERNANCE", "RetainUntilDate": soon(-60)}
    refusal = refused(s3.put_object_retention, Bucket=locked, Key="k", Retention=past)
    assert refusal.brief == (400, "InvalidArgument")
    assert refusal.message == "The retain until date must be in the future!"
    assert refusal.fields["ArgumentName"] == "RetainUntilDate"


@pytest.mark.parametrize("mode", ["GOVERNANCE", "COMPLIANCE"])
def test_it_can_be_lengthened(s3: Any, locked: str, mode: str) -> None:
    s3.put_object(Bucket=locked, Key="k")
    longest = lock(mode, 2)
    for each in (lock(mode), lock(mode), longest):
        s3.put_object_retention(Bucket=locked, Key="k", Retention=each)
    assert s3.get_object_retention(Bucket=locked, Key="k")["Retention"] == longest


def test_governance_is_weakened_only_with_the_bypass(s3: Any, locked: str) -> None:
    s3.put_object(Bucket=locked, Key="k")
    s3.put_object_retention(Bucket=locked, Key="k", Retention=lock("GOVERNANCE", 2))
    for weaker in (lock("GOVERNANCE", 1), {}, lock("COMPLIANCE", 2)):
        refusal = refused(s3.put_object_retention, Bucket=locked, Key="k", Retention=weaker)
        assert (refusal.brief, refusal.message) == ((403, "AccessDenied"), PROTECTED)
    s3.put_object_retention(Bucket=locked, Key="k", Retention=lock("GOVERNANCE", 1), BypassGovernanceRetention=True)
    s3.put_object_retention(Bucket=locked, Key="k", Retention={}, BypassGovernanceRetention=True)
    assert refused(s3.get_object_retention, Bucket=locked, Key="k").code == "NoSuchObjectLockConfiguration"


def test_compliance_is_weakened_by_nobody(s3: Any, locked: str) -> None:
    s3.put_object(Bucket=locked, Key="k")
    kept = lock("COMPLIANCE", 2)
    s3.put_object_retention(Bucket=locked, Key="k", Retention=kept)
    for weaker in (lock("COMPLIANCE", 1), lock("GOVERNANCE", 3), {}):
        refusal = refused(
            s3.put_object_retention, Bucket=locked, Key="k", Retention=weaker, BypassGovernanceRetention=True
        )
        assert (refusal.brief, refusal.message) == ((403, "AccessDenied"), PROTECTED)
    assert s3.get_object_retention(Bucket=locked, Key="k")["Retention"] == kept


def test_an_event_hold_is_refused(server: Server, s3: Any, locked: str) -> None:
    s3.put_object(Bucket=locked, Key="k")
    body = b"<Retention><Mode>GOVERNANCE</Mode><EventHold>ON</EventHold></Retention>"
    md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    answer = raw(server, "PUT", f"/{locked}/k?retention", {"Content-MD5": md5}, body)
    assert (answer.status, answer.code) == (501, "NotImplemented")


def test_the_default_of_the_bucket_counts_from_the_object(s3: Any, locked: str) -> None:
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    s3.put_object_lock_configuration(
        Bucket=locked, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    s3.put_object(Bucket=locked, Key="k")
    found = s3.head_object(Bucket=locked, Key="k")
    length = found["ObjectLockRetainUntilDate"] - found["LastModified"]
    assert found["ObjectLockMode"] == "GOVERNANCE"
    assert 86_400 <= length.total_seconds() < 86_402
