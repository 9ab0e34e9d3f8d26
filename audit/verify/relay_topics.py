"""The topics that a relay writes, as one target (ARCHITECTURE, Kafka topics).

In this order, so that what one says must be in the next:

1. Cursors, and checkpoints: how far each stream was written, and what its log was then (``cursors``, ``checkpoints``).
2. Records: each partition from where it begins now to where it ended at the start (``topic``, ``relayed``).
3. What came of each stream (``relay_verdict``).

A transaction that stays open hides what comes after it: then nobody can check the end, and that is said.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.verify.checkpoints import MAX_KEPT, Checkpoints, quick
from audit.verify.cursors import MAX_STREAMS, Cursor, last_cursors, shown, stream_of
from audit.verify.exported import summarise
from audit.verify.note import NoteError, parse_checkpoint, signers
from audit.verify.relay_verdict import Read, judge, judge_gaps
from audit.verify.relayed import LEAVES_KEPT, Head, Relayed, quoted
from audit.verify.report import Bad, Finding, Report, Unchecked
from audit.verify.topic import fixed

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.verify.anchor import Outside
    from audit.verify.outside_log import Log
    from audit.verify.topic import Batch, Part, Reader

#: Findings after which nothing more is read.
MAX_FOUND: Final = 10_000


class Target(NamedTuple):
    """What is verified: topics whose names begin with ``prefix``, read by ``reader``, against these logs by stream."""

    reader: Reader
    prefix: str
    logs: dict[bytes, Log]


def verify_topics(target: Target, outside: Outside, report: Report, progress: Callable[[int], None]) -> None:
    """Verify the topics of a relay.

    Args:
        target: What is verified; its reader is closed afterwards.
        outside: What vouches for it.
        report: Receives everything found.
        progress: Called with the number of records checked.

    Raises:
        Bad: There is so much bad that reading stopped, or a log given is bad itself.
        Unchecked: Something cannot be read, or not up to its end.
    """
    with closing(target.reader):
        _Topics(target, outside, report, progress).verify()


class _Topics:
    """One verification; see :func:`verify_topics`."""

    def __init__(self, target: Target, outside: Outside, report: Report, progress: Callable[[int], None]) -> None:
        self._reader, self._prefix, self._logs = target
        self._outside, self._report, self._progress = outside, report, progress
        self._check = quick()
        self._cursors: dict[bytes, Cursor] = {}
        self._notes: dict[bytes, Checkpoints] = {}
        self._read: dict[bytes, Relayed] = {}
        self._twice: set[tuple[bytes, int]] = set()
        self._ops: Counter[bytes] = Counter()
        self._checkpoints = self._count = 0
        self._hidden: list[Part] = []

    def verify(self) -> None:
        """See :func:`verify_topics`."""
        for name in ("records", "checkpoints", "cursors"):
            if not self._reader.partitions(f"{self._prefix}.{name}"):
                more = "--topics names what the names of all three begin with"
                raise Unchecked(f"there is no topic {self._prefix}.{name} ({more})")
        cursors, notes = self._fixed("cursors"), self._fixed("checkpoints")
        records = self._fixed("records")
        try:
            self._take(cursors, notes, records)
            self._judge(records)
        finally:  # what was found bad until then is bad all the same
            for known in self._notes.values():
                self._report.findings += known.findings

    def _take(self, cursors: list[Part], notes: list[Part], records: list[Part]) -> None:
        self._take_cursors(cursors)
        self._take_notes(notes)
        self._bring()
        try:
            for part in records:
                self._take_records(part)
        except BaseException:  # what comes after might have said that they were pruned
            for stream in self._read.values():
                for gap in stream.gaps:
                    self._report.notes.append(
                        f"{gap.place}: records {gap.first} to {gap.end - 1} are missing before it"
                    )
            raise

    def _judge(self, records: list[Part]) -> None:
        summarise(self._report, self._ops)
        unchecked = []
        said = [
            (self._notes[key].origin.rpartition("/")[0], pruning)
            for key, stream in self._read.items()
            for pruning in stream.prunings
        ]
        for key in sorted(self._notes):
            log, stream, notes = self._logs.get(key), self._read.get(key), self._notes[key]
            unchecked += judge(key, Read(notes, self._cursors.get(key), log, stream), records, self._report)
            if stream is not None and stream.gaps:
                vault = notes.origin.rpartition("/")[0]
                of_it = [pruning for by, pruning in said if by == vault and pruning.stream == key]
                judge_gaps(stream, of_it, self._report)
        if self._hidden:
            places = ", ".join(part.at(part.end) for part in self._hidden[:10])
            why = f"a transaction that does not end hides what comes from {places} on; kafka-transactions.sh names it"
            unchecked.append(why)
        if not self._read:
            unchecked.append(f"topic {self._prefix}.records holds no record: there is nothing to check")
        if unchecked:
            raise Unchecked("; ".join(unchecked[:10]))

    def _fixed(self, name: str) -> list[Part]:
        parts = fixed(self._reader, f"{self._prefix}.{name}")
        self._hidden += [part for part in parts if part.hidden]
        return parts

    def _bad(self, place: str, why: str, seq: int | None = None) -> None:
        self._report.findings.append(Finding(seq, place, why))
        self._bound(place)

    def _bound(self, place: str, more: int = 0) -> None:
        if len(self._report.findings) + more > MAX_FOUND:
            raise Bad(place, f"more than {MAX_FOUND} things are bad: what comes after was not read")

    # --- cursors and checkpoints ---

    def _take_cursors(self, parts: list[Part]) -> None:
        self._cursors, bad = last_cursors(self._reader, parts)
        for error in bad:
            self._bad(error.finding.place, error.finding.why)
        for key, cursor in self._cursors.items():
            self._of(key, cursor.origin, cursor.place)

    def _of(self, key: bytes, origin: str, place: str) -> Checkpoints:
        """A stream's checkpoints; what first names its log says which one that is, and all others must agree."""
        known = self._notes.get(key)
        if known is not None:
            return known
        log = self._logs.get(key)
        expected = log.checkpoint.origin if log is not None else origin
        if origin and origin != expected:
            self._bad(place, f"it is of {origin[:200]}, and the log given is {expected[:200]}")
        if len(self._notes) >= MAX_STREAMS:
            raise Bad(place, f"more than {MAX_STREAMS} streams")
        given = [key for key, _ in self._outside.keys if key.name == expected]
        trusted = [key for key, is_outside in self._outside.keys if is_outside and key.name == expected]
        keys = given or (log.keys if log is not None else [])
        self._notes[key] = notes = Checkpoints(expected, keys, trusted, self._check)
        if not keys:
            self._report.notes.append(f"stream {shown(key)}: signatures not checked, no key is known (--vkey)")
        return notes

    def _take_notes(self, parts: list[Part]) -> None:
        for part in parts:
            for batch in self._reader.read(part):
                for offset, key, value in zip(batch.offsets, batch.keys, batch.values, strict=True):
                    self._take_note(part, offset, key, value)
                self._bound(part.place, sum(len(notes.findings) for notes in self._notes.values()))
        if self._checkpoints > MAX_KEPT:
            why = f"of {self._checkpoints} checkpoints only {MAX_KEPT}, and the largest, were compared with the records"
            self._report.notes.append(why)

    def _take_note(self, part: Part, offset: int, key: bytes, value: bytes) -> None:
        try:
            origin = parse_checkpoint(value).origin
        except NoteError as error:
            self._bad(part.at(offset), str(error))
            return
        if stream_of(origin) != key:
            self._bad(part.at(offset), f"it is a checkpoint of {origin[:200]}, and has the key of {shown(key)}")
            return
        self._checkpoints += 1
        self._of(key, origin, part.at(offset)).add(value, part, offset, keep=self._checkpoints <= MAX_KEPT)

    def _bring(self) -> None:
        """Take the checkpoints that the caller brought."""
        by_origin = {notes.origin: notes for notes in self._notes.values()}
        for given, _ in self._outside.keys:
            if given.name not in by_origin:
                self._bad(given.name, "the topics have no log of that key's name")
        for saved in self._outside.saved:
            notes = by_origin.get(saved.checkpoint.origin)
            if notes is None:
                self._bad(saved.name, f"the topics have no log with its origin {saved.checkpoint.origin}")
                continue
            try:
                good = signers(saved.data, notes.keys)
            except NoteError as error:
                raise Unchecked(f"{saved.name}: {error}: it is no checkpoint by the key known") from error
            if notes.keys and not good:
                raise Unchecked(f"{saved.name}: not signed by the log's key: it is no checkpoint by the key known")
            notes.bring(saved.checkpoint, saved.name, outside=saved.outside)
        for key, log in self._logs.items():
            if key in self._notes:
                self._notes[key].bring(log.checkpoint, log.place, outside=True)
            else:
                raise Unchecked(
                    f"{log.place}: stream {shown(key)}, of which that is, has neither cursor nor checkpoint here"
                )

    # --- records ---

    def _take_records(self, part: Part) -> None:
        here: dict[bytes, Relayed] = {}
        try:
            for batch in self._reader.read(part):
                self._take_batch(part, batch, here)
                self._progress(self._count + sum(stream.count for stream in here.values()))
            for stream in here.values():
                stream.finish()
                self._count += stream.count
                self._ops.update(stream.ops)
        finally:
            for stream in here.values():
                self._report.findings += stream.findings
        self._bound(part.place)

    def _take_batch(self, part: Part, batch: Batch, here: dict[bytes, Relayed]) -> None:
        at = 0
        while at < len(batch.values):
            stream = here.get(batch.keys[at])
            taken = stream.follow(batch, at) if stream is not None else at
            if taken == at:
                self._take_other(part, batch, at, here)
                taken += 1
            at = taken
        for stream in here.values():
            stream.trim(LEAVES_KEPT // len(here))
        self._bound(part.place, sum(len(stream.findings) + len(stream.gaps) for stream in here.values()))

    def _take_other(self, part: Part, batch: Batch, at: int, here: dict[bytes, Relayed]) -> None:
        """Take a message that is not the next record of its stream."""
        offset, key, value = batch.offsets[at], batch.keys[at], batch.values[at]
        place, head = part.at(offset), Head(value)
        stream = here.get(key)
        if head.why:
            self._bad(place, head.why, stream.next if stream is not None else None)
        elif head.stream != quoted(key):
            named = head.stream[:200].decode(errors="replace")
            self._bad(place, f"record {head.seq} of stream {named} has the key of {shown(key)}", head.seq)
        elif stream is not None:
            stream.other(head, value, offset)
        elif key in self._read:
            other = self._read[key].part
            if (key, part.number) not in self._twice:
                self._twice.add((key, part.number))
                self._bad(place, f"stream {shown(key)} is in two partitions: this one, and {other.place}", head.seq)
        else:
            notes = self._of(key, "", place)
            notes.begin()
            log, cursor = self._logs.get(key), self._cursors.get(key)
            tiles = log.tiles if log is not None else None
            stream = Relayed(key, part, head, log=tiles, notes=notes, cursor=cursor)
            self._read[key] = here[key] = stream
            stream.other(head, value, offset)
