from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.s3.calls import PROTECTED, later, raw, refused

if TYPE_CHECKING:
    from tests.integration.served import Server


def test_it_is_switched_on_and_off(s3: Any, locked: str) -> None:
    version = s3.put_object(Bucket=locked, Key="k")["VersionId"]
    s3.put_object_legal_hold(Bucket=locked, Key="k", LegalHold={"Status": "ON"})
    assert s3.get_object_legal_hold(Bucket=locked, Key="k")["LegalHold"] == {"Status": "ON"}
    assert s3.head_object(Bucket=locked, Key="k")["ObjectLockLegalHoldStatus"] == "ON"
    refusal = refused(s3.delete_object, Bucket=locked, Key="k", VersionId=version, BypassGovernanceRetention=True)
    assert (refusal.brief, refusal.message) == ((403, "AccessDenied"), PROTECTED)
    s3.put_object_legal_hold(Bucket=locked, Key="k", LegalHold={"Status": "OFF"})
    assert s3.get_object_legal_hold(Bucket=locked, Key="k")["LegalHold"] == {"Status": "OFF"}
    s3.delete_object(Bucket=locked, Key="k", VersionId=version)


def test_it_is_independent_of_retention(s3: Any, locked: str) -> None:
    until = later()
    version = s3.put_object(
        Bucket=locked, Key="k", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until,
        ObjectLockLegalHoldStatus="ON",
    )["VersionId"]  # fmt: skip
    s3.put_object_legal_hold(Bucket=locked, Key="k", LegalHold={"Status": "OFF"})
    found = s3.get_object_retention(Bucket=locked, Key="k")["Retention"]
    assert found == {"Mode": "GOVERNANCE", "RetainUntilDate": until}
    assert refused(s3.delete_object, Bucket=locked, Key="k", VersionId=version).status == 403


def test_a_bucket_without_lock_has_none(s3: Any, versioned: str) -> None:
    s3.put_object(Bucket=versioned, Key="k")
    for call, arguments in (
        (s3.get_object_legal_hold, {}),
        (s3.put_object_legal_hold, {"LegalHold": {"Status": "ON"}}),
    ):
        refusal = refused(call, Bucket=versioned, Key="k", **arguments)
        assert refusal.brief == (400, "InvalidRequest")
        assert refusal.message == "Bucket is missing Object Lock Configuration"


@pytest.mark.parametrize("content", [b"<LegalHold/>", b"<LegalHold><Status>on</Status></LegalHold>", b"", b"x"])
def test_what_is_none_is_malformed(server: Server, s3: Any, locked: str, content: bytes) -> None:
    s3.put_object(Bucket=locked, Key="k", ObjectLockLegalHoldStatus="ON")
    md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    answer = raw(server, "PUT", f"/{locked}/k?legal-hold", {"Content-MD5": md5}, content)
    assert (answer.status, answer.code) == (400, "MalformedXML")
    assert s3.get_object_legal_hold(Bucket=locked, Key="k")["LegalHold"] == {"Status": "ON"}


def test_it_is_of_one_version(s3: Any, locked: str) -> None:
    first = s3.put_object(Bucket=locked, Key="k")["VersionId"]
    second = s3.put_object(Bucket=locked, Key="k")["VersionId"]
    s3.put_object_legal_hold(Bucket=locked, Key="k", VersionId=first, LegalHold={"Status": "ON"})
    s3.delete_object(Bucket=locked, Key="k", VersionId=second)
    assert refused(s3.delete_object, Bucket=locked, Key="k", VersionId=first).status == 403


def test_an_object_that_is_not_there_has_none(s3: Any, locked: str) -> None:
    refusal = refused(s3.put_object_legal_hold, Bucket=locked, Key="k", LegalHold={"Status": "ON"})
    assert refusal.brief == (404, "NoSuchKey")
