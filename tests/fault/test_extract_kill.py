"""kill -9 in the middle of an archive of 100,000 members: those up to some point are there, whole, and no others."""

from __future__ import annotations

import hashlib
import json
import signal
import time
from http.client import HTTPException
from threading import Thread
from typing import TYPE_CHECKING, Any, Final

import boto3
import pytest
from botocore.config import Config

from tests.doubles.archives import END, member
from tests.fault.judge import verified
from tests.integration.s3.calls import Answer, raw
from tests.integration.served import Server, command

if TYPE_CHECKING:
    from pathlib import Path

MEMBERS: Final = 100_000
BUCKET: Final = "struck"
HEADERS: Final = {"x-amz-meta-snowball-auto-extract": "true"}


def name(number: int) -> str:
    return f"batch/{number:06d}"


def content(number: int) -> bytes:
    return hashlib.shake_128(b"%d" % number).digest(number % 200)


@pytest.fixture(scope="module")
def archive() -> bytes:
    return b"".join(member(name(number).encode(), content(number)) for number in range(MEMBERS)) + END


def client(server: Server) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )


def listed(s3: Any) -> list[str]:
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=BUCKET)
    return [each["Key"] for page in pages for each in page.get("Versions", [])]


def recorded(server: Server, target: Path) -> list[tuple[str, str, str]]:
    """Key, outcome and request of every ``object.put``, in order."""
    done = command("log", "export", "site-a.node-1", target, "--data", server.data)
    assert done.returncode == 0, done.stderr
    found = []
    for bundle in sorted(path for path in (target / "tile" / "entries").rglob("*") if path.is_file()):
        rest = bundle.read_bytes()
        while rest:
            length = int.from_bytes(rest[:2], "big")
            record, rest = json.loads(rest[2 : 2 + length]), rest[2 + length :]
            if record["op"] == "object.put":
                found.append((record["object"]["key"], record["outcome"], record["origin"]["request_id"]))
    return found


@pytest.mark.timeout(240)
@pytest.mark.parametrize("point", ["commit.before-write:60", "commit.after-write:60", ""])
def test_a_kill_leaves_the_members_up_to_some_point(tmp_path: Path, archive: bytes, point: str) -> None:
    server = Server(tmp_path)
    assert raw(server, "PUT", f"/{BUCKET}", {"x-amz-bucket-object-lock-enabled": "true"}).status == 200
    assert server.stop() == 0
    server.start({"STRONGROOM_CRASH_POINT": point} if point else None)
    answers: list[Answer | OSError | HTTPException] = []

    def send() -> None:
        try:
            answers.append(raw(server, "PUT", f"/{BUCKET}/a.tar", HEADERS, archive))
        except (OSError, HTTPException) as error:
            answers.append(error)

    sending = Thread(target=send)
    sending.start()
    if point:
        assert server.wait() == -signal.SIGKILL, server.errors
    else:
        s3 = client(server)
        while len(s3.list_objects_v2(Bucket=BUCKET, Prefix=name(30_000)[:-3]).get("Contents", [])) == 0:
            time.sleep(0.02)
        server.kill()
    sending.join()
    assert not isinstance(answers[0], Answer), "somebody was told something"
    assert verified(server.data) == ""

    server.start()
    s3 = client(server)
    there = listed(s3)
    assert 0 < len(there) < MEMBERS
    assert there == [name(number) for number in range(len(there))]
    for number in {0, len(there) - 1, *range(0, len(there), 997)}:
        assert s3.get_object(Bucket=BUCKET, Key=name(number))["Body"].read() == content(number)
    assert list((server.data / "stage").iterdir()) == []
    assert server.stop() == 0, server.errors
    assert verified(server.data) == ""
    records = recorded(server, tmp_path / "exported")
    assert [(key, outcome) for key, outcome, _ in records] == [(key, "success") for key in there]
    assert len({request for _, _, request in records}) == 1
