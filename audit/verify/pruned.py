"""Records that were pruned: what is gone is what ``ledger.pruned`` records say, and was old enough (DESIGN §4).

Checked:

1. Every record of which only the hash is there is one that the latest ``ledger.pruned`` of its segment names; an
   earlier one of the same segment counts where the latest was not carried out yet.
2. It was at least 184 days old by the clocks of that ``ledger.pruned``: the next record that is there was, and the
   compliance clock never runs backwards.

By trust only: that what is gone were records that changed nothing. All that is here of versions, locks and removals is
replayed without them, and a version whose record had gone would be a body that no record names.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from audit.verify.report import Finding, State
from audit.verify.tree import TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from audit.verify.event import Event
    from audit.verify.records import Run

#: Days that every record is kept at least.
MIN_DAYS: Final = 184


class Pruned:
    """What is gone of one stream.

    Args:
        place: Names the place of a record from its seq.
    """

    def __init__(self, place: Callable[[int], str]) -> None:
        self._place = place
        self._gone = bytearray()  # a bit for each record
        self._after: dict[int, bytes] = {}  # clock of the record after a gap, by the tile in which the gap ends
        self._open: list[int] = []  # tiles of which that is still to come

    def add(self, run: Run) -> None:
        """Take note of the next run."""
        self._close(run.clocks[0])
        for first, end, clock in run.gaps:
            self._gone.extend(bytes(max(0, -(-end // 8) - len(self._gone))))
            for seq in range(first, end):
                self._gone[seq // 8] |= 1 << seq % 8
            self._open.append((end - 1) // TILE_WIDTH)
            self._close(clock)

    def _close(self, clock: bytes) -> None:
        if clock:
            self._after |= dict.fromkeys(self._open, clock)
            self._open.clear()

    def judge(self, stream: str, said: Iterable[Event]) -> tuple[list[Finding], list[State]]:
        """Hold what is gone against what records say of it.

        Args:
            stream: The stream's name.
            said: All ``ledger.pruned``, of every stream, in order.

        Returns:
            What is bad, and what a reader should know.
        """
        by_segment: dict[tuple[int, int], list[Event]] = {}
        for event in said:
            if json.loads(event.pruned_stream) == stream:
                by_segment.setdefault((int(event.pruned_first), int(event.pruned_end)), []).append(event)
        findings: list[Finding] = []
        unfinished = count = 0
        for (first, end), events in sorted(by_segment.items()):
            bits = self._bits(first, end)
            number = sum(map(int.bit_count, bits))
            found = sha256(bits).hexdigest().encode(), b"%d" % number
            by = next((event for event in reversed(events) if (event.pruned_digest, event.pruned_count) == found), None)
            if number and by is None:
                why = f"{number} records of {first} to {end - 1} are gone, and others were to be pruned"
                findings.append(self._finding(self._first(bits, first), why))
            elif number and by is not None:
                findings += self._judge_age(by, first, end)
                count += number
            unfinished += by is not events[-1]
            self._clear(first, end)
        stray = self._first(bytes(self._gone), 0)
        if stray >= 0:
            findings.append(self._finding(stray, "the record is gone, and no ledger.pruned record names it"))
        states = []
        if count:
            detail = f"of {count} records only the hashes are left, as {len(by_segment)} ledger.pruned records say"
            states.append(State("pruned", f"streams/{stream}", detail))
        if unfinished:
            detail = f"{unfinished} segments hold records that were to be pruned; the server looks at them again"
            states.append(State("pruning unfinished", f"streams/{stream}", detail))
        return findings, states

    def _finding(self, seq: int, why: str) -> Finding:
        return Finding(seq, self._place(seq), why)

    def _bits(self, first: int, end: int) -> bytes:
        length = -(-(end - first) // 8)
        return bytes(self._gone[first // 8 : first // 8 + length]).ljust(length, b"\0")

    def _clear(self, first: int, end: int) -> None:
        stop = min(len(self._gone), first // 8 + -(-(end - first) // 8))
        if first // 8 < stop:
            self._gone[first // 8 : stop] = bytes(stop - first // 8)

    @staticmethod
    def _first(bits: bytes, first: int) -> int:
        """Seq of the first bit that is set; -1 where none is."""
        at = next((at for at, byte in enumerate(bits) if byte), -1)
        return first + at * 8 + (bits[at] & -bits[at]).bit_length() - 1 if at >= 0 else -1

    def _judge_age(self, by: Event, first: int, end: int) -> list[Finding]:
        """Check 2."""
        clocks = [self._after[n] for n in range(first // TILE_WIDTH, -(-end // TILE_WIDTH)) if n in self._after]
        newest = max(clocks, default=by.at)
        if date(newest) + timedelta(days=MIN_DAYS) <= date(by.at):
            return []
        why = f"record {by.seq} says that it was pruned, less than {MIN_DAYS} days after it was made"
        return [self._finding(self._first(self._bits(first, end), first), why)]


def date(clock: bytes) -> datetime:
    """The instant that a record's clock says, to the second."""
    return datetime.fromisoformat(clock[:19].decode())
