"""Joins runs of records into one log: chain, clock order, tree, tiles above level 0, roots at earlier sizes.

Runs come in order of seq. They may overlap (a group written again after a restart, records settled and not yet
recycled): the same seq must then be the same bytes, which its leaf hash shows.

Consistency between two checkpoints needs no proof here: the root at the earlier size is computed again from the
records (RFC 6962 §2.1), which is more than a consistency proof would show.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit.verify.records import NO_PREV
from audit.verify.report import Finding
from audit.verify.tiles import TILE_BYTES, Tiles
from audit.verify.tree import EMPTY_ROOT, HASH_BYTES, TILE_WIDTH, Frontier, split_hashes, subtree_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from audit.verify.records import Run

_TILE_HEIGHT = 8


class Spine:
    """One log, as far as it has been read.

    Args:
        tiles: Its tiles.
        marks: Sizes at which the root is wanted.
        place: Names the place of a record from its seq.
        keep_from: Leaf hashes are kept from this seq on, for runs that overlap.

    Attributes:
        size: Records joined.
        roots: Root at each of ``marks`` that was reached.
        findings: What is bad.
    """

    def __init__(
        self, tiles: Tiles, marks: Iterable[int], place: Callable[[int], str], keep_from: int | None = None
    ) -> None:
        self._tiles, self._place = tiles, place
        self._marks = sorted(set(marks), reverse=True)
        self._keep_from, self._kept = keep_from, bytearray()
        self._frontier = Frontier()
        self._edge: list[bytes] = []  # leaves of the level-0 tile under way
        self._upper: list[bytearray] = []  # hashes of the tile under way, level 1 first
        self._upper_done: list[int] = []
        self._last = bytes.fromhex(NO_PREV.decode())
        self._clock = b""
        self.roots: dict[int, bytes] = {}
        self.findings: list[Finding] = []
        self._mark([])

    @property
    def size(self) -> int:
        """Records joined so far."""
        return self._frontier.size + len(self._edge)

    def root(self) -> bytes:
        """Root over all of them."""
        return self._frontier.root_with(self._edge)

    def add(self, run: Run) -> bool:
        """Join the next run.

        Args:
            run: Its first seq is at most ``size``, or there is a gap.

        Returns:
            Whether the log can go on after it.
        """
        self.findings += run.findings
        known = self.size - run.first
        if known < 0:
            self._bad(self.size, f"records {self.size} to {run.first - 1} are missing")
            return False
        leaves = run.leaves[known * HASH_BYTES :]
        if known and not self._same_bytes(run, known):
            return False
        if not known and leaves:
            self._join(run)
        if leaves:
            self._last = leaves[-HASH_BYTES:]
            self._clock = run.clocks[1] or self._clock
            if self._keep_from is not None:
                skip = max(0, self._keep_from - self.size)
                self._kept += leaves[skip * HASH_BYTES :]
        self._extend(leaves, run.roots if not known else b"")
        return not run.broken

    def finish(self) -> None:
        """Compare the right edge of every level and take the roots that are still wanted."""
        self._mark(self._edge)
        if self._edge:
            n = self._frontier.size // TILE_WIDTH
            self.findings += self._tiles.check(0, [(n, b"".join(self._edge))], self._place)
        for level, (hashes, n) in enumerate(zip(self._upper, self._upper_done, strict=True), start=1):
            if hashes:
                self.findings += self._tiles.check(level, [(n, bytes(hashes))])

    def _bad(self, seq: int, why: str) -> None:
        self.findings.append(Finding(seq, self._place(seq), why))

    def _join(self, run: Run) -> None:
        if run.prev and run.prev != self._last.hex().encode():
            why = "it does not follow the record before: prev is not that one's leaf hash; one of the two was changed"
            self._bad(run.first, why)
        if run.clocks[0] and run.clocks[0] < self._clock:
            self._bad(run.first, f"its clock {run.clocks[0].decode()} is before that of the record before")

    def _same_bytes(self, run: Run, known: int) -> bool:
        at = (run.first - (self._keep_from or 0)) * HASH_BYTES
        again = run.leaves[: known * HASH_BYTES]
        before = self._kept[at : at + len(again)]
        if again == before:
            return True
        index = next(i for i in range(0, len(again), HASH_BYTES) if again[i : i + 32] != before[i : i + 32])
        self._bad(run.first + index // HASH_BYTES, "the same seq stands twice with different bytes")
        return False

    def _extend(self, leaves: bytes, roots: bytes) -> None:
        at = 0
        while at < len(leaves):
            if not self._edge and roots and at + TILE_BYTES <= len(leaves):
                # A worker has hashed this tile and compared it.
                tile, root = leaves[at : at + TILE_BYTES], roots[at // TILE_WIDTH : at // TILE_WIDTH + HASH_BYTES]
                self._close(tile, root)
                at += TILE_BYTES
                continue
            room = (TILE_WIDTH - len(self._edge)) * HASH_BYTES
            self._edge += split_hashes(leaves[at : at + room])
            at += room
            if len(self._edge) == TILE_WIDTH:
                tile = b"".join(self._edge)
                self.findings += self._tiles.check(0, [(self._frontier.size // TILE_WIDTH, tile)], self._place)
                edge, self._edge = self._edge, []
                self._close(tile, subtree_root(edge))

    def _close(self, tile: bytes, root: bytes) -> None:
        end = self._frontier.size + TILE_WIDTH
        if self._marks and self._marks[-1] < end:
            self._mark(split_hashes(tile))
        self._frontier.append(root, _TILE_HEIGHT)
        if self._marks and self._marks[-1] == end:
            self._mark([])
        level = 1
        while True:
            if len(self._upper) < level:
                self._upper.append(bytearray())
                self._upper_done.append(0)
            hashes = self._upper[level - 1]
            hashes += root
            if len(hashes) < TILE_BYTES:
                return
            self.findings += self._tiles.check(level, [(self._upper_done[level - 1], bytes(hashes))])
            self._upper_done[level - 1] += 1
            root = subtree_root(split_hashes(bytes(hashes)))
            hashes.clear()
            level += 1

    def _mark(self, leaves: list[bytes]) -> None:
        """Take the roots wanted between the frontier and ``leaves`` after it."""
        start = self._frontier.size
        while self._marks and self._marks[-1] <= start + len(leaves):
            size = self._marks.pop()
            self.roots[size] = self._frontier.root_with(leaves[: size - start]) if size else EMPTY_ROOT
