"""What was once answered or recorded wrongly, and must not be again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import count
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.integration.s3.calls import raw, refused, send, soon, until
from tests.integration.s3.test_known_holes import exported, rule
from tests.unit.s3.signer import Signer

if TYPE_CHECKING:
    from tests.integration.s3.connection import Connection
    from tests.integration.served import Server

_buckets = count(1)


def chunked(server: Server, target: str, trailer: bytes) -> bytes:
    """A signed PUT of ``hello``, its framing in the chunks of the connection, with trailer fields: all in one piece."""
    headers = {
        "host": urlsplit(server.endpoint).netloc,
        "transfer-encoding": "chunked",
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "5",
    }
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    signer = Signer(server.access_key, server.secret_key.encode(), now, region="us-east-1")
    request = signer.header("PUT", target, "", headers, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
    lines = [f"PUT {target} HTTP/1.1".encode(), *(name + b": " + value for name, value in request.headers), b"", b""]
    framed = b"5\r\nhello\r\n0\r\n\r\n"
    return b"\r\n".join(lines) + b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(framed), framed, trailer)


def test_trailer_fields_never_join_the_head(server: Server, s3: Any, connection: Connection, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    trailer = b"Content-Type: text/html\r\nif-none-match: *\r\nx-amz-meta-a: b\r\nHost: elsewhere\r\n"
    connection.send(chunked(server, f"/{bucket}/k", trailer))
    assert connection.answer()[0] == 200
    found = s3.get_object(Bucket=bucket, Key="k")
    assert found["Body"].read() == b"hello"
    assert (found["ContentType"], found["Metadata"]) == ("binary/octet-stream", {})
    connection.head("GET", f"/{bucket}/k", {})
    assert connection.answer()[2] == b"hello"


def test_too_many_trailer_fields_are_answered_400_and_closed(
    server: Server, s3: Any, connection: Connection, bucket: str
) -> None:
    connection.send(chunked(server, f"/{bucket}/k", b"x-filler: %s\r\n" % (b"x" * 1000) * 9))
    assert connection.answer()[0] == 400
    assert connection.ended()
    assert refused(s3.head_object, Bucket=bucket, Key="k").status == 404


def test_a_date_that_no_calendar_has_is_no_condition_and_one_record(server: Server, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    before = int(raw(server, "GET", f"/{bucket}?location").headers["x-strongroom-record"].split("/")[1])
    date = {"If-Modified-Since": "Sun, 22 Nov 99999999999999999999 16:46:08 GMT"}
    answer = raw(server, "GET", f"/{bucket}/k", date)
    assert (answer.status, answer.body) == (200, b"hello")
    assert int(answer.headers["x-strongroom-record"].split("/")[1]) == before + 1
    after = int(raw(server, "GET", f"/{bucket}?location").headers["x-strongroom-record"].split("/")[1])
    assert after == before + 2


def test_a_presigned_url_makes_no_stricter_bucket_than_was_signed(server: Server, s3: Any) -> None:
    name = f"presigned-{next(_buckets)}"
    url = s3.generate_presigned_url("create_bucket", {"Bucket": name})
    target = url.removeprefix(server.endpoint)
    answer = send(server, "PUT", target, {"x-strongroom-bucket-strict": "true"})
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert refused(s3.head_bucket, Bucket=name).status == 404
    assert send(server, "PUT", target, {}).status == 200
    s3.put_object(Bucket=name, Key="k", Body=b"1")
    s3.put_object(Bucket=name, Key="k", Body=b"2")  # it is not strict


def test_a_strict_bucket_without_versions_keeps_what_a_delete_would_exchange(server: Server, s3: Any) -> None:
    name = f"strictly-{next(_buckets)}"
    assert raw(server, "PUT", f"/{name}", {"x-strongroom-bucket-strict": "true"}).status == 200
    s3.put_object(Bucket=name, Key="k", Body=b"1")
    assert refused(s3.delete_object, Bucket=name, Key="k").brief == (403, "AccessDenied")
    assert refused(s3.put_object, Bucket=name, Key="k", Body=b"2").brief == (403, "AccessDenied")
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"1"


@pytest.mark.parametrize("parameter", ["%58-Amz-Signature", "X-Amz-%53ignature", "x-amz-signature", "%53ignature"])
def test_what_may_be_a_signature_is_in_no_record(server: Server, bucket: str, parameter: str) -> None:
    secret = "5ec2e7" * 10
    answer = raw(server, "GET", f"/{bucket}?location&{parameter}={secret}")
    assert answer.status in {200, 400, 403, 501}
    stream, seq, _ = raw(server, "GET", f"/{bucket}?location").headers["x-strongroom-record"].split("/")
    record = exported(server, stream, int(seq) - 1)
    told = answer.headers.get("x-strongroom-record", "")
    assert told in {"", f"{stream}/{int(seq) - 1}/{told.rpartition('/')[2]}"}
    assert secret not in json.dumps(record)


def test_an_upload_whose_lock_is_over_when_it_is_completed_gets_the_default(s3: Any, locked: str) -> None:
    rule(s3, locked, Mode="COMPLIANCE", Days=3)
    upload: dict[str, Any] = {"Bucket": locked, "Key": "k"}
    short = soon(3)
    made = s3.create_multipart_upload(**upload, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=short)
    upload["UploadId"] = made["UploadId"]
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"x")["ETag"]
    until(lambda: soon(-1) > short)
    version = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})[
        "VersionId"
    ]
    found = s3.head_object(Bucket=locked, Key="k")
    assert found["ObjectLockMode"] == "COMPLIANCE"
    assert found["ObjectLockRetainUntilDate"] > soon(2 * 86_400)
    refusal = refused(s3.delete_object, Bucket=locked, Key="k", VersionId=version, BypassGovernanceRetention=True)
    assert refusal.brief == (403, "AccessDenied")
