from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import pytest

from tests.doubles.asgi import Client
from tests.doubles.s3_service import RECORD
from tests.unit.s3.signer import Signer
from tests.unit.s3.wire import Wire, crc32, error, md5, told
from vault.errors import S3Error
from vault.manifest import Checksum
from vault.record import LockRef
from vault.s3 import body
from vault.s3.authorization import Payload
from vault.s3.sigv4 import Verified
from vault.service.results import PutResult


def test_put_object() -> None:
    wire = Wire()
    headers = {
        "content-type": "text/plain", "x-amz-meta-a": "b", "content-encoding": "gzip",
        "x-amz-object-lock-mode": "COMPLIANCE", "x-amz-object-lock-retain-until-date": "2140-01-01T00:00:00Z",
        "x-amz-object-lock-legal-hold": "ON", "if-none-match": "*", "x-amz-checksum-crc32": crc32(b"hello world"),
        "x-amz-sdk-checksum-algorithm": "CRC32", "x-amz-server-side-encryption": "AES256", "expect": "100-continue",
    }  # fmt: skip
    made = PutResult("v1", "e" * 32, Checksum("CRC32", "FULL_OBJECT", "DUoRhQ=="), RECORD)
    client = Client([b"hello", b" ", b"world"])
    answer = wire.ask("PUT", "/bucket/a/../b", headers, b"hello world", client, objects__put=made)
    assert (answer.status, answer.body) == (200, b"")
    assert told(answer) == {
        "etag": '"' + "e" * 32 + '"',
        "x-amz-version-id": "v1",
        "x-amz-checksum-crc32": "DUoRhQ==",
        "x-amz-checksum-type": "FULL_OBJECT",
        "x-amz-server-side-encryption": "AES256",
        "x-strongroom-record": RECORD,
        "content-length": "0",
    }
    spec = wire.service.call.args[0]
    assert (spec.bucket, spec.key, spec.length) == ("bucket", "a/../b", 11)
    assert spec.headers == {"content-type": "text/plain", "content-encoding": "gzip"}
    assert spec.metadata == {"a": "b"}
    assert spec.lock == LockRef("COMPLIANCE", "2140-01-01T00:00:00.000000000Z")
    assert (spec.hold, spec.if_none_match, spec.if_match) == (True, True, "")
    assert wire.service.call.body == b"hello world"


def test_an_unversioned_upload_has_no_version_and_an_empty_body_is_a_body() -> None:
    wire = Wire()
    answer = wire.ask("PUT", "/bucket/key", {"content-length": "0"}, objects__put=PutResult("", "e", None, RECORD))
    assert answer.status == 200
    assert "x-amz-version-id" not in answer.headers
    assert wire.service.call.body == b""


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (md5(b"other"), "BadDigest"),
        ({"x-amz-checksum-crc32": crc32(b"other")}, "BadDigest"),
    ],
)
def test_a_body_that_is_not_what_was_claimed_is_refused(headers: dict[str, str], code: str) -> None:
    wire = Wire()
    answer = wire.ask("PUT", "/bucket/key", headers, b"hello", objects__put=AssertionError())
    assert error(answer) == (400, code)
    assert wire.recorded == 1


def test_a_body_that_is_not_what_was_signed_is_refused() -> None:
    wire = Wire()
    request = Signer().header(headers={"content-length": "5"}, payload=hashlib.sha256(b"other").hexdigest())
    assert error(wire.send(request, Client([b"hello"]))) == (400, "XAmzContentSHA256Mismatch")


@pytest.mark.parametrize("mode", ["PAYLOAD", "PAYLOAD-TRAILER", "UNSIGNED-PAYLOAD-TRAILER"])
def test_a_chunked_body_is_decoded_and_its_trailer_checked(mode: str) -> None:
    for claimed, status in ((crc32(b"hello world"), 200), (crc32(b"other"), 400)):
        wire = Wire()
        wire.service.answers["objects.put"] = PutResult("v1", "e", None, RECORD)
        payload = f"STREAMING-AWS4-HMAC-SHA256-{mode}" if mode.startswith("PAYLOAD") else f"STREAMING-{mode}"
        headers = {
            "x-amz-decoded-content-length": "11",
            "content-encoding": "aws-chunked",
            "transfer-encoding": "chunked",
        }
        trailers = {"x-amz-checksum-crc32": claimed} if "TRAILER" in mode else {}
        if trailers:
            headers["x-amz-trailer"] = "x-amz-checksum-crc32"
        else:
            headers["x-amz-checksum-crc32"] = claimed
        signer = Signer()
        request = signer.header(headers=headers, payload=payload)
        seed = None if mode.startswith("UNSIGNED") else request.signature
        framed = signer.body(seed, [b"hello world"], trailers, sign_trailers=mode == "PAYLOAD-TRAILER")
        answer = wire.send(request, Client([framed[i : i + 7] for i in range(0, len(framed), 7)]))
        assert answer.status == status, answer.body
        assert wire.service.call.body == b"hello world"
        assert wire.service.call.args[0].headers == {"content-type": "binary/octet-stream"}
        assert wire.recorded == 1


@pytest.mark.parametrize("client", [Client([], leaves=True), Client([b"hel"], leaves=True), Client([b"hel"])])
def test_a_client_that_leaves_early_leaves_a_failure_behind(client: Client) -> None:
    wire = Wire()
    request = Signer().header(headers={"content-length": "5"}, payload=hashlib.sha256(b"hello").hexdigest())
    answer = wire.send(request, client)
    assert error(answer) == (400, "IncompleteBody")
    assert wire.recorded == 1


def test_only_a_body_that_is_still_coming_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"hello", "more_body": False}

    async def read(*, ready: bool) -> bytes:
        made = body.Body(receive, [], {"content-length": "5"}, lambda: ready)
        made.verified = Verified("", None, "", "", "", False, Payload.UNSIGNED, None, "", b"")  # noqa: FBT003
        return b"".join([piece async for piece in made.pieces()])

    monkeypatch.setattr(body, "STALL_SECONDS", 0.0)
    assert asyncio.run(read(ready=True)) == b"hello"
    with pytest.raises(S3Error, match="number of bytes"):
        asyncio.run(read(ready=False))


def test_a_client_that_sends_nothing_any_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "STALL_SECONDS", 0.01)
    wire = Wire()
    request = Signer().header(headers={"content-length": "5"}, payload=hashlib.sha256(b"hello").hexdigest())
    answer = wire.send(request, Client([b"hel"], stalls=True))
    assert error(answer) == (400, "IncompleteBody")
    assert (wire.recorded, answer.closes) == (1, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"content-encoding": "aws-chunked"},
        {"content-encoding": "gzip, AWS-Chunked"},
        {"x-amz-decoded-content-length": "3"},
        {"x-amz-decoded-content-length": "zzz"},
    ],
)
def test_framing_that_the_signature_does_not_announce_is_never_stored_as_bytes(headers: dict[str, str]) -> None:
    wire = Wire()
    answer = wire.ask("PUT", "/bucket/k", headers, b"3\r\nabc\r\n0\r\n\r\n")
    assert answer.status == 400
    assert b"<Code>InvalidRequest</Code>" in answer.body
