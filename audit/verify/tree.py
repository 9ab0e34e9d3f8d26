"""The tree of RFC 6962 §2.1 and its tiles (C2SP tlog-tiles).

Not handled here: reading tiles (``tiles``) and what the leaves are (``records``).
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
#: Hashes in a full tile, entries in a full bundle.
TILE_WIDTH: Final = 256
EMPTY_ROOT: Final = sha256(b"").digest()

_PATH: Final = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


def leaf_hash(entry: bytes) -> bytes:
    """Hash a leaf."""
    return sha256(b"\0" + entry).digest()


def subtree_root(hashes: list[bytes]) -> bytes:
    """Root over neighbouring roots of equally high full subtrees, leaf hashes for one.

    Pairing level by level and carrying the odd one up is RFC 6962's split at the
    largest power of two.
    """
    if not hashes:
        return EMPTY_ROOT
    while len(hashes) > 1:
        pairs = iter(hashes)
        odd = hashes[-1:] if len(hashes) & 1 else []
        hashes = [sha256(b"\1" + left + right).digest() for left, right in zip(pairs, pairs, strict=False)] + odd
    return hashes[0]


def split_hashes(data: bytes) -> list[bytes]:
    """Cut a run of hashes into hashes."""
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]


class Frontier:
    """A growing tree of which only the roots of its full subtrees are kept (a compact range from 0)."""

    __slots__ = ("_stack", "size")

    def __init__(self) -> None:
        self._stack: list[tuple[int, bytes]] = []  # (height, root), heights strictly falling
        self.size = 0

    def append(self, root: bytes, height: int = 0) -> None:
        """Append a full subtree of ``2**height`` leaves; the size must be a multiple of that."""
        self.size += 1 << height
        while self._stack and self._stack[-1][0] == height:
            root = sha256(b"\1" + self._stack.pop()[1] + root).digest()
            height += 1
        self._stack.append((height, root))

    def root(self) -> bytes:
        """Root over everything appended."""
        if not self._stack:
            return EMPTY_ROOT
        root = self._stack[-1][1]
        for _, left in reversed(self._stack[:-1]):
            root = sha256(b"\1" + left + root).digest()
        return root

    def root_with(self, leaves: list[bytes]) -> bytes:
        """Root as if ``leaves`` had been appended."""
        ahead = Frontier()
        ahead._stack, ahead.size = list(self._stack), self.size
        for leaf in leaves:
            ahead.append(leaf)
        return ahead.root()


def tile_path(level: int | str, n: int, width: int = TILE_WIDTH) -> str:
    """Where a tile (or, at level ``entries``, a bundle) stands, relative to the log."""
    groups = [f"{n % 1000:03d}"]
    while n >= 1000:
        n //= 1000
        groups.append(f"x{n % 1000:03d}")
    path = f"tile/{level}/{'/'.join(reversed(groups))}"
    return path if width == TILE_WIDTH else f"{path}.p/{width}"


def parse_tile_path(path: str) -> tuple[int | str, int, int] | None:
    """Read a tile's path as (level or ``entries``, number, width), or None where it is no tile's."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    level = match[1] if match[1] == "entries" else int(match[1])
    n = int(match[2].replace("x", "").replace("/", ""))
    width = int(match[3]) if match[3] else TILE_WIDTH
    # One way only to write each: no superfluous x000, no full tile in the form of a partial one.
    return (level, n, width) if tile_path(level, n, width) == path else None
