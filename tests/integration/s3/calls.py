"""Calls that are refused, and requests that no SDK would send."""

from __future__ import annotations

import hashlib
import http.client
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from lxml import etree

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.integration.served import Server

PROTECTED = "Access Denied because object protected by object lock."
#: How long a test waits for a lock to expire or a view to follow, seconds.
PATIENCE = 60


@dataclass(frozen=True)
class Refusal:
    """What a refused call was answered."""

    status: int
    code: str
    message: str
    fields: dict[str, Any]
    headers: dict[str, str]

    @property
    def brief(self) -> tuple[int, str]:
        return self.status, self.code


def refused(call: Callable[..., Any], **arguments: Any) -> Refusal:
    """Make a call that must be refused."""
    try:
        answer = call(**arguments)
    except ClientError as error:
        told = error.response["Error"]
        meta = error.response["ResponseMetadata"]
        return Refusal(meta["HTTPStatusCode"], told["Code"], told.get("Message", ""), told, meta["HTTPHeaders"])
    raise AssertionError(f"was allowed: {answer}")


@dataclass(frozen=True)
class Answer:
    """What a raw request was answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        return etree.fromstring(self.body).findtext("Code") or ""

    @property
    def message(self) -> str:
        return etree.fromstring(self.body).findtext("Message") or ""


def signed(
    server: Server, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b""
) -> dict[str, str]:
    """The headers of a signed request."""
    request = AWSRequest(method, f"{server.endpoint}{target}", headers or {}, body)
    request.headers["X-Amz-Content-SHA256"] = hashlib.sha256(body).hexdigest()
    S3SigV4Auth(Credentials(server.access_key, server.secret_key), "s3", "us-east-1").add_auth(request)
    return dict(request.headers.items())


def raw(server: Server, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> Answer:
    """Send a signed request exactly as given."""
    return send(server, method, target, signed(server, method, target, headers, body), body)


def send(server: Server, method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Answer:
    """Send a request exactly as given."""
    connection = http.client.HTTPConnection(urlsplit(server.endpoint).netloc, timeout=PATIENCE)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if body and not {"content-length", "transfer-encoding"} & {name.lower() for name in headers}:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, found, answer.read())
    finally:
        connection.close()


def soon(seconds: float) -> datetime:
    """An instant that comes while the test runs."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


def later(days: int = 1) -> datetime:
    """An instant that does not come while the test runs, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)


def until(condition: Callable[[], Any]) -> None:
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.2)
