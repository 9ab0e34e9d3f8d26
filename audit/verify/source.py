"""Where an exported log is read from: a directory, or a URL with the same layout.

Sources are picklable: worker processes read for themselves. Not handled here:
data directories, which are read file by file.
"""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from audit.verify.files import read_file
from audit.verify.report import Bad, Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Seconds that a server may let us wait for the next byte, and for a whole answer.
SILENCE_SECONDS: Final = 15
ANSWER_SECONDS: Final = 120
ATTEMPTS: Final = 3
_PARALLEL: Final = 8  # requests under way, for each worker
_PIECE: Final = 64 * 1024
#: What to do about an answer that lets nobody in. Strongroom shows checkpoints and hash tiles to everybody.
_HINTS: Final = {
    401: ": records need a token that may read them: --token-file names a file with one (`strongroom token add` makes "
    "it); or `strongroom log export STREAM DIR` on the server's host, and verify DIR",
    403: ": is this the URL of a log, as in http://127.0.0.1:9001/v1/log/STREAM? one that wants a token takes it with "
    "--token-file",
}
_LOOPBACK: Final = frozenset(("127.0.0.1", "::1", "localhost"))


class Source(Protocol):
    """Files of a log by their path relative to it. Thread-safe; reading again gives the same bytes."""

    def place(self, path: str) -> str:
        """What findings call a file."""

    def read(self, path: str, limit: int) -> bytes | None:
        """Read a file of at most ``limit`` bytes, None where there is none.

        Raises:
            Bad: It is longer, or no file.
            Unchecked: It cannot be read.
        """

    def read_all(self, paths: Sequence[str], limit: int) -> Iterator[bytes | None]:
        """Read several files, each as :meth:`read` does, and yield them in that order."""


class Directory(NamedTuple):
    """A log in a directory; ``prefix`` is what findings put before a path."""

    root: str
    prefix: str = ""

    def place(self, path: str) -> str:
        """See :class:`Source`."""
        return self.prefix + path

    def read(self, path: str, limit: int) -> bytes | None:
        """See :class:`Source`."""
        return read_file(os.path.join(self.root, path), limit, self.place(path))  # noqa: PTH118 - hot, and a str

    def read_all(self, paths: Sequence[str], limit: int) -> Iterator[bytes | None]:
        """See :class:`Source`."""
        for path in paths:  # each when it is its turn: it is still in the processor's cache when it is hashed
            yield self.read(path, limit)


class Http(NamedTuple):
    """A log at a URL. ``token`` is sent as a bearer token; redirects are not followed, so that it goes nowhere else."""

    url: str
    token: str = ""

    def check(self) -> None:
        """Refuse a URL that cannot be used, before anything is sent.

        Raises:
            Unchecked: Malformed, or it would send the token in the clear beyond this host.
        """
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname, parts.port
        except ValueError as error:
            raise Unchecked(f"{self.url}: {error}") from error
        if not host or parts.query or parts.fragment:
            raise Unchecked(f"{self.url}: not the URL of a log")
        if self.token and parts.scheme != "https" and host not in _LOOPBACK:
            raise Unchecked("a token is not sent over http beyond this host: use https")

    def place(self, path: str) -> str:
        """See :class:`Source`."""
        return f"{self.url.rstrip('/')}/{path}"

    def read(self, path: str, limit: int) -> bytes | None:
        """See :class:`Source`."""
        return next(self.read_all([path], limit))

    def read_all(self, paths: Sequence[str], limit: int) -> Iterator[bytes | None]:
        """See :class:`Source`."""
        idle: list[_Connection] = []  # kept open between requests; its methods are atomic

        def get(path: str) -> bytes | None:
            try:
                connection = idle.pop()
            except IndexError:
                connection = _Connection(self)
            try:
                return connection.get(path, limit)
            finally:
                idle.append(connection)

        try:
            with ThreadPoolExecutor(min(_PARALLEL, max(1, len(paths)))) as threads:
                yield from threads.map(get, paths)
        finally:
            for connection in idle:
                connection.close()


class _Connection:
    """One connection to a log's server, for one thread."""

    def __init__(self, source: Http) -> None:
        self._source = source
        parts = urlsplit(source.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._http = kind(parts.hostname or "", parts.port, timeout=SILENCE_SECONDS)
        self._base = parts.path.rstrip("/")
        self._headers = {"Accept-Encoding": "gzip", "User-Agent": "strongroom-verify"}
        if source.token:
            self._headers["Authorization"] = f"Bearer {source.token}"

    def close(self) -> None:
        """Give the socket back."""
        self._http.close()

    def get(self, path: str, limit: int) -> bytes | None:
        """Get a file, trying again where the server is unwell or the connection broke."""
        place = self._source.place(path)
        why = ""
        for attempt in range(ATTEMPTS):
            time.sleep(attempt)  # 0, 1, 2 seconds
            try:
                return self._once(path, limit, place)
            except _Status as status:
                why = str(status)
                if not status.retryable:
                    break
            except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:
                why = str(error) or type(error).__name__
        raise Unchecked(f"{place}: {why}")

    def _once(self, path: str, limit: int, place: str) -> bytes | None:
        done = False
        if self._http.sock is None:
            self._http.connect()
        # Whatever a server drips, the whole answer has one deadline: then the socket is shut under whoever reads it.
        expired = threading.Event()
        late = threading.Timer(ANSWER_SECONDS, _shut, [self._http.sock, expired])
        late.daemon = True
        late.start()
        try:
            self._http.request("GET", f"{self._base}/{path}", headers=self._headers)
            with self._http.getresponse() as answer:
                if answer.status == http.client.OK:
                    data: bytes | None = _body(answer, limit, place)
                elif answer.status in {http.client.NOT_FOUND, http.client.GONE}:
                    data = None
                else:
                    raise _Status(answer.status)
                done = answer.isclosed()
            if expired.is_set():
                raise TimeoutError(f"not complete after {ANSWER_SECONDS} s")
            return data
        finally:
            late.cancel()
            if not done:  # it cannot carry another request
                self._http.close()


def _shut(opened: socket.socket, expired: threading.Event) -> None:
    expired.set()
    with suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)


class _Status(Exception):
    """An answer that is neither the file nor its absence."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}{_HINTS.get(status, '')}")
        self.retryable = status >= 500 or status == http.client.TOO_MANY_REQUESTS


def _body(answer: http.client.HTTPResponse, limit: int, place: str) -> bytes:
    """Read an answer, at most ``limit`` bytes once unpacked: logs may send gzip unasked (tlog-tiles)."""
    packed = answer.headers.get("Content-Encoding", "") == "gzip"
    unpacker = zlib.decompressobj(wbits=31) if packed else None
    data = bytearray()
    while piece := answer.read1(_PIECE):
        data += unpacker.decompress(piece, limit + 1 - len(data)) if unpacker else piece
        if len(data) > limit:
            raise Bad(place, f"longer than {limit} bytes")
    if unpacker and not unpacker.eof:
        raise TimeoutError("cut short")
    if answer.length:
        raise TimeoutError("cut short")
    return bytes(data)
