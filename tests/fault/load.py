"""A mixed load of signed S3 requests. Each carries its own User-Agent, by which the ledger tells it from every other.

What a client was told goes into its :class:`Outcome`; what must then be so is judged by ``tests.fault.judge``.
"""

from __future__ import annotations

import hashlib
import http.client
import re
from base64 import b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from threading import Thread
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from tests.unit.s3.signer import Signer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.integration.served import Server

BUCKET: Final = "load"
#: The answer to a request whose connection broke.
LOST: Final = 0
#: How long an answer may take on a busy machine, in seconds.
_PATIENCE: Final = 45
_LOCK_XML: Final = "<Retention><Mode>COMPLIANCE</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>"
_HOLD_XML: Final = "<LegalHold><Status>{status}</Status></LegalHold>"
_COMPLETE_XML: Final = (
    '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>"{etag}"</ETag></Part></CompleteMultipartUpload>'
)


@dataclass(frozen=True)
class Outcome:
    """One request and what its client was told.

    ``record`` is the ``stream/seq/leaf`` of the answer, empty where it had none. ``kept`` says how many bytes of
    :func:`payload` the key must hold from the answer on, -1 where this request says nothing about that.
    """

    agent: str
    method: str
    key: str
    status: int
    record: str = ""
    kept: int = -1

    @property
    def unknown(self) -> bool:
        """Whether it may have happened or not."""
        return not self.record and self.status in {LOST, 500}


@dataclass(frozen=True)
class Answer:
    """What came back over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def payload(key: str, size: int) -> bytes:
    """The bytes that a key holds."""
    return hashlib.shake_128(key.encode()).digest(size)


class Client:
    """One connection's worth of requests, one after the other; a broken connection is opened again.

    Args:
        endpoint: URL of the S3 port.
        access_key: Who asks.
        secret_key: And proves it.
        name: Begins its User-Agents and its keys; no other client's.
    """

    def __init__(self, endpoint: str, access_key: str, secret_key: str, name: str) -> None:
        self.name = name
        self.outcomes: list[Outcome] = []
        self._place = urlsplit(endpoint).netloc
        self._access_key, self._secret = access_key, secret_key.encode()
        self._connection = http.client.HTTPConnection(self._place, timeout=_PATIENCE)

    def ask(
        self,
        method: str,
        key: str = "",
        query: str = "",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        kept: int = -1,
    ) -> Answer:
        """Send one request and note its outcome; the bucket itself where there is no key."""
        agent = f"{self.name}/{len(self.outcomes)}"
        answer = self._send(method, f"/{BUCKET}/{key}" if key else f"/{BUCKET}", query, body, agent, headers or {})
        record = answer.headers.get("x-strongroom-record", "")
        kept = kept if answer.status == 200 and record else -1
        self.outcomes.append(Outcome(agent, method, key, answer.status, record, kept))
        return answer

    def _send(self, method: str, path: str, query: str, body: bytes, agent: str, headers: Mapping[str, str]) -> Answer:
        signer = Signer(
            self._access_key, self._secret, datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ"), region="us-east-1"
        )
        md5 = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        named = {"host": self._place, "content-md5": md5, **headers}
        signed = signer.header(method, path, query, named, hashlib.sha256(body).hexdigest())
        sent = {name.decode(): value.decode() for name, value in signed.headers} | {"user-agent": agent}
        target = path + (f"?{query.removesuffix('=')}" if query else "")
        try:
            self._connection.request(method, target, body, sent)
            response = self._connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return Answer(LOST, {}, b"")

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def put(self, kind: str, size: int) -> tuple[str, str]:
        """Store a new key; its name and version id."""
        key = f"{kind}-{self.name}-{len(self.outcomes)}"
        answer = self.ask("PUT", key, body=payload(key, size), kept=-1 if kind == "gone" else size)
        return key, answer.headers.get("x-amz-version-id", "")

    def retain(self, key: str, days: int = 2) -> None:
        """Lock a key's current version."""
        until = (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.ask("PUT", key, "retention=", _LOCK_XML.format(until=until).encode())

    def hold(self, key: str, status: str) -> None:
        """Set or lift a legal hold."""
        self.ask("PUT", key, "legal-hold=", _HOLD_XML.format(status=status).encode())

    def upload(self, size: int, *, abort: bool = False) -> None:
        """A multipart upload of one part."""
        key = f"parts-{self.name}-{len(self.outcomes)}"
        begun = self.ask("POST", key, "uploads=").body
        found = re.search(rb"<UploadId>(\w+)</UploadId>", begun)
        if found is None:
            return
        upload = f"uploadId={found[1].decode()}"
        part = self.ask("PUT", key, f"partNumber=1&{upload}", payload(key, size))
        if abort:
            self.ask("DELETE", key, upload)
        elif part.status == 200:
            body = _COMPLETE_XML.format(etag=part.headers["etag"].strip('"')).encode()
            self.ask("POST", key, upload, body, kept=size)


def turn(client: Client, number: int, rng: Random) -> None:
    """One turn of the load: some of everything that a vault is asked."""
    small, locked = client.put("small", rng.randrange(1, 4000))
    client.put("middle", rng.randrange(20_000, 100_000))
    client.ask("GET", small)
    if number % 2 == 0:
        gone, version = client.put("gone", rng.randrange(100, 20_000))
        client.ask("DELETE", gone, f"versionId={version}")
    if number % 3 == 0:
        client.retain(small)
        client.ask("DELETE", small, f"versionId={locked}")  # refused, and recorded
        client.hold(small, "ON")
    if number % 4 == 0:
        big, _ = client.put("big", 300 * 1024)
        client.hold(big, "ON")
        client.hold(big, "OFF")
        client.ask("GET", big)
        gone, version = client.put("gone", 200 * 1024)
        client.ask("DELETE", gone, f"versionId={version}")
    if number % 5 == 0:
        client.upload(200 * 1024)
        client.upload(10_000)
        client.upload(30_000, abort=True)


class Load:
    """Clients that work at once until they are told to stop or the server goes away.

    Args:
        server: Answers already.
        clients: How many.
        seed: Of what they do.
        turns: How many turns each takes at most.
        names: Tells this load from others on the same vault.
    """

    def __init__(
        self, server: Server, *, clients: int = 3, seed: int = 1, turns: int = 10_000, names: str = "a"
    ) -> None:
        self._turns = turns
        self._stopping = False
        made = [
            Client(server.endpoint, server.access_key, server.secret_key, f"{names}{number}")
            for number in range(clients)
        ]
        self._clients = made
        self._threads = [Thread(target=self._work, args=(client, Random(f"{seed} {client.name}"))) for client in made]
        for thread in self._threads:
            thread.start()

    def _work(self, client: Client, rng: Random) -> None:
        for number in range(self._turns):
            if self._stopping or any(outcome.status == LOST for outcome in client.outcomes[-8:]):
                break
            turn(client, number, rng)
        client.close()

    @property
    def outcomes(self) -> Sequence[Outcome]:
        """Everything asked so far, client by client."""
        return [outcome for client in self._clients for outcome in client.outcomes]

    @property
    def working(self) -> bool:
        """Whether any client still works."""
        return any(thread.is_alive() for thread in self._threads)

    def stop(self) -> Sequence[Outcome]:
        """End the load, after what each client has begun."""
        self._stopping = True
        return self.wait()

    def wait(self) -> Sequence[Outcome]:
        """Wait until all turns are taken or the server is gone."""
        for thread in self._threads:
            thread.join()
        return self.outcomes
