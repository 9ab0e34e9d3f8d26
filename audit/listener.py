"""One HTTP port: its socket, its TLS, and the server behind it.

Forwarded headers are never believed: a record's origin is the socket's (``vault.record.Origin``).

Not handled here: single connections (``audit.connection``), what is served (``vault.s3``, ``audit.api``), and when to
stop (``audit.app``).
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

from audit.connection import Connection
from audit.errors import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from audit.config import LimitsSection, PortSection

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
                http=Connection,
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
