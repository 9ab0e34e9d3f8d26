"""What other S3 servers with Object Lock were seen to get wrong, each as it was found."""

from __future__ import annotations

import base64
import hashlib
import json
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.s3.calls import PROTECTED, later, raw, refused, send, signed, soon, until

if TYPE_CHECKING:
    from tests.integration.served import Server

_attempts = count()


def rule(s3: Any, bucket: str, **default: Any) -> None:
    """Set or clear a bucket's default retention."""
    configuration: dict[str, Any] = {"ObjectLockEnabled": "Enabled"}
    if default:
        configuration["Rule"] = {"DefaultRetention": default}
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)


def put(s3: Any, bucket: str, key: str, **lock: Any) -> str:
    version: str = s3.put_object(Bucket=bucket, Key=key, Body=b"x", **lock)["VersionId"]
    return version


def gone(s3: Any, bucket: str, key: str, version: str) -> bool:
    """Try to delete a version."""
    try:
        s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
    except ClientError:
        return False
    return True


def test_an_expired_member_does_not_free_those_after_it(s3: Any, locked: str) -> None:
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": soon(2)}
    probe, expired = put(s3, locked, "probe", **lock), put(s3, locked, "expired", **lock)
    held = put(s3, locked, "held", ObjectLockLegalHoldStatus="ON")
    retained = put(s3, locked, "retained", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=later())
    expired_but_held = put(s3, locked, "both", **lock, ObjectLockLegalHoldStatus="ON")
    until(lambda: gone(s3, locked, "probe", probe))
    members = [("expired", expired), ("both", expired_but_held), ("held", held), ("retained", retained)]
    answer = s3.delete_objects(
        Bucket=locked, Delete={"Objects": [{"Key": key, "VersionId": version} for key, version in members]}
    )
    assert [each["Key"] for each in answer["Deleted"]] == ["expired"]
    assert [(each["Key"], each["Code"], each["Message"]) for each in answer["Errors"]] == [
        (key, "AccessDenied", PROTECTED) for key in ("both", "held", "retained")
    ]
    for key, version in members[1:]:
        assert s3.get_object(Bucket=locked, Key=key, VersionId=version)["Body"].read() == b"x"


def test_compliance_is_not_shortened_by_naming_the_same_mode(s3: Any, locked: str) -> None:
    put(s3, locked, "k", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=later(30))
    for bypass in (False, True):
        refusal = refused(
            s3.put_object_retention, Bucket=locked, Key="k", BypassGovernanceRetention=bypass,
            Retention={"Mode": "COMPLIANCE", "RetainUntilDate": later(1)},
        )  # fmt: skip
        assert (refusal.brief, refusal.message) == ((403, "AccessDenied"), PROTECTED)
    found = s3.get_object_retention(Bucket=locked, Key="k")["Retention"]
    assert found["RetainUntilDate"] > later(29)


def test_a_default_counts_from_the_object_and_not_from_the_configuration(s3: Any, locked: str) -> None:
    rule(s3, locked, Mode="GOVERNANCE", Days=1)
    put(s3, locked, "first")
    first = s3.head_object(Bucket=locked, Key="first")
    until(
        lambda: (
            put(s3, locked, "second")
            and s3.head_object(Bucket=locked, Key="second")["LastModified"] > first["LastModified"]
        )
    )
    second = s3.head_object(Bucket=locked, Key="second")
    assert second["ObjectLockRetainUntilDate"] > first["ObjectLockRetainUntilDate"]


def test_a_default_is_fixed_when_the_object_is_made(s3: Any, locked: str) -> None:
    free = put(s3, locked, "free")
    rule(s3, locked, Mode="COMPLIANCE", Days=1)
    kept = put(s3, locked, "kept")
    assert "ObjectLockMode" not in s3.head_object(Bucket=locked, Key="free")
    s3.delete_object(Bucket=locked, Key="free", VersionId=free)
    rule(s3, locked)
    assert s3.head_object(Bucket=locked, Key="kept")["ObjectLockMode"] == "COMPLIANCE"
    assert refused(s3.delete_object, Bucket=locked, Key="kept", VersionId=kept).brief == (403, "AccessDenied")
    rule(s3, locked, Mode="GOVERNANCE", Days=1)
    assert s3.get_object_retention(Bucket=locked, Key="kept")["Retention"]["Mode"] == "COMPLIANCE"


@pytest.mark.parametrize("date", ["", "soon", "2140-13-01T00:00:00Z", "4294967296", "9999-12-31T23:59:59.999999999Z"])
def test_a_retention_that_cannot_be_read_never_means_none(server: Server, s3: Any, locked: str, date: str) -> None:
    version = put(s3, locked, "k", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=later())
    body = f"<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>{date}</RetainUntilDate></Retention>".encode()
    md5 = {"Content-MD5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()}
    bypass = {"x-amz-bypass-governance-retention": "true"}
    assert raw(server, "PUT", f"/{locked}/k?retention", md5 | bypass, body).code == "MalformedXML"
    md5 = {"Content-MD5": base64.b64encode(hashlib.md5(b"x", usedforsecurity=False).digest()).decode()}
    headers = {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": date}
    assert raw(server, "PUT", f"/{locked}/new", md5 | headers, b"x").code == "InvalidArgument"
    assert refused(s3.head_object, Bucket=locked, Key="new").status == 404
    assert refused(s3.delete_object, Bucket=locked, Key="k", VersionId=version).brief == (403, "AccessDenied")


def test_the_address_in_a_record_is_the_sockets(server: Server, s3: Any, bucket: str) -> None:
    forged = {"X-Forwarded-For": "198.51.100.7", "Forwarded": "for=198.51.100.7", "X-Real-IP": "198.51.100.7"}
    answer = raw(server, "GET", f"/{bucket}?location", forged)
    stream, seq, _ = answer.headers["x-strongroom-record"].split("/")
    record = exported(server, stream, int(seq))
    assert record["origin"]["ip"] == "127.0.0.1"
    assert "198.51.100.7" not in json.dumps(record)


def exported(server: Server, stream: str, seq: int) -> dict[str, Any]:
    """One record, as ``log export`` writes it once it is sealed: in bundles of (length in two bytes, record)."""
    records: list[dict[str, Any]] = []

    def sealed() -> bool:
        target = server.data.parent / f"exported-{next(_attempts)}"
        made = server.cli("log", "export", stream, target)
        assert made.returncode == 0, made.stderr
        records.clear()
        for bundle in sorted((target / "tile" / "entries").rglob("*")):
            data = bundle.read_bytes() if bundle.is_file() else b""
            while data:
                end = 2 + int.from_bytes(data[:2], "big")
                records.append(json.loads(data[2:end]))
                data = data[end:]
        return any(record["seq"] == seq for record in records)

    until(sealed)
    return next(record for record in records if record["seq"] == seq)


def test_an_upload_that_is_unknown_or_aborted_is_never_completed(s3: Any, locked: str) -> None:
    put(s3, locked, "k")
    upload = s3.create_multipart_upload(Bucket=locked, Key="k")["UploadId"]
    part = s3.upload_part(Bucket=locked, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    s3.abort_multipart_upload(Bucket=locked, Key="k", UploadId=upload)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    for unknown in (upload, "unknown"):
        refusal = refused(s3.complete_multipart_upload, Bucket=locked, Key="k", UploadId=unknown, MultipartUpload=parts)
        assert refusal.brief == (404, "NoSuchUpload")
        refusal = refused(s3.abort_multipart_upload, Bucket=locked, Key="k", UploadId=unknown)
        assert refusal.brief == (404, "NoSuchUpload")
    assert len(s3.list_object_versions(Bucket=locked)["Versions"]) == 1


def test_a_key_with_dots_is_not_another_key(s3: Any, bucket: str) -> None:
    for key in ("b", "a/../b", "./b", "a//b", "a/b", "/b"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    listed = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert sorted(listed) == sorted(["b", "a/../b", "./b", "a//b", "a/b", "/b"])
    for key in listed:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()


def test_a_legal_hold_does_not_switch_the_default_off(s3: Any, locked: str) -> None:
    rule(s3, locked, Mode="COMPLIANCE", Days=1)
    put(s3, locked, "put", ObjectLockLegalHoldStatus="ON")
    upload = s3.create_multipart_upload(Bucket=locked, Key="multipart", ObjectLockLegalHoldStatus="ON")["UploadId"]
    named = {"Bucket": locked, "Key": "multipart", "UploadId": upload}
    part = s3.upload_part(**named, PartNumber=1, Body=b"x")
    s3.complete_multipart_upload(**named, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    for key in ("put", "multipart"):
        found = s3.head_object(Bucket=locked, Key=key)
        assert (found["ObjectLockMode"], found["ObjectLockLegalHoldStatus"]) == ("COMPLIANCE", "ON")


def test_a_mode_in_lower_case_is_no_mode(server: Server, s3: Any, locked: str) -> None:
    headers = {
        "x-amz-object-lock-mode": "governance", "x-amz-object-lock-retain-until-date": "2140-01-01T00:00:00Z",
        "Content-MD5": base64.b64encode(hashlib.md5(b"x", usedforsecurity=False).digest()).decode(),
    }  # fmt: skip
    answer = send(server, "PUT", f"/{locked}/k", signed(server, "PUT", f"/{locked}/k", headers, b"x"), b"x")
    assert (answer.status, answer.code, answer.message) == (400, "InvalidArgument", "Unknown wormMode directive.")
    assert refused(s3.head_object, Bucket=locked, Key="k").status == 404
