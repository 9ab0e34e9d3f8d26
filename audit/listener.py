"""One HTTP port: its socket, its TLS, and uvicorn bounded where uvicorn is not.

uvicorn with httptools reads a request's head however long it is and however slowly it comes; here both have an end.
Forwarded headers are never believed: a record's origin is the socket's (``vault.record.Origin``).

Not handled here: what is served (``vault.s3``, ``audit.api``), when to stop (``audit.app``), and a client that stalls
in the middle of a body, which holds no more than its own connection.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from audit.errors import ConfigInvalid
from vault.s3.body import ARRIVED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from audit.config import LimitsSection, PortSection

#: Of a request's line and headers, in bytes; S3 needs 8 KiB of headers and a key of 3 KiB when escaped.
MAX_HEAD_BYTES: Final = 64 * 1024
#: Trailer fields of one request, in bytes; nobody reads them (those of aws-chunked are part of the body).
MAX_TRAILER_BYTES: Final = 8 * 1024
_BUSY: Final = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\nretry-after: 1\r\n\r\n"
#: Seconds that a client gets, when the server stops, to agree that an idle TLS connection ends.
TLS_END_S: Final = 1
#: Connections that wait to be accepted.
BACKLOG: Final = 1024


class Bound(NamedTuple):
    """A port that is taken, with its TLS."""

    socket: socket.socket
    tls: ssl.SSLContext | None

    @property
    def url(self) -> str:
        """Where to reach it."""
        host, port = self.socket.getsockname()[:2]
        return f"{'https' if self.tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"

    def close(self) -> None:
        """Give the port back."""
        self.socket.close()


def bind(name: str, port: PortSection) -> Bound:
    """Take an address, but no connection yet: until recovery is done a client is refused rather than kept waiting.

    Args:
        name: Of the port's section, for messages.
        port: Its settings.

    Raises:
        ConfigInvalid: The address cannot be bound, or a TLS file cannot be used.
    """
    context = _tls(name, port) if port.tls else None
    address = port.address
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(place)
            host = str(bound.getsockname()[0])
            if not port.tls and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
                raise ConfigInvalid(f"{name}.listen = {port.listen!r} means {host}, where plaintext is refused")
        except BaseException:
            bound.close()
            raise
    except OSError as error:
        raise ConfigInvalid(f"{name}.listen: {port.listen!r} cannot be bound: {error.strerror}") from error
    return Bound(bound, context)


class _BoundedProtocol(HttpToolsProtocol):
    """One connection, whose every request's head ends in time and within :data:`MAX_HEAD_BYTES`."""

    _head_timer: asyncio.TimerHandle | None = None
    _unfinished = 0
    _in_head = True
    _trailer = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) > self.limit_concurrency:
            transport.write(_BUSY)
            transport.close()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_arrived()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        waiting = self._head_timer
        super().data_received(data)
        if waiting is None or waiting is not self._head_timer:
            self._unfinished = 0
            return
        self._unfinished += len(data)  # all of it belongs to the one head that still has no end
        if self._unfinished > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Request head too large.")

    def shutdown(self) -> None:
        super().shutdown()
        # TLS waits for the client's own close_notify, and a client with a pool of connections does not listen to it.
        if self.transport.is_closing():
            self.loop.call_later(TLS_END_S, self.transport.abort)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._trailer = True, 0
        if self._head_timer is None:
            self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head; what comes after it is a trailer field, which may not join it (RFC 9110 §6.5.1)."""
        if self._in_head:
            super().on_header(name, value)
            return
        self._trailer += len(name) + len(value)
        if self._trailer > MAX_TRAILER_BYTES:
            raise ValueError("trailer fields too large")  # the parser makes it its own error, answered 400

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._head_arrived()
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD_BYTES:
            raise ValueError("request head too large")  # the parser makes it its own error, answered 400
        super().on_headers_complete()
        cycle = self.cycle
        self.scope["extensions"] = {ARRIVED: {"body": lambda: not cycle.more_body}}

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.timeout_keep_alive, self.transport.close)

    def _head_arrived(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class Listener(uvicorn.Server):
    """A port that answers. One event loop's own.

    Args:
        app: What to serve.
        bound: The port's socket, which this closes at its end.
        limits: Bounds on connections and time.

    Attributes:
        ready: Set once connections are answered.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], bound: Bound, limits: LimitsSection) -> None:
        tls = bound.tls
        super().__init__(
            uvicorn.Config(
                app,
                http=_BoundedProtocol,
                ws="none",
                loop="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                limit_concurrency=limits.connections,
                timeout_keep_alive=limits.idle_s,
                timeout_graceful_shutdown=limits.stop_s,
                ssl_context_factory=None if tls is None else lambda *_: tls,
            )
        )
        self.ready = asyncio.Event()
        self._bound = bound

    async def run_until_stopped(self) -> None:
        """Answer until :meth:`stop`, and then until requests in flight are done or their time is over."""
        await self.serve(sockets=[self._bound.socket])

    def stop(self, within_s: int | None = None) -> None:
        """Take no more connections. Called again, it waits for nobody.

        Args:
            within_s: Seconds for requests in flight, instead of those of the limits.
        """
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True
        if within_s is not None:
            self.config.timeout_graceful_shutdown = within_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer; called by uvicorn."""
        try:
            await super().startup(sockets)
        except OSError as error:  # somebody who had bound the same address, as we may, was faster
            raise ConfigInvalid(f"{self._bound.url} cannot be listened on: {error.strerror}") from error
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process, which has more than one port."""
        yield


def _tls(name: str, port: PortSection) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    settings = {f"{name}.{key}": getattr(port, key) for key in ("tls_cert_file", "tls_key_file", "tls_client_ca_file")}
    for setting, file in settings.items():
        if file:
            _require_readable(setting, Path(file))
    cert, key, ca = settings
    try:
        context.load_cert_chain(port.tls_cert_file, port.tls_key_file, password="")  # never ask at the terminal
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigInvalid(
            f"{cert} = {port.tls_cert_file!r} and {key} = {port.tls_key_file!r} are not a PEM certificate and its key, "
            f"which must not be encrypted: {error}"
        ) from error
    try:
        if port.tls_client_ca_file:
            context.load_verify_locations(port.tls_client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigInvalid(f"{ca} = {port.tls_client_ca_file!r} holds no PEM certificates: {error}") from error
    return context


def _require_readable(setting: str, file: Path) -> None:
    """Refuse what is no file, or none that this user can read.

    Raises:
        ConfigInvalid: With the setting's name.
    """
    if file.is_dir():
        raise ConfigInvalid(f"{setting} = {str(file)!r} is a directory: name the PEM file in it")
    if not file.exists():
        raise ConfigInvalid(f"{setting} = {str(file)!r} is missing")
    if not os.access(file, os.R_OK):
        raise ConfigInvalid(f"{setting} = {str(file)!r} cannot be read by this user (user id {os.geteuid()})")
