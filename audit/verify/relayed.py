"""Records of one stream as the relay wrote them to a partition: in order of seq, each once, each with its key.

1. Each is what ``records`` accepts, of the stream that its key names, with the next seq, and chained to the one before.
2. The same seq may stand again with the same bytes: consumers drop that, and it is counted. With other bytes it is bad.
3. A seq that is left out is bad, unless it was pruned (``gaps``), and so is one that comes later than it should.
4. The tree over them has the roots that checkpoints say, and the leaf hashes that the log has (``growth``).
5. The record before the cursor's next one has the hash that the cursor says. Neither cursor nor checkpoint goes further
   than the records do: what it would cover is lost.

Not checked: what operations did to each other (``locks``), for which all records of a vault must be there.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from audit.verify.forms import HEX, NAT, STR
from audit.verify.gaps import MAX_PRUNINGS, Gap, Pruning, pruning_in
from audit.verify.growth import Growth
from audit.verify.records import Checker
from audit.verify.report import Finding
from audit.verify.schema import MAX_RECORD_BYTES, why_not
from audit.verify.tree import HASH_BYTES, TILE_WIDTH, leaf_hash

if TYPE_CHECKING:
    from audit.verify.checkpoints import Checkpoints
    from audit.verify.cursors import Cursor
    from audit.verify.proven import Proven
    from audit.verify.topic import Batch, Part

#: Leaf hashes kept, of all streams of a partition, to compare repeats with: 128 MB.
LEAVES_KEPT: Final = 1 << 22
#: How every record of whatever version begins (DESIGN §3).
_FRONT: Final = re.compile(
    rf'(?P<front>\{{"v":[0-9]{{1,9}},"stream":(?P<stream>{STR}),"seq":)(?P<seq>{NAT}),"prev":"{HEX}",'.encode()
)


class Head:
    """What a message's value says it is: the record ``seq`` of ``stream`` (as JSON); or ``why`` it is no record."""

    __slots__ = ("front", "seq", "stream", "why")

    def __init__(self, value: bytes) -> None:
        match = _FRONT.match(value) if len(value) <= MAX_RECORD_BYTES else None
        self.front, self.stream, self.seq, self.why = b"", b"", -1, ""
        if match is not None:
            self.front, self.stream, self.seq = match["front"], match["stream"], int(match["seq"])
        else:
            self.why = f"no record: {why_not(value)[:200]}" if value else "a message without a value"


def quoted(key: bytes) -> bytes:
    """A stream's name as records have it; none where the key is no UTF-8."""
    try:
        return json.dumps(key.decode(), ensure_ascii=False).encode()
    except UnicodeDecodeError:
        return b""


class Relayed:
    """The records of one stream.

    Args:
        key: Its name, in UTF-8.
        part: The partition that they are in.
        head: What the first of them says it is.
        log: The tiles of its log, where there is one.
        notes: Its checkpoints.
        cursor: Its cursor, where there is one.

    Attributes:
        first: Seq of the first record.
        next: Seq of the next one.
        count: Records read.
        repeats: Records that stood again with the same bytes.
        far: Seq of a repeat too far back to be compared; -1 where there was none.
        rooted: All roots can be computed: from seq 0 on, or with a log, and without a gap that no log fills.
        gaps: Records that are missing, by seq.
        prunings: What its records say was pruned, of whichever stream.
        ops: Records by operation.
        findings: What is bad.
    """

    def __init__(
        self, key: bytes, part: Part, head: Head, *, log: Proven | None, notes: Checkpoints, cursor: Cursor | None
    ) -> None:
        self.key, self.part, self.log, self.notes, self.cursor = key, part, log, notes, cursor
        self.first = self.next = head.seq
        self._quoted = quoted(key)
        self._front = b""
        self._turn(head)
        self._clock, self._last = b"", b""
        self.gaps: list[Gap] = []
        self.prunings: list[Pruning] = []
        self._leaves, self._base = bytearray(), self.first
        self.count, self.repeats, self.far = 0, 0, -1
        self.ops: Counter[bytes] = Counter()
        self.findings: list[Finding] = []
        covered = log is not None and self.first <= log.size
        self.rooted = self.first == 0 or covered
        self.growth = Growth(self.first, log if covered else None, notes, self.place) if self.rooted else None
        if self.first and covered and log is not None:
            self._last = log.leaves(self.first - 1, self.first)

    def place(self, seq: int) -> str:
        """Name the place of a record."""
        return f"{self.part.place} {self.key.decode(errors='replace')} record {seq}"

    def _turn(self, head: Head) -> None:
        """Expect records to begin as this one does from now on: of its version."""
        self._front = head.front.replace(b"%", b"%%") + b'%d,"prev":"'

    def follow(self, batch: Batch, at: int) -> int:
        """Take as many messages of a batch as are the next records; where the first is not, it takes none.

        Args:
            batch: The batch.
            at: Index of the first message.

        Returns:
            Index behind the last one taken.

        Raises:
            Bad: A tile of the log is missing, or does not lead to its root.
            Unchecked: A tile of the log cannot be read.
        """
        keys, values, key, front = batch.keys, batch.values, self.key, self._front
        begin, end, seq = at, len(values), self.next
        while at < end and keys[at] == key and values[at].startswith(front % seq):
            at += 1
            seq += 1
        if at > begin:
            self._take(values[begin:at])
        return at

    def _take(self, records: list[bytes]) -> bytes:
        """Take the next records; the clock of the first, where it says one."""
        checker = Checker(self._quoted, self.next, self.place)
        checker.feed(records)
        run = checker.run()
        self.findings += run.findings
        if self._last and run.prev != self._last.hex().encode():
            why = "it does not follow the record before: prev is not that one's leaf hash; one of the two was changed"
            self.findings.append(Finding(run.first, self.place(run.first), why))
        if run.clocks[0]:
            if run.clocks[0] < self._clock:
                why = f"its clock {run.clocks[0].decode()} is before that of the record before"
                self.findings.append(Finding(run.first, self.place(run.first), why))
            self._clock = run.clocks[1]
        self._last = run.leaves[-HASH_BYTES:]
        for event in run.events if b"ledger.pruned" in run.ops else ():
            if event.op == b"ledger.pruned" and len(self.prunings) < MAX_PRUNINGS:
                self.prunings.append(pruning_in(event))
        self.ops.update(run.ops)
        self.count += len(records)
        self.next += len(records)
        self._leaves += run.leaves
        if self.growth is not None:
            self.growth.extend(run.leaves)
        if self.cursor is not None and run.first < self.cursor.next <= self.next:
            at = (self.cursor.next - run.first) * HASH_BYTES
            self._hold(self.cursor, run.leaves[at - HASH_BYTES : at])
        elif self.cursor is not None and self.cursor.next == run.first == self.first > 0:
            self._hold(self.cursor, bytes.fromhex(run.prev.decode()))
        return run.clocks[0]

    def _hold(self, cursor: Cursor, leaf: bytes) -> None:
        """Compare the cursor's leaf with that of the record before its next one."""
        if leaf != cursor.leaf:
            why = "the cursor has another hash of this record: one of the two was changed"
            self._bad(cursor.next - 1, cursor.place, why)

    def trim(self, share: int) -> None:
        """Keep no more leaf hashes than these to compare repeats with."""
        over = len(self._leaves) // HASH_BYTES - share
        if over > 0:
            del self._leaves[: over * HASH_BYTES]
            self._base += over

    def other(self, head: Head, value: bytes, offset: int) -> None:
        """Take a record of the stream that :meth:`follow` did not take, or the first one. Raises as that does."""
        if head.seq < self.next:
            self._again(head.seq, value, offset)
            return
        first = self.next
        if head.seq > first:
            self._fill(head.seq)
        self._turn(head)
        clock = self._take([value])
        if head.seq > first:
            self.gaps.append(Gap(first, head.seq, clock, self.part.at(offset)))

    def _again(self, seq: int, value: bytes, offset: int) -> None:
        place = self.part.at(offset)
        if seq < self.first:
            self._bad(
                seq, place, f"record {seq} comes after record {self.first}, which is the first of its stream here"
            )
        elif any(gap.first <= seq < gap.end for gap in self.gaps):
            self._bad(seq, place, f"record {seq} is out of order: it comes after record {self.next - 1}")
        else:
            at = (seq - self._base) * HASH_BYTES
            known = bytes(self._leaves[at : at + HASH_BYTES]) if at >= 0 else b""
            if not known and self.log is not None and seq < self.log.size:
                known = self.log.leaves(seq, seq + 1)
            if not known:
                self.far = seq
            elif known == leaf_hash(value):
                self.repeats += 1
            else:
                self._bad(seq, place, "the same seq stands twice with different bytes")

    def _fill(self, end: int) -> None:
        """Go on at a seq behind the next one, with leaf hashes of what is missing from the log, where it has them."""
        self.next = self._base = end
        self._leaves.clear()
        self._last = b""
        if self.growth is None:
            return
        if self.log is None or end > self.log.size:
            self._grown()
            self.rooted, self.growth = False, None
            return
        while (size := self.growth.size) < end:
            self.growth.extend(self.log.leaves(size, min(end, size - size % TILE_WIDTH + TILE_WIDTH)))
        self._last = self.log.leaves(end - 1, end)

    def _grown(self) -> None:
        if self.growth is not None:
            self.growth.finish()
            self.findings += self.growth.findings

    def finish(self) -> None:
        """No more records come. Raises as :meth:`follow`."""
        self._grown()
        self.findings += lost(self.next, self.cursor, self.notes, hidden=self.part.hidden)
        if self.cursor is not None and self.cursor.partition != self.part.number:
            why = f"it says partition {self.cursor.partition}, and the records are in {self.part.place}"
            self._bad(None, self.cursor.place, why)

    def _bad(self, seq: int | None, place: str, why: str) -> None:
        self.findings.append(Finding(seq, place, why))


def lost(end: int, cursor: Cursor | None, notes: Checkpoints, *, hidden: bool) -> list[Finding]:
    """What is said of a stream's records past the last one that is there.

    Args:
        end: Seq behind that one.
        cursor: The stream's cursor.
        notes: Its checkpoints.
        hidden: There may be more records, which cannot be read yet.

    Returns:
        What is bad.
    """
    found = []
    if cursor is not None and cursor.next > end and not hidden:
        why = f"it says that {cursor.next} records were written; {_those(end, cursor.next)}: the tail is lost"
        found.append(Finding(end, cursor.place, why))
    size, place = notes.largest
    if size > end and not hidden:
        why = f"it covers {size} records, and never comes before them; {_those(end, size)}: the tail is lost"
        found.append(Finding(end, place, why))
    return found


def _those(first: int, end: int) -> str:
    return f"record {first} is not there" if end == first + 1 else f"records {first} to {end - 1} are not there"
