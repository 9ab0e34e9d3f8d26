"""Which of two was changed where a record and its hash in a tile disagree: the tile, if it does not lead to the root.

Not handled here: finding the disagreement (``tiles``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from audit.verify.report import Bad, Unchecked
from audit.verify.tree import HASH_BYTES, TILE_WIDTH, Frontier, split_hashes, subtree_root, tile_path

if TYPE_CHECKING:
    from audit.verify.source import Source

_TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES
_TILE_HEIGHT: Final = 8


def leads_to_root(source: Source, size: int, root: bytes, n: int) -> bool:
    """Whether the hashes of a level-0 tile give, through the tiles above it, the root of a checkpoint.

    Args:
        source: Where the tiles are.
        size: Size of the checkpoint.
        root: Its root.
        n: Number of the tile.

    Returns:
        False also where a tile on the way is missing or cannot be read.
    """
    try:
        level = 0
        while n < size // TILE_WIDTH ** (level + 1):  # a full tile: its root stands in the one above
            above = _tile(source, size, level + 1, n // TILE_WIDTH)
            at = n % TILE_WIDTH
            if above[at : at + 1] != [subtree_root(_tile(source, size, level, n))]:
                return False
            level, n = level + 1, n // TILE_WIDTH
        return _root(source, size) == root
    except (Bad, Unchecked):
        return False


def _root(source: Source, size: int) -> bytes:
    """Root of the right edges of all levels, which hold the roots of all full subtrees."""
    frontier = Frontier()
    for level in reversed(range(max(1, -(-size.bit_length() // _TILE_HEIGHT)))):
        edge = size // TILE_WIDTH**level
        if edge % TILE_WIDTH:
            for found in _tile(source, size, level, edge // TILE_WIDTH):
                frontier.append(found, level * _TILE_HEIGHT)
    return frontier.root()


def _tile(source: Source, size: int, level: int, n: int) -> list[bytes]:
    """Hashes of a tile as far as the checkpoint goes; none where it is not there."""
    width = min(TILE_WIDTH, size // TILE_WIDTH**level - n * TILE_WIDTH)
    data = source.read(tile_path(level, n, width), _TILE_BYTES)
    if data is None:  # the full tile stands for its partial ones
        data = source.read(tile_path(level, n), _TILE_BYTES)
    return split_hashes((data or b"")[: width * HASH_BYTES])
