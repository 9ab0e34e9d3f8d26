"""One HTTP port: its socket and the server behind it.

Forwarded headers are never believed: a record's origin is the socket's (``vault.record.Origin``).

Not handled here: TLS files (``audit.tls``), single connections (``audit.connection``), what is served (``vault.s3``,
``audit.api``), and when to stop (``audit.app``).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import uvicorn

from audit.connection import Connection
from audit.errors import ConfigInvalid
from audit.tls import SwitchedContext, load

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from audit.config import LimitsSection, PortSection
    from audit.tls import Tls

#: Connections that wait to be accepted.
BACKLOG: Final = 1024


class Bound(NamedTuple):
    """A port that is taken, with its TLS."""

    socket: socket.socket
    tls: Tls | None

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
    tls = load(name, port)
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
    return Bound(bound, tls)


class Listener(uvicorn.Server):
    """A port that answers. One event loop's own.

    Args:
        app: What to serve.
        bound: The port's socket, which this closes at its end.
        limits: Bounds on connections and time.

    Attributes:
        ready: Set once connections are answered.
        tls: In force for new connections; None for plaintext.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], bound: Bound, limits: LimitsSection) -> None:
        context = self._context = SwitchedContext(ssl.PROTOCOL_TLS_SERVER)
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
                ssl_context_factory=None if bound.tls is None else lambda *_: context,
            )
        )
        self.ready = asyncio.Event()
        self._bound = bound
        self.take(bound.tls, limits)

    def take(self, tls: Tls | None, limits: LimitsSection) -> None:
        """Begin new connections under other TLS files and limits; those that are open keep theirs. Cannot fail.

        Args:
            tls: None where, and only where, the port was bound without TLS.
            limits: As at the start; ``stop_s`` holds for all.
        """
        self.tls = tls
        if tls is not None:
            self._context.inner = tls.context
        self.config.limit_concurrency = limits.connections
        self.config.timeout_keep_alive = limits.idle_s
        self.config.timeout_graceful_shutdown = limits.stop_s

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
