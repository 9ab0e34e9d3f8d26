"""The tree as C2SP tlog-tiles: paths, contents, and growth at the right edge.

A tile holds up to 256 hashes of one level; a hash at level ``l`` is the root of the perfect
subtree over ``256**l`` leaves. A tree of any size is one row of unfinished tiles, its *edge*,
beside full tiles that never change again. So growing needs the edge alone, and so does the
root: folding the edge from the bottom up gives RFC 6962's tree hash, because only the last
subtree of a tree may be incomplete.

Not handled here: where tiles are kept (``audit.tile_store``), which sizes get signed
(``audit.sealing``), and HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from audit.errors import TilePathInvalid
from vault.merkle import HASH_BYTES, Node, root

#: Hashes in a full tile, and their number as a power of two.
WIDTH: Final = 256
HEIGHT: Final = 8
#: The level of entry bundles, which have paths like tiles'.
ENTRIES: Final = -1
#: Tile levels of the largest tree, 2**64 leaves.
LEVELS: Final = 8

_PATH: Final = re.compile(
    r"tile/(?P<level>[1-5]?[0-9]|6[0-3]|entries)/(?P<index>(?:x[0-9]{3}/){0,5}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile, or one bundle of entries.

    Attributes:
        level: From 0, or :data:`ENTRIES`.
        index: Within its level, from 0.
        width: In hashes; below :data:`WIDTH` the tile is partial.
    """

    level: int
    index: int
    width: int

    @property
    def path(self) -> str:
        """The tile's path below the log's prefix (tlog-tiles, "Merkle Tree")."""
        groups = [f"{self.index % 1000:03}"]
        rest = self.index // 1000
        while rest:
            groups.append(f"x{rest % 1000:03}")
            rest //= 1000
        level = "entries" if self.level == ENTRIES else self.level
        partial = f".p/{self.width}" if self.width < WIDTH else ""
        return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"

    @classmethod
    def parse(cls, path: str) -> Tile:
        """Read a path as a client sent it.

        Raises:
            TilePathInvalid: The path is not the one way to write a tile.
        """
        match = _PATH.fullmatch(path)
        if match is None:
            raise TilePathInvalid("not a tlog-tiles path")
        level = ENTRIES if match["level"] == "entries" else int(match["level"])
        index = int(match["index"].replace("x", "").replace("/", ""))
        tile = cls(level, index, int(match["width"] or WIDTH))
        if tile.path != path:  # a needless x000 group, or a width of 256 and more
            raise TilePathInvalid("not the canonical tlog-tiles path")
        return tile


#: Returns at least ``tile.width`` hashes of a tile: exactly the partial one, or a wider one, or the full one.
ReadTile = Callable[[Tile], bytes]


def partial_tiles(size: int) -> list[Tile]:
    """List the partial tiles of a tree of ``size`` leaves, lowest level first (tlog-tiles, "Merkle Tree")."""
    tiles = []
    level = 0
    while size:
        size, width = divmod(size, WIDTH)
        if width:
            tiles.append(Tile(level, size, width))
        level += 1
    return tiles


class TileTree:
    """A tree that grows by leaf hashes and keeps only its edge: at most 255 hashes a level.

    Not thread-safe; one owner. Pure: nothing is read or written but through :meth:`restore`'s reader.

    Attributes:
        size: Leaves so far.
    """

    def __init__(self, size: int = 0, edge: Iterable[list[bytes]] = ()) -> None:
        self.size = size
        self._edge = list(edge)

    @classmethod
    def restore(cls, size: int, read: ReadTile) -> TileTree:
        """Take up a tree of ``size`` leaves, reading one tile a level."""
        edge: list[list[bytes]] = [[] for _ in range(LEVELS)]
        for tile in partial_tiles(size):
            edge[tile.level] = _hashes(read(tile), tile.width)
        return cls(size, edge)

    def append(self, hashes: Sequence[bytes]) -> list[tuple[Tile, bytes]]:
        """Grow by leaf hashes, in order.

        Returns:
            The tiles that became full, each with its content, lower levels first.
        """
        full = []
        index = self.size
        self.size += len(hashes)
        level = 0
        while hashes:
            if level == len(self._edge):
                self._edge.append([])
            edge = self._edge[level]
            edge += hashes
            index //= WIDTH
            ready = len(edge) - len(edge) % WIDTH
            parents = []
            for n, start in enumerate(range(0, ready, WIDTH)):
                row = edge[start : start + WIDTH]
                full.append((Tile(level, index + n, WIDTH), b"".join(row)))
                parents.append(root(row))
            del edge[:ready]
            hashes = parents
            level += 1
        return full

    def partials(self) -> list[tuple[Tile, bytes]]:
        """Return the partial tiles of the present size with their contents, lowest level first."""
        return [(tile, b"".join(self._edge[tile.level])) for tile in partial_tiles(self.size)]

    def root(self) -> bytes:
        """Compute the root of the present size, in at most 255 hashes a level."""
        below: list[bytes] = []
        for edge in self._edge:
            if edge:
                below = [root(edge + below)]
        return root(below)


def root_at(size: int, read: ReadTile) -> bytes:
    """Compute the root of the tree when it had ``size`` leaves, reading one tile a level."""
    return TileTree.restore(size, read).root()


def tree_node(size: int, read: ReadTile) -> Node:
    """Return the subtree roots of a tree of ``size`` leaves, for proofs by :mod:`vault.merkle`.

    A proof takes several roots from one tile, and from at most two tiles a level: each is read once.
    """
    read_once = lru_cache(maxsize=2 * LEVELS)(read)

    def node(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, HEIGHT)
        first = index << height
        tile_index, start = divmod(first, WIDTH)
        width = min(WIDTH, (size >> (HEIGHT * tile_level)) - tile_index * WIDTH)
        hashes = _hashes(read_once(Tile(tile_level, tile_index, width)), width)
        return root(hashes[start : start + (1 << height)])

    return node


def entry_bundle(entries: Iterable[bytes]) -> bytes:
    """Encode the entries of one tile's leaves: for each a big-endian uint16 length and its bytes (tlog-tiles).

    Args:
        entries: At most :data:`WIDTH`, of at most 65,535 bytes, which a record always is.
    """
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def _hashes(tile: bytes, width: int) -> list[bytes]:
    return [tile[start : start + HASH_BYTES] for start in range(0, width * HASH_BYTES, HASH_BYTES)]
