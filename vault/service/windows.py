"""Requests without a valid signature: counted in windows, so that a flood of them is few records (DESIGN §3).

One window per (network, reason). Its opening record is durable before the first such request is answered; those that
follow within :data:`WINDOW_NS` only count, and the count is a second record that names the first. The table is
bounded: what does not fit is counted in one window more, by reason.

A count is lost only with the process: a window without its closing record says so itself.

Not handled here: requests whose signature verifies; each of those has its own record.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from vault.errors import Unavailable
from vault.measures import Counts
from vault.policy import SYSTEM
from vault.ports import Intent
from vault.record import Actor, Origin, Tail, Window, encode_tail
from vault.times import NS, rfc3339

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from vault.ports import Committed

#: How long a window stays open, nanoseconds.
WINDOW_NS: Final = 60 * NS
#: Windows open at once, a count; one more takes what does not fit.
MAX_WINDOWS: Final = 1024
#: Addresses that share these first bits share a window.
IPV4_BITS: Final = 24
IPV6_BITS: Final = 64
#: How often :meth:`Windows.run` looks for windows to close, seconds.
TICK_SECONDS: Final = 1.0

_REST: Final = ("", "")
_ACTOR: Final = Actor(SYSTEM)


@dataclass(slots=True)
class _Open:
    """A window. ``ip`` is the address that opened it; ``opened`` and ``due`` are of different clocks."""

    ip: str
    opened: str
    due: int
    reasons: dict[str, int] = field(default_factory=dict)
    seq: int = -1
    opening: asyncio.Task[None] | None = None

    def intent(self, op: str) -> Intent:
        window = Window(self.opened, sum(self.reasons.values()), dict(self.reasons))
        tail = Tail(op=op, actor=_ACTOR, origin=Origin("s3", ip=self.ip), window=window, ref=self.seq)
        return Intent(tail, encode_tail(tail))


class Windows:
    """The table of open windows. For one event loop.

    Args:
        commit: Makes an operation durable and returns its record (``Core.commit``).
        wall: Wall clock, ns since the epoch: what records say.
        monotonic: Measures how long a window is open, ns.

    Attributes:
        counts: Requests counted since the start, by reason.
    """

    def __init__(
        self,
        commit: Callable[[Intent], Awaitable[Committed]],
        *,
        wall: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._commit = commit
        self._wall = wall
        self._monotonic = monotonic
        self.counts = Counts()
        self._open: dict[tuple[str, str], _Open] = {}
        self._closing: list[_Open] = []

    @property
    def open(self) -> int:
        """Windows that are open."""
        return len(self._open)

    async def count(self, ip: str, reason: str) -> None:
        """Count one request; on return the window it counts in has a durable opening record.

        Args:
            ip: The peer's address, as of the socket.
            reason: Why its signature was not accepted, of a closed list.

        Raises:
            Unavailable: There is no room for the record: the request must not be answered as if there were one.
            OutcomeUnknown: The record's fate is not known.
        """
        self.counts[reason] += 1
        key = (network(ip), reason)
        window = self._open.get(key)
        if window is None and len(self._open) >= MAX_WINDOWS:
            key, ip = _REST, ""
            window = self._open.get(key)
        if window is None:
            window = _Open(ip, rfc3339(self._wall()), self._monotonic() + WINDOW_NS, {reason: 1})
            window.opening = asyncio.create_task(self._write_opening(key, window))
            self._open[key] = window
        else:
            window.reasons[reason] = window.reasons.get(reason, 0) + 1
        if window.opening is not None:
            # Everybody who is counted waits for the same record; one of them going away must not stop it.
            await asyncio.shield(window.opening)

    async def _write_opening(self, key: tuple[str, str], window: _Open) -> None:
        try:
            window.seq = (await self._commit(window.intent("auth.window.open"))).position
        finally:
            window.opening = None
            if window.seq < 0:
                del self._open[key]

    async def run(self) -> None:
        """Close windows as they come due, until cancelled.

        Raises:
            OutcomeUnknown: A record's fate is not known; the process must stop.
        """
        while True:
            await asyncio.sleep(TICK_SECONDS)
            await self.close_due()

    async def close_due(self, *, everything: bool = False) -> None:
        """Write the counts of windows that have been open long enough; what cannot be written now is kept for later.

        Args:
            everything: Also those that are not due: the process stops.

        Raises:
            OutcomeUnknown: A record's fate is not known.
        """
        now = self._monotonic()
        for key, window in list(self._open.items()):
            if window.seq >= 0 and (everything or window.due <= now):
                self._closing.append(self._open.pop(key))
        while self._closing:
            window = self._closing.pop(0)
            try:
                await self._commit(window.intent("auth.window.close"))
            except Unavailable:
                self._closing.insert(0, window)
                return


def network(ip: str) -> str:
    """The network whose requests are counted together; an address that is none stands for itself."""
    try:
        address = ipaddress.ip_address(ip)
    except ValueError:
        return ip
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.IPv6Network((int(address) >> (128 - IPV6_BITS) << (128 - IPV6_BITS), IPV6_BITS)))
        address = address.ipv4_mapped
    return str(ipaddress.IPv4Network((int(address) >> (32 - IPV4_BITS) << (32 - IPV4_BITS), IPV4_BITS)))
