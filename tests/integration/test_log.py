"""The log of a real server: every line an object, nothing in it that somebody may not read."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.integration.s3.calls import later, raw, refused, send, signed
from tests.integration.served import Server, command

if TYPE_CHECKING:
    from pathlib import Path

FIELDS = {
    "time", "level", "logger", "message", "request_id", "code", "op", "status", "seconds", "received_bytes",
    "sent_bytes", "exception",
}  # fmt: skip
#: What requests bring that nobody is to find in the log.
BUCKET, KEY, BODY, VALUE, AGENT = "bucket-zq1", "folder-zq2/key-zq3", b"content-zq4", "value-zq5", "agent-zq6"
PERSON, THEIR_KEY, THEIR_SECRET = "person-zq7", "KEYOFZQ8", "secret-zq9-long-enough-for-a-key"
SIGNATURE = re.compile(r"[0-9a-f]{64}|AWS4-HMAC|Signature=|X-Amz-|AKIA", re.IGNORECASE)


@dataclass(frozen=True)
class Used:
    """A server that was asked everything, and stopped; whoever starts it stops it.

    Attributes:
        ids: Of its answers.
        secrets: What it was told or told itself.
        text: What it wrote until then, everything that it ever writes.
    """

    server: Server
    ids: list[str]
    secrets: list[str]
    text: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Used:
    server = Server(
        tmp_path_factory.mktemp("log"),
        {"STRONGROOM_LOG__FORMAT": "auto", "STRONGROOM_LOG__LEVEL": "debug", "STRONGROOM_LOG__ACCESS": "true"},
    )
    try:
        ids, secrets = use(server)
    finally:
        code = server.stop()
    assert code == 0, server.errors
    return Used(server, ids, secrets, server.errors)


def client(server: Server, access_key: str, secret: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
            user_agent=AGENT,
        ),
    )


def use(server: Server) -> tuple[list[str], list[str]]:
    """Every kind of request there is, good, refused, and signed for nobody: ids of the answers, and what was secret."""
    ids: list[str] = []
    s3 = client(server, server.access_key, server.secret_key)

    def answered(parsed: dict[str, Any], **_: object) -> None:
        ids.append(parsed["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"])

    s3.meta.events.register("after-call", answered)
    named = {"Bucket": BUCKET, "Key": KEY}
    s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": later()}
    put = s3.put_object(**named, Body=BODY, Metadata={"name": VALUE}, ChecksumAlgorithm="SHA256", **lock)
    version = put["VersionId"]
    s3.get_object(**named, Range="bytes=1-2")["Body"].read()
    s3.head_object(**named)
    s3.list_objects_v2(Bucket=BUCKET, Prefix=KEY[:6])
    s3.put_object_legal_hold(**named, LegalHold={"Status": "ON"})
    assert refused(s3.delete_object, **named, VersionId=version).code == "AccessDenied"
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": KEY, "VersionId": version}]})
    assert refused(s3.get_object, **named, IfMatch='"zq"').status == 412
    with pytest.raises(ClientError):
        s3.get_object(**named, IfNoneMatch=put["ETag"])
    upload = s3.create_multipart_upload(**named)["UploadId"]
    s3.upload_part(**named, UploadId=upload, PartNumber=1, Body=BODY)
    unknown = {"UploadId": f"{upload}x", "MultipartUpload": {"Parts": []}}
    assert refused(s3.complete_multipart_upload, **named, **unknown).status == 400
    s3.abort_multipart_upload(**named, UploadId=upload)
    assert refused(s3.get_object, Bucket=BUCKET, Key=f"{KEY}-none").status == 404
    assert refused(s3.get_bucket_acl, Bucket=BUCKET).status == 501

    target = f"/{BUCKET}/{KEY}"
    good = s3.generate_presigned_url("get_object", named, ExpiresIn=60)
    assert httpx.get(good).content == BODY
    assert httpx.get(good.replace("X-Amz-Signature=", "X-Amz-Signature=0")).status_code >= 400
    assert httpx.get(good.replace("X-Amz-Expires=60", "X-Amz-Expires=1")).status_code == 403
    headers = signed(server, "GET", target)
    forged = headers | {"Authorization": headers["Authorization"].replace(server.access_key, "AKIAZQ10")}
    assert send(server, "GET", target, forged).status == 403
    assert send(server, "GET", target, headers | {"Authorization": f"AWS {server.access_key}:{VALUE}"}).status >= 400
    assert send(server, "GET", target, {}).status == 403
    assert raw(server, "PUT", target, {"x-amz-tagging": VALUE}).status == 501
    assert raw(server, "PUT", target, {"Content-MD5": VALUE}, BODY).status == 400
    assert raw(server, "PATCH", target).status == 405
    assert raw(server, "GET", f"{target}%00{VALUE}").status >= 400

    added = server.cli(
        "principal", "add", PERSON, "--role", "writer", "--access-key", THEIR_KEY, "--secret-stdin", stdin=THEIR_SECRET
    )
    assert added.returncode == 0, added.stderr
    theirs = client(server, THEIR_KEY, THEIR_SECRET)
    assert refused(theirs.delete_object, **named, VersionId=version).status == 403
    assert refused(client(server, THEIR_KEY, "wrong").get_object, **named).status == 403
    shown, token = look(server)
    for path in ("/readyz", f"/v1/log/{KEY}/checkpoint", f"/v1/log/site-a.node-1/{KEY}", f"/{VALUE}?token={VALUE}"):
        answer = httpx.get(f"{server.audit_endpoint}{path}", headers={"Authorization": f"Bearer {THEIR_SECRET}"})
        ids.append(answer.headers["x-request-id"])
    return [*shown, *ids], [
        token,
        upload,
        version,
        put["ETag"].strip('"'),
        server.secret_key,
        server.access_key,
    ]


def look(server: Server) -> tuple[list[str], str]:
    """Ask for records, as somebody may and once as nobody can: ids of the first two answers, and the token."""
    made = json.loads(server.cli("principal", "add", f"{PERSON}-2", "--role", "auditor", "--json").stdout)
    token = server.cli("token", "add", made["access_key"], "--days", "1").stdout.strip()
    headers = {"Authorization": f"Bearer {token}"}
    paths = (f"/v1/records?bucket={BUCKET}", f"/v1/objects/{BUCKET}/{KEY}", f"/v1/records?made-up={VALUE}")
    answers = [httpx.get(f"{server.audit_endpoint}{path}", headers=headers) for path in paths]
    assert [answer.status_code for answer in answers] == [200, 200, 400]
    return [answer.headers["x-request-id"] for answer in answers[:2]], token


def test_it_holds_no_secret_and_names_nothing_that_is_stored(used: Used) -> None:
    assert "zq" not in used.text.lower()
    for secret in used.secrets:
        assert secret not in used.text
    assert SIGNATURE.findall(used.text) == []
    assert all(line.keys() <= FIELDS for line in used.lines)
    assert set(used.ids) <= {line.get("request_id") for line in used.lines}


def test_each_refused_request_has_one_line_beside_that_of_its_answer(used: Used) -> None:
    of_answers = [line for line in used.lines if line["logger"].endswith(".access")]
    others = [line for line in used.lines if line.get("request_id") and not line["logger"].endswith(".access")]
    failed = [line["request_id"] for line in of_answers if line["status"] >= 300]
    assert len(failed) > 15
    assert sorted(line["request_id"] for line in others) == sorted(failed)
    assert {line["level"] for line in others} == {"info", "debug"}
    denied = [line for line in others if line.get("op") == "object.delete"]
    assert {(line["level"], line["code"]) for line in denied} == {("info", "AccessDenied")}


def test_a_successful_request_has_none_unless_that_is_wished(used: Used) -> None:
    server = used.server
    before = len(server.errors.splitlines())
    server.start({"STRONGROOM_LOG__ACCESS": "false", "STRONGROOM_LOG__LEVEL": "info"})
    client(server, server.access_key, server.secret_key).get_object(Bucket=BUCKET, Key=KEY)["Body"].read()
    assert send(server, "GET", f"/{BUCKET}/{KEY}", {}).status == 403
    assert httpx.get(f"{server.audit_endpoint}/{VALUE}").status_code == 404
    assert server.stop() == 0
    assert [json.loads(line)["logger"] for line in server.errors.splitlines()[before:]] == ["audit.start", "audit.node"]


def test_the_id_of_an_answer_leads_to_its_record(used: Used, tmp_path: Path) -> None:
    assert used.server.cli("log", "export", "site-a.node-1", tmp_path / "export").returncode == 0
    entries = b"".join(file.read_bytes() for file in (tmp_path / "export").rglob("entries/**/*") if file.is_file())
    denied = [
        line["request_id"] for line in used.lines if (line["level"], line.get("code")) == ("info", "AccessDenied")
    ]
    assert denied
    for own in (*denied, *used.ids[:7]):
        assert entries.count(f'"request_id":"{own}"'.encode()) == 1


def test_a_start_that_fails_says_so_in_the_same_form(tmp_path: Path) -> None:
    failed = command("serve", "--data", tmp_path, env={"STRONGROOM_LOG__FORMAT": "json"})
    assert failed.returncode == 2
    (line,) = map(json.loads, failed.stderr.splitlines())
    assert (line["level"], line["code"]) == ("critical", "not-initialised")
    assert "strongroom init" in line["message"]


def test_at_a_terminal_it_is_text(tmp_path: Path) -> None:
    program = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"
    shown = command(
        "-c", program, sys.executable, "-c", "from audit.cli import main; main()", "serve", "--data", tmp_path,
        env={"STRONGROOM_LOG__FORMAT": "auto"}, program=(sys.executable,),
    )  # fmt: skip
    assert shown.returncode == 2
    assert "Error: " in shown.stdout
    assert "{" not in shown.stdout
