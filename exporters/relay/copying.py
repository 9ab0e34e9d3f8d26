"""One stream's copy, as one session carries it on: where it goes on, and then record after record.

Where it goes on (DESIGN §8): after the last record that can be read in the stream's partition, which must be the
ledger's, byte by byte. The cursor, written in the same transaction, must say the same; where it does not, Kafka lost
records that it had acknowledged, or the cursors: what can be read counts, and a ``relay.rewind`` record tells of it.
Where every record has expired, only the cursor can say.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from exporters.errors import BrokerUnavailable, CopyDisagrees, SessionOver
from exporters.relay.admin import PATIENCE_SECONDS
from exporters.relay.disagreements import ahead_of_ledger, no_record, not_the_ledgers
from exporters.relay.session import MAX_BYTES, MAX_RECORDS
from vault.merkle import leaf_hash

if TYPE_CHECKING:
    from concurrent.futures import Future
    from threading import Event

    from audit.control.worker import WorkerClient
    from exporters.relay.account import Account
    from exporters.relay.ahead import Ahead
    from exporters.relay.assignment import Place
    from exporters.relay.position import Position
    from exporters.relay.session import Session
    from exporters.relay.topics import Look, Topics

#: Seconds from one transaction's begin to the next where few records come: more of them would load the broker.
PACE_SECONDS: Final = 0.05
#: From so many records on, more are not waited for.
ENOUGH_RECORDS: Final = 10_000
#: Seconds to wait for a record where none comes.
IDLE_SECONDS: Final = 0.5
#: Seconds between two looks at the topics.
LOOK_SECONDS: Final = 10.0

_log: Final = logging.getLogger(__name__)


class Copying:
    """See the module.

    Args:
        place: Where the stream goes.
        topics: The topics.
        session: Begun: nobody else of its id writes any more.
        account: Told how it goes.
        relay: This process's name in cursors.
    """

    def __init__(self, place: Place, topics: Topics, session: Session, account: Account, relay: str) -> None:
        self._place = place
        self._topics = topics
        self._session = session
        self._account = account
        self._relay = relay
        self._done = 0
        self._leaf = ""
        self._note = b""
        self._sealed = 0
        self._looked = time.monotonic()
        self._looking: Future[Look] | None = None

    @property
    def done(self) -> int:
        """Number of records that are in Kafka."""
        return self._done

    def resume(self, server: WorkerClient, position: Position) -> bytes | None:
        """Find where it goes on, and claim it: a cursor of this relay is in Kafka on return.

        Returns:
            The record before that; None at seq 0, none where it was pruned.

        Raises:
            CopyDisagrees: What is in Kafka is not the ledger's.
            SessionOver: It could not be claimed.
            BrokerUnavailable: No broker answers.
            BrokerRefused: They do not let us.
        """
        place, names = self._place, self._topics.names
        held = position.held(names.records, place.partition, place.stream)
        found = position.cursors(names.cursors).get(place.stream)
        cursor = found.next if found is not None and found.topic == place.topic_id else -1
        readable, first = held.readable, held.following(cursor)
        if readable == 0:
            raise CopyDisagrees(no_record(place.stream, self._where))
        before = self._before(server, first, held.last)
        if first != max(cursor, 0):
            self._account.count(place.stream, rewinds=1)
            _log.warning(
                "%s: the cursor says that %d records are in %s, and %d can be read there: going on with record %d",
                place.stream, max(cursor, 0), self._where, max(readable, 0), first,
            )  # fmt: skip
            server.record_rewind(place.said(first, cursor, readable))
        self._done, self._leaf = first, leaf_hash(before).hex() if before else ""
        self._session.send(place.stream, place.partition, (), self._cursor())
        return before

    @property
    def _where(self) -> str:
        return f"{self._place.topic}/{self._place.partition}"

    def _cursor(self) -> bytes:
        return self._place.cursor(self._done, self._leaf, self._relay).encode()

    def _before(self, server: WorkerClient, first: int, last: bytes | None) -> bytes | None:
        """The ledger's record before ``first``, which is the last one that can be read in Kafka, if one can."""
        if not first:
            return None
        followed, run = server.follow(self._place.stream, first - 1, 0)
        if not run.lengths:
            raise CopyDisagrees(ahead_of_ledger(self._place.stream, first, followed.end))
        before = run.records()[0]
        if last is not None and before and before != last:
            raise CopyDisagrees(not_the_ledgers(self._place.stream, first - 1, self._where))
        return before

    def carry(self, ahead: Ahead, stop: Event) -> None:
        """Carry records until told to stop, or to the end of a stream that was taken over.

        Raises:
            SessionOver: A transaction ended, or the topic is another one.
            TopicUnfit: A topic is missing, or is not fit for records any more.
            CopyDisagrees: Kafka has more than the ledger.
            LedgerCorrupt: A record does not follow the one before it.
            ControlFailed: The server is not there any more.
        """
        stream, ended = self._place.stream, False
        while not (stop.is_set() or ended):
            ended = self._step(ahead)
            self._account.well(stream, self._done)
            self._look()
        self._account.well(stream, self._done, now=True)

    def _step(self, ahead: Ahead) -> bool:
        """One transaction, if there is something for it; whether the stream is at its end."""
        began = time.monotonic()
        records, size, following, ended = list[bytes](), 0, self._done, False
        while len(records) < MAX_RECORDS // 2 and size < MAX_BYTES // 2:
            left = PACE_SECONDS - (time.monotonic() - began)
            batch = ahead.take(0 if len(records) >= ENOUGH_RECORDS else left if records else IDLE_SECONDS)
            if batch is None:
                break
            records += batch.records
            size += batch.size
            following, self._leaf, ended = batch.next, batch.leaf, batch.last
            if batch.checkpoint:
                self._note, self._sealed = batch.checkpoint, batch.sealed
            if not batch.records:
                break  # a checkpoint alone is not kept waiting
        note = self._note if self._sealed <= following else b""
        if following > self._done or note:
            self._done = following
            self._session.send(self._place.stream, self._place.partition, records, self._cursor(), note)
            self._note = b"" if note else self._note
            self._account.count(self._place.stream, transactions=1)
        return ended

    def _look(self) -> None:
        """See now and then whether the topics are what they were; never waits for that.

        Raises:
            SessionOver: The records' topic is not.
            TopicUnfit: One is missing, or is not fit any more.
            BrokerRefused: They let us look no more.
        """
        since = time.monotonic() - self._looked
        if self._looking is None:
            if since > LOOK_SECONDS:
                self._looking, self._looked = self._topics.look_soon(), time.monotonic()
            return
        if not self._looking.done():
            if since > PATIENCE_SECONDS:
                self._topics.forget()
                self._looking = None
            return
        looking, self._looking = self._looking, None
        try:
            look = looking.result()
        except BrokerUnavailable:
            return  # the next transaction tells
        if look.topic_id != self._place.topic_id:
            raise SessionOver(f"{self._place.topic} is not the topic that it was")
        self._account.warn(self._place.stream, look.warnings)
        self._account.offsets(self._place.stream, *look.offsets[self._place.partition])
