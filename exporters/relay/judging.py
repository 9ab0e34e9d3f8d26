"""What is to be said of a stream's copy in Kafka, once it was looked at (``exporters.relay.examination``).

Reads single records of the ledger, and asks Kafka nothing. Not handled here: whether all that is there is the ledger's
(``strongroom verify --kafka``); of that only the last record is compared, as the relay does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.doctor import ADVICE, PROBLEM, Finding
from audit.examiners import Shown
from exporters.relay.disagreements import ahead_of_ledger, no_record, not_the_ledgers
from vault.record import decode
from vault.times import DAY_NS, NS, parse_rfc3339

if TYPE_CHECKING:
    from audit.config import Settings
    from audit.control import Control
    from audit.control.stream_messages import Assignment
    from exporters.relay.position import Held

#: Records that may wait for Kafka, and for how long the first of them may, in seconds, before somebody should look.
MANY_RECORDS: Final = 100_000
LONG_SECONDS: Final = 60


class Seen(NamedTuple):
    """What Kafka holds of a stream.

    Attributes:
        held: Its last record, and offsets.
        first: Seq of the first record that is still there; -1 where none is.
        cursor: What the relay's cursor says comes next; -1 where there is none.
    """

    held: Held
    first: int
    cursor: int

    @property
    def following(self) -> int:
        """Seq that the relay copies next."""
        return self.held.following(self.cursor)


def shown(stream: Assignment, copy: Seen) -> Shown:
    """One line of a stream's copy, and the same for programs."""
    held, where = copy.held, f"{stream.topic}/{stream.partition}"
    waiting = max(stream.durable - copy.following, 0)
    there = f"records {copy.first} to {held.readable - 1}" if copy.first >= 0 and held.readable > 0 else "no record"
    offsets = f"offsets {held.low} to {held.end - 1}" if held.end > held.low else "no offset"
    text = f"{stream.stream} in {where}: {there}, {offsets}; record {copy.following} comes next, and {waiting} wait"
    return Shown(
        text,
        {
            "stream": stream.stream, "topic": stream.topic, "partition": stream.partition,
            "first_offset": held.low, "last_offset": held.end - 1, "first": copy.first, "next": copy.following,
            "lag": waiting,
        },
    )  # fmt: skip


def judge(control: Control, settings: Settings, stream: Assignment, copy: Seen) -> list[Finding]:
    """What is to be done about a stream's copy."""
    held, where, following = copy.held, f"{stream.topic}/{stream.partition}", copy.following
    if held.readable == 0:
        return [Finding(PROBLEM, no_record(stream.stream, where))]
    if following > stream.durable:
        return [Finding(PROBLEM, ahead_of_ledger(stream.stream, following, stream.durable))]
    if held.readable > 0 and _record(control, stream, held.readable - 1) not in {b"", held.last}:
        return [Finding(PROBLEM, not_the_ledgers(stream.stream, held.readable - 1, where))]
    found = []
    first = copy.first if copy.first >= 0 else following
    if held.gone and first and _too_early(control, settings, stream, first - 1):
        found.append(
            f"{where} begins with record {first} of {stream.stream}: records 0 to {first - 1} are no longer there. The "
            f"vault has them (`strongroom log export`). To keep what comes, set retention.ms and retention.bytes of "
            f"{stream.topic} to -1, or say with relay.keep_days that they may go; to have all written again delete the "
            "topic, then `strongroom run relay --accept-topic`"
        )
    waiting = stream.durable - following
    waited = (_age(_record(control, stream, following)) or 0) / NS if waiting else 0
    if waiting > MANY_RECORDS or waited > LONG_SECONDS:
        found.append(
            f"{waiting} records of {stream.stream} wait for Kafka, the first for {waited:.0f} s: the relay copies them "
            "while a server runs; where this number does not fall, /readyz and the server's log say why"
        )
    return [Finding(ADVICE, text) for text in found]


def _too_early(control: Control, settings: Settings, stream: Assignment, seq: int) -> bool:
    """Whether a record that is no longer in the topic should still be: for good, or for as long as settings say."""
    relay = settings.relay
    days = relay.keep_days if relay.create_topics else relay.max_outage_days
    age = _age(_record(control, stream, seq))
    return not days or (age is not None and age < days * DAY_NS)


def _record(control: Control, stream: Assignment, seq: int) -> bytes:
    """Exact bytes of a record of the ledger; none where it was pruned."""
    return next(iter(control.records(stream.stream, seq, seq + 1)))


def _age(record: bytes) -> int | None:
    """How old a record is by the wall clock, in ns; None of one that was pruned: it is old."""
    if not record:
        return None
    head, _ = decode(record)
    return max(0, time.time_ns() - parse_rfc3339(head.time))
