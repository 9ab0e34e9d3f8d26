"""An S3 server of two operations, GET and conditional PUT, in this process, which fails as it is told to."""

from __future__ import annotations

import enum
import time
from collections import deque
from contextlib import contextmanager
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Says(NamedTuple):
    """An answer instead of doing anything."""

    status: int
    code: str


class Does(enum.Enum):
    """What happens to one request instead."""

    TAKES_SILENTLY = "it is done, and no answer comes"
    KEEPS_SILENT = "it is not done, and no answer comes"
    TAKES_AND_CUTS = "it is done, and the connection is cut before an answer"
    CUTS = "it is not done, and the connection is cut"
    TAKES_AND_DRIPS = "it is done, and the answer comes a byte at a time, without end"
    TAKES_AND_FAILS = "it is done, and 500 is answered"
    TAKES_LATE = "no answer comes, and it is done when the next request has come"


class FakeS3:
    """Objects by path. The next PUTs (or GETs) meet ``puts`` (or ``gets``) in order.

    Attributes:
        ignores: Conditions that it does not look at, by their header in lower case.
        requests: Method and path of each request so far.
        date: What it says the time is; empty: the time.
        spared: The name of an object that meets no fault.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: deque[Says | Does | None] = deque()
        self.gets: deque[Says | Does | None] = deque()
        self.ignores: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        self.headers: dict[str, str] = {}
        self.date = self.spared = ""
        self.endpoint = ""
        self.over = Event()
        self._lock = Lock()
        self._late: Callable[[], object] = lambda: None

    def put(self, path: str, body: bytes, headers: Any) -> Says:
        """Store, where the conditions hold."""
        with self._lock:
            there = self.objects.get(path)
            match, none = (
                headers.get(name) if name not in self.ignores else None for name in ("if-match", "if-none-match")
            )
            if match is not None and there is None:
                return Says(404, "NoSuchKey")
            if (match is not None and there is not None and match != etag(there)) or (
                none == "*" and there is not None
            ):
                return Says(412, "PreconditionFailed")
            self.objects[path] = body
            return Says(200, "")

    def late(self, action: Callable[[], object]) -> None:
        """Do what was put off, and put this off."""
        with self._lock:
            before, self._late = self._late, action
        before()


def etag(body: bytes) -> str:
    return f'"{md5(body, usedforsecurity=False).hexdigest()}"'


class _Handler(BaseHTTPRequestHandler):
    """One request, one connection."""

    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._do(self.server.fake.gets, self._found)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.fake.headers = {name.lower(): value for name, value in self.headers.items()}
        self._do(self.server.fake.puts, lambda: (self.server.fake.put(self.path, body, self.headers), body))

    def _found(self) -> tuple[Says, bytes]:
        there = self.server.fake.objects.get(self.path)
        return (Says(404, "NoSuchKey"), b"") if there is None else (Says(200, ""), there)

    def _do(self, faults: deque[Says | Does | None], action: Callable[[], tuple[Says, bytes]]) -> None:
        fake = self.server.fake
        fake.requests.append((self.command, self.path))
        spared = fake.spared and self.path.endswith(f"/{fake.spared}")
        fault = faults.popleft() if faults and not spared else None
        fake.late(action if fault is Does.TAKES_LATE else lambda: None)
        self.close_connection = True
        if isinstance(fault, Says):
            self._answer(fault, b"")
        elif fault is None:
            self._answer(*action())
        else:
            if fault in {Does.TAKES_SILENTLY, Does.TAKES_AND_CUTS, Does.TAKES_AND_DRIPS, Does.TAKES_AND_FAILS}:
                action()
            self._fail(fault)

    def _fail(self, fault: Does) -> None:
        if fault is Does.TAKES_AND_FAILS:
            self._answer(Says(500, "InternalError"), b"")
        elif fault is Does.TAKES_AND_DRIPS:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nx: ")
            while not self.server.fake.over.wait(0.02):
                self.wfile.write(b"x")
        elif fault not in {Does.CUTS, Does.TAKES_AND_CUTS}:
            self.server.fake.over.wait(30)

    def _answer(self, said: Says, body: bytes) -> None:
        shown = body if self.command == "GET" else b""
        if said.code:
            shown = f"<Error><Code>{said.code}</Code></Error>".encode()
        self.send_response_only(said.status)
        self.send_header("Date", self.server.fake.date or self.date_time_string(int(time.time())))
        self.send_header("Content-Length", str(len(shown)))
        if said.status == 200:
            self.send_header("ETag", etag(body))
        self.end_headers()
        self.wfile.write(shown)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, fake: FakeS3) -> None:
        self.fake = fake
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that left."""


@contextmanager
def serving() -> Iterator[FakeS3]:
    """Serve on a port of 127.0.0.1 until the block ends."""
    fake = FakeS3()
    with _Server(fake) as server:
        fake.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        running = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        running.start()
        try:
            yield fake
        finally:
            fake.over.set()
            server.shutdown()
            running.join()
