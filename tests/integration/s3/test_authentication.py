from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from tests.integration.s3.calls import Answer, later, refused, send, signed

if TYPE_CHECKING:
    from tests.integration.served import Server


def client(server: Server, **changes: str) -> Any:
    arguments = {"aws_access_key_id": server.access_key, "aws_secret_access_key": server.secret_key} | changes
    config = Config(signature_version="s3v4", s3={"addressing_style": "path"}, retries={"total_max_attempts": 1})
    return boto3.client(
        "s3", endpoint_url=server.endpoint, region_name="us-east-1", config=config, **arguments
    )  # fmt: skip


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    """A bucket with ``k``."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    return bucket


def fetch(server: Server, url: str, method: str = "GET", body: bytes = b"") -> Answer:
    """Use a URL as a browser would."""
    return send(server, method, url.removeprefix(server.endpoint), {}, body)


def test_a_request_without_a_signature_is_denied(server: Server, stored: str) -> None:
    answer = fetch(server, f"{server.endpoint}/{stored}/k")
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert "x-strongroom-record" not in answer.headers


def test_a_wrong_secret_is_refused(server: Server, stored: str) -> None:
    refusal = refused(client(server, aws_secret_access_key="wrong").get_object, Bucket=stored, Key="k")
    assert refusal.brief == (403, "SignatureDoesNotMatch")


def test_an_unknown_key_is_refused(server: Server, stored: str) -> None:
    refusal = refused(client(server, aws_access_key_id="AKIAUNKNOWN").get_object, Bucket=stored, Key="k")
    assert refusal.brief == (403, "InvalidAccessKeyId")


def test_a_session_token_is_refused(server: Server, stored: str) -> None:
    refusal = refused(client(server, aws_session_token="token").get_object, Bucket=stored, Key="k")
    assert refusal.brief == (501, "NotImplemented")


def test_a_presigned_url_works_until_it_is_changed(server: Server, s3: Any, stored: str) -> None:
    url = s3.generate_presigned_url("get_object", {"Bucket": stored, "Key": "k"}, ExpiresIn=60)
    assert fetch(server, url).body == b"hello"
    assert fetch(server, url.replace("/k?", "/other?")).code == "SignatureDoesNotMatch"
    assert fetch(server, f"{url}&versionId=null").code == "SignatureDoesNotMatch"


def test_a_presigned_upload_carries_its_headers(server: Server, s3: Any, locked: str) -> None:
    arguments = {"Bucket": locked, "Key": "k"}
    assert fetch(server, s3.generate_presigned_url("put_object", arguments), "PUT", b"x").status == 200
    assert s3.get_object(Bucket=locked, Key="k")["Body"].read() == b"x"


def test_an_expired_presigned_url_is_refused(server: Server, stored: str) -> None:
    url = (
        f"{server.endpoint}/{stored}/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20200101T000000Z&X-Amz-Expires=60"
        f"&X-Amz-Credential={server.access_key}%2F20200101%2Fus-east-1%2Fs3%2Faws4_request"
        f"&X-Amz-SignedHeaders=host&X-Amz-Signature={'0' * 64}"
    )
    answer = fetch(server, url)
    assert (answer.status, answer.code, answer.message) == (403, "AccessDenied", "Request has expired")


def test_version_2_signatures_are_refused_with_what_to_set(server: Server, stored: str) -> None:
    old = boto3.client(
        "s3", endpoint_url=server.endpoint, region_name="us-east-1", aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key, config=Config(signature_version="s3"),
    )  # fmt: skip
    answer = fetch(server, old.generate_presigned_url("get_object", {"Bucket": stored, "Key": "k"}))
    assert answer.status == 400
    assert "s3v4" in answer.message


def test_a_header_that_was_not_signed_is_refused(server: Server, stored: str) -> None:
    headers = signed(server, "DELETE", f"/{stored}/k") | {"x-amz-bypass-governance-retention": "true"}
    answer = send(server, "DELETE", f"/{stored}/k", headers)
    assert (answer.status, answer.code) == (403, "AccessDenied")
    assert "not signed" in answer.message


def test_a_body_that_was_not_signed_is_refused(server: Server, s3: Any, stored: str) -> None:
    headers = signed(server, "PUT", f"/{stored}/k", {}, b"hello")
    answer = send(server, "PUT", f"/{stored}/k", headers, b"other")
    assert (answer.status, answer.code) == (400, "XAmzContentSHA256Mismatch")
    assert s3.get_object(Bucket=stored, Key="k")["Body"].read() == b"hello"


def added(server: Server, name: str, role: str) -> Any:
    """A client of a new principal."""
    made = server.cli("principal", "add", name, "--role", role, "--access-key", name, "--secret-stdin", stdin="s" * 40)
    assert made.returncode == 0, made.stderr
    return client(server, aws_access_key_id=name, aws_secret_access_key="s" * 40)


def test_a_reader_reads_and_does_nothing_else(server: Server, stored: str) -> None:
    reader = added(server, "READER", "reader")
    assert reader.get_object(Bucket=stored, Key="k")["Body"].read() == b"hello"
    for call, arguments in (
        (reader.put_object, {"Body": b"x"}),
        (reader.delete_object, {}),
        (reader.put_object_legal_hold, {"LegalHold": {"Status": "ON"}}),
    ):
        refusal = refused(call, Bucket=stored, Key="k", **arguments)
        assert refusal.brief == (403, "AccessDenied")
        assert "x-strongroom-record" in refusal.headers


def test_a_disabled_principal_is_refused(server: Server, stored: str) -> None:
    leaver = added(server, "LEAVER", "reader")
    assert leaver.head_object(Bucket=stored, Key="k")["ContentLength"] == 5
    assert server.cli("principal", "disable", "LEAVER").returncode == 0
    assert refused(leaver.get_object, Bucket=stored, Key="k").status == 403


def test_a_writer_sees_neither_locks_nor_objects(server: Server, s3: Any, locked: str) -> None:
    writer = added(server, "WRITER", "writer")
    writer.put_object(Bucket=locked, Key="k", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=later())
    assert "ObjectLockMode" not in writer.head_object(Bucket=locked, Key="k")
    assert refused(writer.get_object, Bucket=locked, Key="k").status == 403
    assert s3.head_object(Bucket=locked, Key="k")["ObjectLockMode"] == "GOVERNANCE"
