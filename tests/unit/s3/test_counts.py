"""What the application counts and logs of a request."""

from __future__ import annotations

import logging

import pytest

from tests.doubles.asgi import Client
from tests.doubles.s3_service import RECORD
from tests.unit.s3.signer import ACCESS_KEY, SECRET, Signer
from tests.unit.s3.wire import Wire
from vault.errors import S3Error, Unavailable
from vault.s3.app import REFUSED
from vault.service.results import PutResult

MADE = PutResult("v1", "e" * 32, None, RECORD)
NAMES = ("bucket-name", "key-name", "agent-name")


def test_a_request_is_counted_once_under_its_operation() -> None:
    wire = Wire()
    wire.ask("PUT", "/bucket/key", {}, b"hello", objects__put=MADE)
    (op,) = wire.tallies
    tally = wire.tallies[op]
    assert op == "object.put"
    assert (tally.answers, tally.received, tally.sent) == ([0, 0, 1, 0, 0, 0], 5, 0)
    assert sum(tally.seconds.counts) == 1


def test_bytes_are_those_that_were_sent() -> None:
    wire = Wire()
    answer = wire.ask("DELETE", "/bucket/key", objects__delete=S3Error("NoSuchBucket"))
    assert wire.tallies["object.delete"].sent == len(answer.body) > 0
    wire.ask("HEAD", "/bucket", buckets__head=S3Error("NoSuchBucket"))
    assert wire.tallies["bucket.head"].sent == 0


@pytest.mark.parametrize(("method", "target"), [("PATCH", "/bucket/key"), ("GET", "/bucket?made-up-by-a-client")])
def test_what_no_operation_is_counts_under_one_name(method: str, target: str) -> None:
    wire = Wire()
    wire.ask(method, target)
    assert list(wire.tallies) == [REFUSED]


def test_an_unsigned_request_counts_as_refused() -> None:
    wire = Wire()
    wire.send(Signer("AKIA" + "X" * 16, b"wrong").header("GET", "/bucket/key"))
    assert wire.tallies[REFUSED].answers[4] == 1


def lines(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [line for line in caplog.records if line.name == "vault.s3.app"]


@pytest.mark.parametrize(
    ("failure", "level", "code"),
    [
        (S3Error("AccessDenied", "object key-name is locked", reason="retention"), logging.INFO, "AccessDenied"),
        (S3Error("NoSuchKey", Key="key-name"), logging.INFO, "NoSuchKey"),
        (S3Error("NotModified"), logging.DEBUG, "NotModified"),
        (S3Error("InternalError", reason="integrity"), logging.ERROR, "InternalError"),
        (Unavailable("the queue is full"), logging.DEBUG, "ServiceUnavailable"),
        (KeyError("key-name"), logging.ERROR, "InternalError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_request_that_fails_has_one_line_that_names_nobodys_things(
    failure: Exception, level: int, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = Wire().ask("DELETE", "/bucket-name/key-name", {"user-agent": "agent-name"}, objects__delete=failure)
    (line,) = lines(caplog)
    assert (line.levelno, vars(line)["code"], vars(line)["op"]) == (level, code, "object.delete")
    assert vars(line)["request_id"] == answer.headers["x-amz-request-id"]
    assert not any(name in line.getMessage() for name in (*NAMES, ACCESS_KEY, SECRET.decode()))


def test_who_has_no_key_cannot_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        Wire().send(Signer("AKIA" + "X" * 16, b"wrong").header("GET", "/bucket-name/key-name"))
    (line,) = lines(caplog)
    assert line.levelno == logging.DEBUG
    assert "bucket-name" not in line.getMessage()


def test_a_request_that_succeeds_has_a_line_only_where_every_request_has_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    logging.getLogger("vault.s3.access").setLevel(logging.CRITICAL)
    try:
        Wire().ask("PUT", "/bucket-name/key-name", {}, b"hello", objects__put=MADE)
        assert not caplog.records
        with caplog.at_level(logging.INFO, "vault.s3.access"):
            wire = Wire()
            answer = wire.ask("PUT", "/bucket-name/key-name", {}, b"hello", Client([b"hel", b"lo"]), objects__put=MADE)
    finally:
        logging.getLogger("vault.s3.access").setLevel(logging.NOTSET)
    (line,) = caplog.records
    told = vars(line)
    assert (told["op"], told["status"], told["received_bytes"], told["sent_bytes"]) == ("object.put", 200, 5, 0)
    assert told["request_id"] == answer.headers["x-amz-request-id"]
    assert line.getMessage() == "object.put: 200"
