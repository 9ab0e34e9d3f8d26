"""How far the relay is, as it tells itself, and what follows from that for writes, ``/readyz`` and ``/metrics``.

What is in Kafka, Kafka knows; the server believes what the relay saw there. It keeps the last number in a cursor, too:
a record that a consumer has seen must never be cut by a recovery (DESIGN §4), and how many wait is known before the
relay has looked again.

Not handled here: the relay (``exporters.relay``), and where each stream goes (``vault.state.relaying``).
"""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Final

import msgspec

from audit.errors import RecordPruned
from audit.feed import Cursor
from vault.record import decode
from vault.times import NS, parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit.config import Settings
    from audit.feed import Feed

#: The consumer's name, of its cursor.
RELAY: Final = "relay"
#: How long the relay may say nothing before somebody should look, in seconds.
SILENT_SECONDS: Final = 30


class RelayStanding(msgspec.Struct, frozen=True, kw_only=True):
    """What the relay tells of one stream.

    Attributes:
        stream: Its name.
        committed: Number of its records that are in Kafka for good; -1: not known yet.
        trouble: Why it cannot go on, in one line; empty where it can.
        warnings: What somebody should look at, about topics.
        sessions: Producers that were begun; ``transactions`` those of their transactions that were committed, and
            ``aborted`` those that were not.
        rewinds: Times that topic and cursor disagreed.
        first_offset: Of its partition, the first that is there; -1 until the relay has seen it.
        next_offset: The one after the last that can be read; -1 likewise.
    """

    stream: str
    committed: int = -1
    trouble: str = ""
    warnings: tuple[str, ...] = ()
    sessions: int = 0
    transactions: int = 0
    aborted: int = 0
    rewinds: int = 0
    first_offset: int = -1
    next_offset: int = -1


class Relaying:
    """The server's account of the relay. Thread-safe.

    Args:
        settings: Whether there is one, and how much may wait for it.
        stream: The stream that is written; ``feed`` its records.
        feed: See ``stream``.
        cursors: ``views/cursors``.
        wall: The wall clock, in ns since the epoch.

    Raises:
        LedgerCorrupt: Its cursor is damaged.
    """

    def __init__(
        self, settings: Settings, stream: str, feed: Feed, cursors: Path, wall: Callable[[], int] = time.time_ns
    ) -> None:
        self.configured = bool(settings.kafka.bootstrap)
        self._limits = settings.relay
        self._stream = stream
        self._feed = feed
        self._wall = wall
        self._cursor = Cursor(cursors, RELAY, stream)
        self._kept = self._committed = self._cursor.load()
        self._told = {stream: RelayStanding(stream=stream)} if self.configured else {}
        self._heard = time.monotonic()
        self._lock = Lock()
        self._behind = ""

    @property
    def standings(self) -> list[RelayStanding]:
        """What was told last of each stream by this server's relay."""
        with self._lock:
            return list(self._told.values())

    @property
    def silent_s(self) -> float:
        """Seconds since the relay told anything, or since the start."""
        return time.monotonic() - self._heard

    def tell(self, standing: RelayStanding) -> None:
        """Take what the relay tells."""
        with self._lock:
            self._told[standing.stream] = standing
            self._heard = time.monotonic()
            if standing.stream == self._stream and standing.committed >= 0:
                self._committed = min(standing.committed, self._feed.end)

    @property
    def lag_records(self) -> int:
        """Durable records of the stream that is written that are not known to be in Kafka."""
        return self._feed.end - self._committed

    def lag_seconds(self) -> float:
        """How long the first of them has waited; by the wall clock, which the record has, too."""
        first = self._committed
        if first >= self._feed.end:
            return 0.0
        try:
            head, _ = decode(self._feed.record(first))
        except RecordPruned:  # it is old, and the relay will pass it over
            return 0.0
        return max(0, self._wall() - parse_rfc3339(head.time)) / NS

    @property
    def behind(self) -> str:
        """Why new writes are refused, as of the last :meth:`keep`; empty where they are not."""
        return self._behind

    def keep(self) -> bool:
        """Judge the lag, and remember how far the relay is; called once a second. Always False: it is never busy.

        Raises:
            DurabilityError: The cursor could not be written.
        """
        if self.configured:
            self._behind = self._judge()
        if self._committed != self._kept:
            self._kept = self._committed
            self._cursor.move(self._kept)
        return False

    def _judge(self) -> str:
        limits = self._limits
        if limits.max_lag_records and (lag := self.lag_records) > limits.max_lag_records:
            return f"{lag} records wait for Kafka, more than relay.max_lag_records = {limits.max_lag_records}"
        if limits.max_lag_seconds and (waited := self.lag_seconds()) > limits.max_lag_seconds:
            return f"records wait for Kafka for {waited:.0f} s, more than relay.max_lag_seconds"
        return ""

    def notices(self) -> list[str]:
        """What somebody should look at."""
        if not self.configured:
            return []
        silent = self.silent_s
        found = [f"relay: new writes are refused: {self._behind}"] if self._behind else []
        if silent > SILENT_SECONDS:
            found.append(
                f"relay: it has not told of itself for {silent:.0f} s; {self.lag_records} records wait: the server "
                "starts it again where it ends, and its log says why"
            )
        for standing in self.standings:
            found += [f"relay: {text}" for text in (standing.trouble, *standing.warnings) if text]
        return found
