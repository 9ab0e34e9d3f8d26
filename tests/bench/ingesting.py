"""Other systems' events over HTTP: how many a second become durable records, at what processor time.

The clients are threads of this process over plain sockets: what they send is made before the clock runs, so that they
take next to nothing of the machine while it does.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from tests.bench.measure import Process
from tests.bench.raw import answers
from tests.demo.server import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.bench.measure import Results
    from tests.demo.server import Vault

WHAT: Final = "ingest: 500 events of 400 bytes a request, 4 connections"
CONNECTIONS: Final = 4
EVENTS: Final = 500
EVENT_BYTES: Final = 400
_SOURCE: Final = "bench"
_PADDING: Final = "0123456789abcdef " * (EVENT_BYTES // 16)


def ingest(vault: Vault, results: Results, *, count: int, repeats: int) -> None:
    """Send events, and see each answered as durable.

    Args:
        vault: Made; it gets a source.
        results: Where figures go.
        count: Events of one run.
        repeats: Runs.

    Raises:
        Failed: A request was not answered 200, or an event was not kept.
    """
    with vault.serve() as server:
        address, token = server.audit.partition("://")[2], source(vault)
        process = Process(server.pid)
        send(address, [request(address, token, f"warm-{number}") for number in range(20)])
        process.wait_until_idle()
        for run in range(repeats):
            requests = lanes(address, token, f"{run}", count)
            cpu, started = process.cpu_seconds(), time.monotonic()
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                stored = sum(pool.map(lambda lane: send(address, lane), requests))
            took, used = time.monotonic() - started, process.cpu_seconds() - cpu
            if stored != sum(map(len, requests)) * EVENTS:
                raise Failed(f"{stored} events were kept of {sum(map(len, requests)) * EVENTS}")
            figures = {"records a second": stored / took, "server CPU µs a record": used * 1e6 / stored}
            process.wait_until_idle()
            figures["the same with the view and settling, after it"] = (process.cpu_seconds() - cpu) * 1e6 / stored
            results.add(WHAT, figures)


def source(vault: Vault) -> str:
    """Have a served vault take events from us; the token to send them with."""
    made = json.loads(vault.run("principal", "add", "bench", "--role", "writer", "--json", "--data", vault.data))
    return vault.run("token", "add", made["access_key"], "--source", _SOURCE, "--data", vault.data).strip()


def lanes(address: str, token: str, name: str, count: int) -> list[list[bytes]]:
    """The requests of each connection that bring some ``count`` events together, all of other names."""
    each = max(1, count // EVENTS // CONNECTIONS)
    return [[request(address, token, f"{name}-{lane}-{at}") for at in range(each)] for lane in range(CONNECTIONS)]


def request(address: str, token: str, name: str, events: int = EVENTS) -> bytes:
    """One request whole, head and body."""
    lines = []
    for number in range(events):
        head = f'{{"id":"{name}-{number:04d}","time":"2026-11-27T12:00:00.000Z","user":"ann","note":"'
        lines.append(f'{head}{_PADDING[: EVENT_BYTES - len(head) - 2]}"}}\n')
    body = "".join(lines).encode()
    head = (
        f"POST /v1/ingest/{_SOURCE} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n"
        f"content-type: application/x-ndjson\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def paced(
    address: str, token: str, name: str, rate: int, seconds: Callable[[], float], events: int = EVENTS
) -> Iterator[bytes]:
    """Requests at a steady rate, each made when it is due.

    Args:
        address: The audit listener.
        token: To send them with.
        name: Of the events.
        rate: How many events a second.
        seconds: Says anew before each how long they are to come.
        events: Of one request.
    """
    started, number = time.monotonic(), 0
    while (due := number * events / rate) < seconds():
        following = request(address, token, f"{name}-{number}", events)
        time.sleep(max(0.0, started + due - time.monotonic()))
        yield following
        number += 1


def send(address: str, requests: Iterable[bytes], answered: Callable[[int], None] = lambda _: None) -> int:
    """Send requests one after the other over one connection.

    Args:
        address: The audit listener.
        requests: From :func:`request`.
        answered: Called after each with how many records the stream has at least, now that they are durable.

    Returns:
        How many events were kept.

    Raises:
        Failed: One was not answered 200.
    """
    stored = 0
    for answer in answers(address, requests):
        receipt = json.loads(answer)
        answered(receipt["records"][-1][1] + 1)
        stored += receipt["stored"]
    return stored
