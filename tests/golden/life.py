"""The life of a real vault, in a minute: one of everything that a data directory can hold, over several starts."""

from __future__ import annotations

import hashlib
import json
import random
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.request import urlopen

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.integration.served import PATIENCE, Server, command

if TYPE_CHECKING:
    from pathlib import Path

STREAM: Final = "site-a.node-1"
UNTIL: Final = "2125-01-01T00:00:00Z"
#: Small segments and short intervals: everything happens within seconds.
_FAST: Final = {
    "STRONGROOM_LEDGER__SEGMENT_MIB": "1",
    "STRONGROOM_CHECKPOINT__INTERVAL_S": "0.05",
    "STRONGROOM_INDEX__SYNC_INTERVAL_S": "0.2",
}
#: Parts of any size: those of 5 MiB that S3 wants would make the archive large. Formats know no least size.
_SMALL_PARTS: Final = (
    "import vault.service.limits; vault.service.limits.MIN_PART_BYTES = 1; from audit.cli import main; main()"
)
#: Plaintext of the smallest blob, and of what stays in the commit log or a pack.
_BLOB: Final = random.Random(1).randbytes(128 * 1024 + 1)
_BODY: Final = b"a record of a trade\n"
_BLOCK: Final = 4096


class Stored(NamedTuple):
    """A version that must be there, with its bytes and its lock."""

    bucket: str
    key: str
    version_id: str
    sha256: str
    mode: str = ""
    until: str = ""
    hold: bool = False


class Life(NamedTuple):
    """What came of it. ``checkpoint`` is an early one, as somebody outside may have saved it."""

    data: Path
    checkpoint: bytes
    vkey: str
    stored: list[Stored]


class _Vault(Server):
    """The server, except for the least size of parts."""

    program = (sys.executable, "-c", _SMALL_PARTS)


class _Client:
    """Stores, and remembers what was stored."""

    def __init__(self, server: Server) -> None:
        self.stored: list[Stored] = []
        self.s3: Any = boto3.client(
            "s3",
            endpoint_url=server.endpoint,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name="us-east-1",
            config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
        )

    def close(self) -> None:
        self.s3.close()

    def put(self, bucket: str, key: str, body: bytes = _BODY, **more: Any) -> str:
        """Store a version that stays."""
        version: str = self.s3.put_object(Bucket=bucket, Key=key, Body=body, **more).get("VersionId", "")
        mode = more.get("ObjectLockMode", "")
        hold = more.get("ObjectLockLegalHoldStatus") == "ON"
        digest = hashlib.sha256(body).hexdigest()
        self.stored.append(Stored(bucket, key, version, digest, mode, UNTIL if mode else "", hold))
        return version

    def refused(self, call: str, code: str, **arguments: Any) -> None:
        """Ask for what is refused: that is a record too."""
        with pytest.raises(ClientError, match=rf"\({code}\)"):
            getattr(self.s3, call)(**arguments)


def live(root: Path) -> Life:
    """Make a vault below ``root``, which must be empty, and let it live until it is stopped in order."""
    server = _Vault(root, _FAST)
    vkey = server.cli("log", "vkey", STREAM).stdout
    with closing(_Client(server)) as client:
        _store(client)
        _delete(client)
        _administer(server, client)
        checkpoint = _checkpoint(server)
        _until_erased(server, client)
        server.kill()
        server.start()  # the last good group is written again
        client.put("trades", "after a kill")
        server.kill()
        _tear(server.data)
        server.start()  # what is torn goes to quarantine
        client.put("trades", "after a torn group")
    assert server.stop() == 0, server.errors
    return Life(server.data, checkpoint, vkey, client.stored)


def _store(client: _Client) -> None:
    s3 = client.s3
    locked: dict[str, Any] = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": UNTIL}
    s3.create_bucket(Bucket="trades", ObjectLockEnabledForBucket=True)
    s3.create_bucket(Bucket="plain")
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    s3.create_bucket(Bucket="defaults", ObjectLockEnabledForBucket=True)
    s3.put_object_lock_configuration(
        Bucket="defaults", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    s3.put_object(Bucket="defaults", Key="short", Body=_BODY)
    kept: dict[str, Any] = {"Metadata": {"desk": "rates"}, "ContentType": "text/csv", "ChecksumAlgorithm": "SHA256"}
    client.put("trades", "locked", **locked, **kept)
    client.put("trades", "//x/../y \u00fc\u6f22", **locked)
    client.put("trades", "empty", b"", **locked)
    client.put("trades", "blob", _BLOB, **locked)
    client.put("trades", "held", ObjectLockLegalHoldStatus="ON")
    client.put("trades", "governed", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=UNTIL)
    for body in (b"one", b"two", b"three"):
        client.put("trades", "versions", body)
    client.put("plain", "replaced", b"first")
    client.stored.pop()
    client.put("plain", "replaced", b"second")
    _upload(client, locked)


def _upload(client: _Client, lock: dict[str, str]) -> None:
    """Three uploads: completed, aborted, and left open."""
    s3, bodies = client.s3, (b"part one, ", b"part two")
    for key in ("parts", "aborted", "open"):
        named = {"Bucket": "trades", "Key": key}
        upload = s3.create_multipart_upload(**named, **lock)["UploadId"]
        done = []
        for number, body in enumerate(bodies, 1):
            made = s3.upload_part(**named, UploadId=upload, PartNumber=number, Body=body)
            done.append({"PartNumber": number, "ETag": made["ETag"], "ChecksumCRC32": made["ChecksumCRC32"]})
        if key == "parts":
            version = s3.complete_multipart_upload(**named, UploadId=upload, MultipartUpload={"Parts": done})[
                "VersionId"
            ]
            digest = hashlib.sha256(b"".join(bodies)).hexdigest()
            client.stored.append(Stored("trades", key, version, digest, "COMPLIANCE", UNTIL))
        elif key == "aborted":
            s3.abort_multipart_upload(**named, UploadId=upload)


def _delete(client: _Client) -> None:
    """What is deleted and will be erased, what is hidden, and what is refused."""
    s3 = client.s3
    for key, body in (("gone", _BODY), ("gone blob", _BLOB)):
        version = s3.put_object(Bucket="trades", Key=key, Body=body)["VersionId"]
        s3.delete_object(Bucket="trades", Key=key, VersionId=version)
    bypassed = s3.put_object(
        Bucket="trades", Key="bypassed", Body=_BODY, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=UNTIL
    )["VersionId"]
    named = {"Bucket": "trades", "Key": "bypassed", "VersionId": bypassed}
    client.refused("delete_object", "AccessDenied", **named)
    s3.delete_object(**named, BypassGovernanceRetention=True)
    s3.delete_object(Bucket="trades", Key="versions")  # a delete marker
    for stored in client.stored[:2]:
        client.refused("delete_object", "AccessDenied", Bucket="trades", Key=stored.key, VersionId=stored.version_id)
    released = s3.put_object(Bucket="trades", Key="released", Body=_BODY, ObjectLockLegalHoldStatus="ON")["VersionId"]
    s3.put_object_legal_hold(Bucket="trades", Key="released", VersionId=released, LegalHold={"Status": "OFF"})
    retention = {"Mode": "COMPLIANCE", "RetainUntilDate": UNTIL}
    s3.put_object_retention(Bucket="trades", Key="released", VersionId=released, Retention=retention)
    digest = hashlib.sha256(_BODY).hexdigest()
    client.stored.append(Stored("trades", "released", released, digest, "COMPLIANCE", UNTIL))
    client.refused("get_object", "NoSuchKey", Bucket="trades", Key="gone")


def _administer(server: Server, client: _Client) -> None:
    """Principals who stay and go, and a stranger."""
    for name, role in (("app", "writer"), ("leaver", "reader"), ("examiner", "auditor")):
        made = json.loads(server.cli("principal", "add", name, "--role", role, "--json").stdout)
        if name == "leaver":
            assert server.cli("principal", "disable", made["access_key"]).returncode == 0
    stranger = boto3.client(
        "s3", endpoint_url=server.endpoint, aws_access_key_id="nobody", aws_secret_access_key="x", region_name="x"
    )
    with closing(stranger), closing(client.s3.get_object(Bucket="trades", Key="blob")["Body"]) as body:
        assert body.read() == _BLOB
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            stranger.list_buckets()


def _checkpoint(server: Server) -> bytes:
    with urlopen(f"{server.audit_endpoint}/v1/log/{STREAM}/checkpoint") as answer:  # noqa: S310 - our own server
        found: bytes = answer.read()
    return found


def _until_erased(server: Server, client: _Client) -> None:
    """Fill the commit log until records and bodies have settled and what was deleted is erased."""
    end = time.monotonic() + 4 * PATIENCE
    while True:
        for _ in range(100):
            client.s3.head_object(Bucket="trades", Key="locked")
        told = json.loads(command("verify", server.data, "--json").stdout)
        assert told["result"] == "good", told
        if "erasure" in {state["name"] for state in told["states"]}:
            return
        assert time.monotonic() < end, told


def _tear(data: Path) -> None:
    """Put the beginning of a group after the last good one, as a write that a power cut ended."""
    segment = max((data / "streams" / STREAM / "commit").iterdir())
    end = -(-len(segment.read_bytes().rstrip(b"\0")) // _BLOCK) * _BLOCK
    with segment.open("r+b") as file:
        file.seek(end)
        file.write(b"SRGRPv1\n" + b"\x55" * 500)
