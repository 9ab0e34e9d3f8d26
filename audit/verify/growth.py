"""The tree over a stream's records from any first one on, held against checkpoints and against a log.

Where the first record has others before it, the tree over those comes from a log's tiles (``proven``); without a log
nothing can be said of any root.

With a log every leaf hash is compared with the log's, tile by tile: the root of 256 records stands in a tile one level
up, so that the tile of their hashes is read only where the two disagree, or where it is not full.

Not handled here: the records (``relayed``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from audit.verify.report import Finding
from audit.verify.tree import EMPTY_ROOT, HASH_BYTES, TILE_WIDTH, Frontier, split_hashes, subtree_root

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.verify.checkpoints import Checkpoints
    from audit.verify.proven import Proven

_TILE_HEIGHT: Final = 8


class Growth:
    """A growing tree.

    Args:
        first: Seq of the first record; the log, where there is one, has all records before it.
        log: The log's tiles.
        notes: Checkpoints to compare.
        place: Names the place of a record from its seq.

    Attributes:
        findings: What is bad.
        agreed: Records up to which the log has the same ones, as far as both go and up to the last tile.
    """

    def __init__(self, first: int, log: Proven | None, notes: Checkpoints, place: Callable[[int], str]) -> None:
        self._log, self._notes, self._place = log, notes, place
        self._frontier = Frontier()
        self._edge: list[bytes] = []
        if first and log is not None:
            aligned = first - first % TILE_WIDTH
            self._frontier = log.grown(aligned)
            self._edge = split_hashes(log.leaves(aligned, first)) if aligned < first else []
        self._differs = False
        self.findings: list[Finding] = []
        self.agreed = first
        notes.skip(first)
        self._mark(self._edge)

    @property
    def size(self) -> int:
        """Records in it, those before the first included."""
        return self._frontier.size + len(self._edge)

    def root(self) -> bytes:
        """Root over all of them."""
        return self._frontier.root_with(self._edge)

    def extend(self, leaves: bytes) -> None:
        """Append leaf hashes.

        Raises:
            Bad: A tile of the log is missing, or does not lead to its root.
            Unchecked: A tile of the log cannot be read.
        """
        at = 0
        while at < len(leaves):
            room = (TILE_WIDTH - len(self._edge)) * HASH_BYTES
            self._edge += split_hashes(leaves[at : at + room])
            at += room
            if len(self._edge) == TILE_WIDTH:
                self._close()

    def finish(self) -> None:
        """Nothing more comes: compare what is in the last tile. Raises as :meth:`extend`."""
        self._mark(self._edge)
        self._compare(subtree_root(self._edge) if self._edge else EMPTY_ROOT)

    def _close(self) -> None:
        edge, root = self._edge, subtree_root(self._edge)
        self._mark(edge)
        self._compare(root)
        self._frontier.append(root, _TILE_HEIGHT)
        self._edge = []

    def _mark(self, leaves: list[bytes]) -> None:
        """Give checkpoints the roots they want, between the frontier and ``leaves`` after it."""
        start = self._frontier.size
        while 0 <= (size := self._notes.due()) <= start + len(leaves):
            self._notes.take(self._frontier.root_with(leaves[: size - start]) if size else EMPTY_ROOT)

    def _compare(self, root: bytes) -> None:
        if self._log is None or self._differs:
            return
        start = self._frontier.size
        common = min(start + len(self._edge), self._log.size)
        if common <= start:
            return
        if common == start + TILE_WIDTH and self._log.root_of(0, start // TILE_WIDTH) == root:
            self.agreed = common
            return
        theirs = split_hashes(self._log.leaves(start, common))
        for seq, (one, other) in enumerate(zip(self._edge, theirs, strict=False), start):
            if one != other:
                self._differs = True
                why = "the log has another record here: what follows was not compared with it"
                self.findings.append(Finding(seq, self._place(seq), why))
                return
        self.agreed = common
