"""Hash tiles of a log, each proven to lead to the root of its checkpoint before it is believed.

From them follow, for any number of records up to the checkpoint's size, their root, and the tree over them, to go on
from. Checked top down: the unfinished tiles of every level fold to the root (RFC 6962 §2.1), and the root of
each other tile stands in the tile above it. Records are not needed, and not read.

Not handled here: the checkpoint's signatures (``anchor``), and tiles that nobody asks for (``exported``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from audit.verify.report import Bad
from audit.verify.tree import EMPTY_ROOT, HASH_BYTES, TILE_WIDTH, Frontier, split_hashes, subtree_root, tile_path

if TYPE_CHECKING:
    from audit.verify.note import Checkpoint
    from audit.verify.source import Source

_TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES
_TILE_HEIGHT: Final = 8


class Proven:
    """The tiles of one log.

    Args:
        source: Where they are.
        checkpoint: The log's.

    Raises:
        Bad: What leads to the root is missing, or leads to another one.
        Unchecked: It cannot be read.

    Attributes:
        size: Records that the checkpoint covers.
    """

    def __init__(self, source: Source, checkpoint: Checkpoint) -> None:
        self._source, self.size = source, checkpoint.size
        self._edges: dict[int, bytes] = {}  # of each level the tile that is not full
        self._last: dict[int, tuple[int, bytes]] = {}  # of each level the full tile that was asked for last
        level, left = 0, self.size
        while left:
            number, width = divmod(left, TILE_WIDTH)
            if width:
                self._edges[level] = self._read(level, number, width)
            level, left = level + 1, number
        if self._folded() != checkpoint.root:
            why = "the tiles at the log's end do not lead to its checkpoint's root: one of them was changed"
            raise Bad(source.place("checkpoint"), why)

    def tile(self, level: int, n: int) -> bytes:
        """The hashes of a tile, as far as the checkpoint goes.

        Args:
            level: Its level.
            n: Its number; there must be such a tile.

        Returns:
            Up to 256 hashes.

        Raises:
            Bad: It is missing, or does not lead to the root.
            Unchecked: It cannot be read.
        """
        if n == self.size // TILE_WIDTH ** (level + 1):
            return self._edges[level]
        last, data = self._last.get(level, (-1, b""))
        if last != n:
            data = self._read(level, n, TILE_WIDTH)
            if subtree_root(split_hashes(data)) != self.root_of(level, n):
                place = self._source.place(tile_path(level, n))
                raise Bad(place, "its root is not in the tile above it: a hash of the log was changed")
            self._last[level] = n, data
        return data

    def root_of(self, level: int, n: int) -> bytes:
        """The root of a full tile.

        Raises:
            Bad: What says so is missing, or does not lead to the log's root.
            Unchecked: It cannot be read.
        """
        at = n % TILE_WIDTH * HASH_BYTES
        return self.tile(level + 1, n // TILE_WIDTH)[at : at + HASH_BYTES]

    def leaves(self, first: int, end: int) -> bytes:
        """Leaf hashes of records of one level-0 tile, as far as the log has them.

        Args:
            first: Seq of the first one, which the log has.
            end: Seq behind the last.

        Returns:
            The hashes.

        Raises:
            Bad: The tile is missing, or does not lead to the root.
            Unchecked: It cannot be read.
        """
        n, at = divmod(first, TILE_WIDTH)
        return self.tile(0, n)[at * HASH_BYTES : (at + end - first) * HASH_BYTES]

    def grown(self, size: int) -> Frontier:
        """The tree over the first ``size`` records, to go on from.

        Raises:
            Bad: A tile is missing, or does not lead to the log's root.
            Unchecked: A tile cannot be read.
        """
        frontier = Frontier()
        for level in reversed(range(-(-size.bit_length() // _TILE_HEIGHT))):
            number, width = divmod(size // TILE_WIDTH**level, TILE_WIDTH)
            if width:
                for found in split_hashes(self.tile(level, number)[: width * HASH_BYTES]):
                    frontier.append(found, level * _TILE_HEIGHT)
        return frontier

    def _folded(self) -> bytes:
        below: list[bytes] = []
        for level in range(-(-self.size.bit_length() // _TILE_HEIGHT)):
            if level in self._edges:
                below = [subtree_root(split_hashes(self._edges[level]) + below)]
        return below[0] if below else EMPTY_ROOT

    def _read(self, level: int, n: int, width: int) -> bytes:
        """A tile; a full one stands for its partial ones, which may then be deleted (tlog-tiles, Partial Tiles)."""
        data = self._source.read(tile_path(level, n, width), _TILE_BYTES)
        if data is None and width < TILE_WIDTH:
            data = (self._source.read(tile_path(level, n), _TILE_BYTES) or b"")[: width * HASH_BYTES] or None
        if data is None or len(data) != width * HASH_BYTES:
            why = "the tile is missing" if data is None else f"not {width} hashes"
            raise Bad(self._source.place(tile_path(level, n, width)), why)
        return data
