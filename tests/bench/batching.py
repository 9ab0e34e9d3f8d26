"""Batch put: tars of small files over HTTP, each file an object under COMPLIANCE; objects a second, and processor time.

The clients are threads of this process over plain sockets: what they send is made and signed before the clock runs.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from tests.bench.load import BUCKET
from tests.bench.measure import Process
from tests.bench.raw import answers
from tests.demo.server import Failed
from tests.doubles.archives import END, member
from tests.unit.s3.signer import Signer
from vault.checksums import to_base64

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.load import Target
    from tests.bench.measure import Results

WHAT: Final = "batch put: tars of 1,000 objects of 1 KiB, 2 connections"
CONNECTIONS: Final = 2
MEMBERS: Final = 1000
_SIZE: Final = 1024


def batch(
    target: Target,
    results: Results,
    *,
    archives: int,
    repeats: int,
    what: str = WHAT,
    finish: Callable[[], object] = lambda: None,
) -> None:
    """Send archives, and see every member of each answered as durable.

    Args:
        target: The server.
        results: Where figures go.
        archives: Of one run.
        repeats: Runs.
        what: What the figures are called.
        finish: Waits for what else belongs to a run.

    Raises:
        Failed: An archive was not answered 200, or a member was not stored.
    """
    process, each = Process(target.pid), max(1, archives // CONNECTIONS)
    _send(target.address, [_request(target, f"warm/{number}") for number in range(10)])
    process.wait_until_idle()
    for run in range(repeats):
        requests = [
            [_request(target, f"{run}/{lane}/{number}") for number in range(each)] for lane in range(CONNECTIONS)
        ]
        cpu, started = process.cpu_seconds(), time.monotonic()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            stored = sum(pool.map(lambda lane: _send(target.address, lane), requests))
        finish()
        took, used = time.monotonic() - started, process.cpu_seconds() - cpu
        if stored != each * CONNECTIONS * MEMBERS:
            raise Failed(f"{stored} objects were stored of {each * CONNECTIONS * MEMBERS}")
        figures = {"objects a second": stored / took, "server CPU µs an object": used * 1e6 / stored}
        process.wait_until_idle()
        figures["the same with the view and settling, after it"] = (process.cpu_seconds() - cpu) * 1e6 / stored
        results.add(what, figures)


def _request(target: Target, name: str) -> bytes:
    """One request whole, head and body."""
    body = b"".join(member(f"{name}/{number:06d}.json".encode(), os.urandom(_SIZE)) for number in range(MEMBERS)) + END
    now = datetime.now(UTC)
    signer = Signer(target.access_key, target.secret_key.encode(), now.strftime("%Y%m%dT%H%M%SZ"), "us-east-1")
    fields = {
        "host": target.address,
        "x-amz-checksum-sha256": to_base64(sha256(body).digest()),
        "x-amz-meta-snowball-auto-extract": "true",
        "x-amz-object-lock-mode": "COMPLIANCE",
        "x-amz-object-lock-retain-until-date": (now + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    path = f"/{BUCKET}/{name}.tar"
    signed = signer.header("PUT", path, "", fields, sha256(body).hexdigest())
    head = b"".join(b"%b: %b\r\n" % field for field in signed.headers)
    return b"PUT %b HTTP/1.1\r\n%bcontent-length: %d\r\n\r\n%b" % (path.encode(), head, len(body), body)


def _send(address: str, requests: Sequence[bytes]) -> int:
    """Send requests one after the other over one connection; how many objects were stored."""
    return sum(answer.count(b"<Extracted>") for answer in answers(address, requests))
