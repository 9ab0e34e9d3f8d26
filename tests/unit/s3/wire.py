"""The application over a fake service, a client that signs, and the values the service answers with."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from lxml import etree

from tests.doubles.asgi import Answer, Client
from tests.doubles.s3_service import RECORD, FakeService
from tests.unit.s3.signer import ACCESS_KEY, NOW, SECRET, Request, Signer
from vault.manifest import ContentDocument
from vault.measures import Tallies
from vault.record import Storage
from vault.s3.app import S3App
from vault.service.results import GetResult
from vault.state.rows import BucketRow, VersionRow

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from vault.service import Service

WALL: Final = int(NOW) * 10**9
CREATED: Final = 1_795_365_968_123_456_789  # 2026-11-22T16:46:08.123Z
UNTIL: Final = 5_364_662_400_000_000_000  # 2140-01-01T00:00:00Z
BUCKET: Final = BucketRow("bucket", "p-1", CREATED, lock=True, strict=False, versioning="Enabled")
STORED: Final = Storage(suite=1, kind="log", domain="d", salt="00", sealed=1, chunk=1, length=0, root="")
XMLNS: Final = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass
class Wire:
    """Signs requests as a principal whom ``service`` knows.

    ``recorded`` is how many records the last request made, ``tallies`` what its application counted of it.
    """

    service: FakeService = field(default_factory=lambda: FakeService(secrets={ACCESS_KEY: SECRET}))
    domains: Sequence[str] = ()
    region: str = "us-east-1"
    recorded: int = 0
    tallies: Tallies = field(default_factory=Tallies)

    def send(self, request: Request, client: Client | None = None) -> Answer:
        app = S3App(cast("Service", self.service), domains=self.domains, region=self.region, wall=lambda: WALL)
        before = self.service.records
        sender = client or Client()
        answer = asyncio.run(sender.ask(app, request.method, request.path, request.query, request.headers))
        self.recorded, self.tallies = self.service.records - before, app.tallies
        return answer

    def ask(
        self,
        method: str,
        target: str,
        headers: dict[str, str] | None = None,
        data: bytes = b"",
        client: Client | None = None,
        **answers: Any,
    ) -> Answer:
        """Send a signed request; ``answers`` as ``objects__put=…``."""
        self.service.answers.update({name.replace("__", "."): value for name, value in answers.items()})
        path, _, query = target.partition("?")
        sent = dict(headers or {})
        if data:
            sent.setdefault("content-length", str(len(data)))
        canonical = "&".join(sorted(item if "=" in item else f"{item}=" for item in query.split("&"))) if query else ""
        request = Signer().header(method, path, canonical, sent, hashlib.sha256(data).hexdigest())
        return self.send(request, client or Client([data] if data else []))


def error(answer: Answer) -> tuple[int, str]:
    """Status and code."""
    return answer.status, etree.fromstring(answer.body).findtext("Code") or ""


def texts(answer: Answer) -> dict[str, str]:
    """Every leaf of the answer's document, by path; the last one where several stand there."""
    root = etree.fromstring(answer.body)
    tree = root.getroottree()
    leaves = [each for each in root.iter() if not len(each)]
    return {tree.getelementpath(each).replace(XMLNS, ""): each.text or "" for each in leaves}


def told(answer: Answer) -> dict[str, str]:
    """The headers, without the request's id."""
    return {name: value for name, value in answer.headers.items() if name != "x-amz-request-id"}


def md5(data: bytes) -> dict[str, str]:
    digest = hashlib.md5(data, usedforsecurity=False).digest()
    return {"content-md5": base64.b64encode(digest).decode()}


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def version(**changes: Any) -> VersionRow:
    fields: dict[str, Any] = {
        "ordinal": 1, "version_id": "v1", "seq": 7, "created": CREATED, "clock": CREATED, "size": 11, "manifest": "m",
        "content": "c",
    }  # fmt: skip
    return VersionRow(**fields | changes)


def content(**changes: Any) -> ContentDocument:
    fields: dict[str, Any] = {
        "v": 1, "salt": "00", "size": 11, "etag": "e" * 32, "headers": {"content-type": "text/plain"},
    }  # fmt: skip
    return ContentDocument(**fields | changes)


async def pieces(*data: bytes) -> AsyncGenerator[bytes, None]:
    for piece in data:
        yield piece


def read(*data: bytes, **changes: Any) -> GetResult:
    """What the service answers a read with: ``data`` in pieces, or nothing for a HEAD."""
    fields: dict[str, Any] = {
        "row": version(), "version_id": "v1", "document": content(), "record": RECORD, "first": 0, "last": 10,
        "partial": False, "parts": 0, "body": pieces(*data) if data else None,
    }  # fmt: skip
    return GetResult(**fields | changes)
