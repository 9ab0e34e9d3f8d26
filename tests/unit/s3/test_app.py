from __future__ import annotations

import asyncio
import logging
from typing import Any, cast
from urllib.parse import quote

import pytest

from tests.doubles.asgi import Client
from tests.doubles.s3_service import RECORD, FakeService
from tests.unit.s3.signer import Request, Signer
from tests.unit.s3.wire import BUCKET, WALL, Wire, crc32, error, read, texts
from vault.errors import CorruptError, IntegrityError, OutcomeUnknown, S3Error, Unavailable
from vault.s3.app import S3App
from vault.service.results import BucketResult, PutResult


@pytest.mark.parametrize(
    ("request_", "code", "reason"),
    [
        (Request("GET", b"/bucket/key"), (403, "AccessDenied"), "anonymous"),
        (Signer(access_key="AKIAUNKNOWN").header(), (403, "InvalidAccessKeyId"), "unknown_access_key"),
        (Signer(secret=b"wrong").header(), (403, "SignatureDoesNotMatch"), "signature"),
        (Signer(amz_date="20261122T110000Z").header(), (403, "RequestTimeTooSkewed"), "skewed"),
        (Request("PUT", b"/" + b"k" * 9000), (400, "InvalidURI"), "too_large"),
    ],
)
def test_requests_without_a_valid_signature_are_counted_and_never_reach_the_service(
    request_: Request, code: tuple[int, str], reason: str
) -> None:
    wire = Wire()
    answer = wire.send(request_)
    assert error(answer) == code
    assert wire.service.counted == [("192.0.2.7", reason)]
    assert (wire.service.calls, wire.recorded) == ([], 0)
    assert "x-strongroom-record" not in answer.headers


def test_without_a_durable_window_nobody_learns_why_a_signature_failed() -> None:
    wire = Wire(FakeService(fails=Unavailable("full")))
    answer = wire.send(Request("GET", b"/bucket/key"))
    assert error(answer) == (503, "ServiceUnavailable")
    assert answer.headers["retry-after"] == "1"


def test_the_record_says_who_asked_from_where_and_for_what() -> None:
    wire = Wire()
    headers = {"user-agent": "a" * 300, "x-forwarded-for": "198.51.100.1", "forwarded": "for=198.51.100.1"}
    answer = wire.ask("GET", "/bucket/a%2Fb?versionId=v&x-id=GetObject", headers, objects__get=read(b"hello world"))
    assert answer.status == 200
    caller = wire.service.call.caller
    assert caller.actor.id == "p-1"
    assert caller.actor.roles == ("root",)
    assert (caller.origin.via, caller.origin.ip) == ("s3", "192.0.2.7")  # the socket's, whatever headers say
    assert caller.origin.agent == "a" * 256
    assert caller.origin.request_id == answer.headers["x-amz-request-id"]
    assert caller.http == "GET /bucket/a%2Fb?versionId=v&x-id=GetObject"
    assert caller.received == WALL


def test_what_signs_a_request_or_was_moved_to_its_query_is_not_in_the_record() -> None:
    wire = Wire()
    wire.service.answers["objects.get"] = read(b"hello world")
    request = Signer().presign()
    assert wire.send(request).status == 200
    assert wire.service.call.caller.http == "GET /bucket/key"


def test_a_client_without_an_address_is_served() -> None:
    answer = Wire().ask("HEAD", "/bucket", client=Client(address=None), buckets__head=BucketResult(BUCKET, RECORD))
    assert answer.status == 200


@pytest.mark.parametrize(
    ("method", "target", "headers", "expected", "op"),
    [
        ("GET", "/bucket?acl", {}, (501, "NotImplemented"), "request.refused"),
        ("PATCH", "/bucket/key", {}, (405, "MethodNotAllowed"), "request.refused"),
        ("GET", "/bucket/%ff", {}, (400, "InvalidURI"), "request.refused"),
        ("GET", "/bucket?prefix=%FF", {}, (400, "InvalidURI"), "request.refused"),
        ("PUT", "/bucket/key", {"x-amz-copy-source": "/b/k"}, (501, "NotImplemented"), "object.put"),
        ("DELETE", "/bucket/key", {"if-match": "e"}, (501, "NotImplemented"), "object.delete"),
        ("GET", "/BUCKET/key", {}, (400, "InvalidBucketName"), "object.get"),
        ("GET", "/bucket/" + "k" * 1025, {}, (400, "KeyTooLongError"), "object.get"),
        ("GET", "/bucket/key?versionId", {}, (400, "InvalidArgument"), "object.get"),
        ("GET", "/bucket/key?partNumber=0", {}, (400, "InvalidArgument"), "object.get"),
        ("GET", "/bucket/key?partNumber=1", {"range": "bytes=0-1"}, (400, "InvalidRequest"), "object.get"),
        ("GET", "/bucket/key?response-expires=%0D%0Ax", {}, (400, "InvalidArgument"), "object.get"),
        ("PUT", "/bucket/key", {}, (411, "MissingContentLength"), "object.put"),
        ("PUT", "/bucket/key", {"transfer-encoding": "chunked"}, (411, "MissingContentLength"), "object.put"),
        ("PUT", "/bucket/key", {"content-length": str(5 * 2**30 + 1)}, (400, "EntityTooLarge"), "object.put"),
        ("PUT", "/bucket/key", {"content-length": "1", "content-md5": "x"}, (400, "InvalidDigest"), "object.put"),
        (
            "PUT", "/bucket/key", {"content-length": "1", "x-amz-checksum-crc32": "x"}, (400, "InvalidRequest"),
            "object.put",
        ),
        (
            "PUT", "/bucket/key", {"content-length": "1", "x-amz-object-lock-mode": "GOVERNANCE"},
            (400, "InvalidArgument"), "object.put",
        ),
        (
            "PUT", "/bucket/key", {"content-length": "1", "x-amz-object-lock-legal-hold": "ON"},
            (400, "InvalidRequest"), "object.put",
        ),
        ("PUT", "/bucket/key", {"content-length": "1", "if-none-match": "e"}, (501, "NotImplemented"), "object.put"),
        (
            "DELETE", "/bucket/key", {"x-amz-bypass-governance-retention": "yes"}, (400, "InvalidArgument"),
            "object.delete",
        ),
        ("GET", "/bucket?list-type=1", {}, (400, "InvalidArgument"), "object.list"),
        ("GET", "/bucket?list-type=2&continuation-token=", {}, (400, "InvalidArgument"), "object.list"),
        ("GET", "/bucket?max-keys=-1", {}, (400, "InvalidArgument"), "object.list"),
        ("GET", "/bucket?max-keys=blah", {}, (400, "InvalidArgument"), "object.list"),
        ("GET", "/bucket?max-keys=", {}, (400, "InvalidArgument"), "object.list"),
        ("GET", "/bucket?encoding-type=x", {}, (400, "InvalidArgument"), "object.list"),
        ("GET", "/bucket?versions&version-id-marker=v", {}, (400, "InvalidArgument"), "object.versions"),
        ("PUT", "/bucket/key?uploadId=u&partNumber=10001", {}, (400, "InvalidArgument"), "multipart.part"),
        ("PUT", "/bucket/key?uploadId=u", {"content-length": "0"}, (400, "InvalidArgument"), "multipart.part"),
        ("POST", "/bucket/key?uploadId=u", {}, (400, "MalformedXML"), "multipart.complete"),
        (
            "POST", "/bucket/key?uploads", {"x-amz-checksum-algorithm": "CRC9"}, (501, "NotImplemented"),
            "multipart.create",
        ),
        (
            "POST", "/bucket/key?uploads",
            {"x-amz-checksum-algorithm": "CRC64NVME", "x-amz-checksum-type": "COMPOSITE"}, (400, "InvalidRequest"),
            "multipart.create",
        ),
        ("PUT", "/bucket?object-lock", {"content-length": "5000"}, (400, "MaxMessageLengthExceeded"),
         "bucket.lock.put"),
        ("PUT", "/bucket", {"x-strongroom-bucket-strict": "false"}, (400, "InvalidArgument"), "bucket.create"),
        ("PUT", "/bucket", {"x-amz-bucket-object-lock-enabled": "yes"}, (400, "InvalidArgument"), "bucket.create"),
        ("PUT", "/xn--bucket", {}, (400, "InvalidBucketName"), "bucket.create"),
    ],
)  # fmt: skip
def test_an_early_refusal_is_recorded_once_and_answered_before_the_body_is_read(
    method: str, target: str, headers: dict[str, str], expected: tuple[int, str], op: str
) -> None:
    wire = Wire()
    answer = wire.ask(method, target, headers)
    assert error(answer) == expected
    assert (wire.service.calls, wire.recorded) == ([], 1)
    ((recorded_op, _, _, refusal),) = wire.service.refusals
    assert (recorded_op, refusal.s3_code) == (op, expected[1])
    assert answer.headers["x-strongroom-record"] == RECORD
    assert answer.received == 0


def test_without_a_record_a_refusal_is_not_told() -> None:
    wire = Wire()
    wire.service.fails = Unavailable("full")
    assert error(wire.ask("GET", "/bucket?acl")) == (503, "ServiceUnavailable")


def test_a_refusal_names_the_header_and_where() -> None:
    found = texts(Wire().ask("PUT", "/bucket/key%3C", {"x-amz-tagging": "a=b"}))
    assert found["Header"] == "x-amz-tagging"
    assert found["Resource"] == "/bucket/key%3C"
    assert found["Message"] == "A header you provided implies functionality that is not implemented"
    assert found["RequestId"]


@pytest.mark.parametrize(
    ("length", "expect", "closes"),
    [(10, False, False), (10, True, True), (64 * 1024, False, False), (64 * 1024 + 1, False, True), (0, True, False)],
)
def test_a_body_left_unread_ends_the_connection_unless_little_is_left_and_it_is_on_its_way(
    *, length: int, expect: bool, closes: bool
) -> None:
    headers = {"content-length": str(length), "x-amz-tagging": "a=b"} | ({"expect": "100-continue"} if expect else {})
    answer = Wire().ask("PUT", "/bucket/key", headers, client=Client([b"x"]))
    assert (answer.status, answer.received, answer.closes) == (501, 0, closes)


def test_a_body_is_not_read_without_a_signature() -> None:
    raw = [(b"content-length", b"10"), (b"expect", b"100-continue")]
    answer = Wire().send(Request("PUT", b"/bucket/key", headers=raw), Client([b"0123456789"]))
    assert (answer.status, answer.received, answer.closes) == (403, 0, True)


def test_a_refusal_of_the_service_is_told_in_full_and_not_recorded_again() -> None:
    refusal = S3Error("NoSuchKey", headers={"x-amz-delete-marker": "true", "x-amz-version-id": "v2"}, Key="a&b")
    wire = Wire()
    answer = wire.ask("GET", "/bucket/key", objects__get=refusal)
    assert error(answer) == (404, "NoSuchKey")
    assert texts(answer)["Key"] == "a&b"
    assert answer.headers["x-amz-delete-marker"] == "true"
    assert answer.headers["x-amz-version-id"] == "v2"
    assert answer.headers["x-strongroom-record"] == RECORD
    assert answer.headers["content-type"] == "application/xml"
    assert wire.recorded == 1


@pytest.mark.parametrize(
    ("failure", "expected", "closes"),
    [
        (Unavailable("/secret/place"), (503, "ServiceUnavailable"), False),
        (OutcomeUnknown("/secret/place"), (500, "InternalError"), True),
        (CorruptError("/secret/place"), (500, "InternalError"), True),
        (IntegrityError("/secret/place"), (500, "InternalError"), False),
        (RuntimeError("/secret/place"), (500, "InternalError"), True),
    ],
)
def test_what_went_wrong_inside_is_logged_and_not_told(
    *, failure: Exception, expected: tuple[int, str], closes: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = Wire().ask("HEAD", "/bucket", buckets__head=failure)
        assert (answer.status, answer.closes) == (expected[0], closes)
        answer = Wire().ask("DELETE", "/bucket", buckets__delete=failure)
    assert error(answer) == expected
    assert b"/secret" not in answer.body
    assert "/secret/place" in caplog.text
    *_, line = (line for line in caplog.records if line.name == "vault.s3.app")
    assert vars(line)["request_id"] == answer.headers["x-amz-request-id"]
    assert vars(line)["op"] == "bucket.delete"
    assert line.levelno == (logging.DEBUG if isinstance(failure, Unavailable) else logging.ERROR)


def test_another_protocol_than_http_is_refused() -> None:
    async def nothing(*_: object) -> Any:
        raise AssertionError

    app = S3App(cast("Any", FakeService()))
    with pytest.raises(NotImplementedError):
        asyncio.run(app({"type": "lifespan"}, nothing, nothing))


def test_a_bucket_in_the_host_is_the_same_bucket() -> None:
    wire = Wire(domains=["Vault.test"])
    wire.service.answers["objects.get"] = read(b"hello world")
    signer = Signer()
    request = signer.header("GET", "/key", headers={"host": "bucket.vault.test"})
    assert wire.send(request).status == 200
    assert (wire.service.call.args[0].bucket, wire.service.call.args[0].key) == ("bucket", "key")


def test_headers_in_the_query_of_a_presigned_request_are_not_ignored() -> None:
    wire = Wire()
    wire.service.answers["objects.put"] = PutResult("v1", "e", None, RECORD)
    wrong = quote(crc32(b"y"), safe="")
    for extra, status in (("x-amz-acl=public-read", 501), (f"x-amz-checksum-crc32={wrong}", 400)):
        assert wire.send(presign_with(Signer(), extra), Client([b"x"])).status == status
    wire.service.calls.clear()
    assert wire.send(presign_with(Signer(), "x-amz-meta-a=b"), Client([b"x"])).status == 200
    assert wire.service.call.args[0].metadata == {"a": "b"}


def presign_with(signer: Signer, extra: str) -> Request:
    pairs = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256", "X-Amz-Credential": f"{signer.access_key}/{signer.scope}",
        "X-Amz-Date": signer.amz_date, "X-Amz-Expires": "60", "X-Amz-SignedHeaders": "host",
    }  # fmt: skip
    items = [f"{name}={quote(value, safe='')}" for name, value in pairs.items()]
    query = "&".join(sorted([*items, extra]))
    signature, _ = signer._sign("PUT", "/bucket/key", query, {"host": "vault.test"}, "UNSIGNED-PAYLOAD")
    headers = [(b"host", b"vault.test"), (b"content-length", b"1")]
    return Request("PUT", b"/bucket/key", f"{query}&X-Amz-Signature={signature}".encode(), headers)
