"""Tiles in a directory laid out as C2SP tlog-tiles has it: ``tile/<level>/<index>[.p/<width>]``.

A tile is immutable: writing one again is allowed, because a start after a crash grows the
tree over the same leaves, and then the bytes must be the same. A partial tile goes once the
full one is durable, as tlog-tiles allows; :meth:`TileStore.read` serves both from either.

Not handled here: what tiles hold (``audit.tiles``) and pruning of a retired log.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from audit.errors import LedgerCorrupt
from audit.tiles import WIDTH, Tile
from vault import durable
from vault.merkle import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


class TileStore:
    """The tiles of one log. One writer; readers may be many, in any thread or process.

    Args:
        root: The log's directory, which holds its ``checkpoint`` too.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._ready: set[Path] = set()
        self._leaves: tuple[int, bytes] = -1, b""

    def leaf(self, seq: int) -> bytes:
        """The leaf hash of a record that was pruned: what is pruned lies under full tiles.

        Raises:
            LedgerCorrupt: The tile is not there, or not whole.
        """
        n, at = divmod(seq, WIDTH)
        if self._leaves[0] != n:
            self._leaves = n, self.read(Tile(0, n, WIDTH))
        return self._leaves[1][at * HASH_BYTES : (at + 1) * HASH_BYTES]

    def write(self, tiles: Iterable[tuple[Tile, bytes]]) -> None:
        """Keep tiles: all are durable on return; a crash leaves each of them absent or whole.

        Raises:
            LedgerCorrupt: Other bytes stand where a tile belongs.
            DurabilityError: A write or sync failed.
        """
        new = {}
        complete = []
        for tile, data in tiles:
            path = self._root / tile.path
            self._make_ready(path.parent)
            if not path.exists():
                new[path] = data
            elif path.read_bytes() != data:
                raise LedgerCorrupt(str(path), "holds another tile than the ledger's records make")
            if tile.width == WIDTH:
                complete.append(path)
        durable.write_new_files(new)
        for path in complete:
            partials = path.with_name(f"{path.name}.p")
            self._ready.discard(partials)
            shutil.rmtree(partials, ignore_errors=True)  # spare from here on, so nothing is lost where this fails

    def read(self, tile: Tile) -> bytes:
        """Return exactly ``tile.width`` hashes, from any file that has them.

        Raises:
            LedgerCorrupt: No file has them, or one is not as long as its name says.
        """
        full = self._root / replace(tile, width=WIDTH).path
        # The full tile comes twice: it may be written, and the partial ones removed, between the two looks.
        for path in (full, *_partials(full, tile.width), full):
            try:
                data = path.read_bytes()
            except FileNotFoundError:
                continue
            except OSError as error:
                raise LedgerCorrupt(str(path), f"cannot be read: {error}") from error
            width = WIDTH if path is full else int(path.name)
            if len(data) != width * HASH_BYTES:
                raise LedgerCorrupt(str(path), f"has {len(data)} bytes instead of {width * HASH_BYTES}")
            return data[: tile.width * HASH_BYTES]
        raise LedgerCorrupt(str(full), f"no tile of {tile.width} or more hashes")

    def _make_ready(self, directory: Path) -> None:
        """At its first use by this process, make a directory and all names that a crash left in it durable."""
        if directory not in self._ready:
            durable.make_dirs(directory)
            durable.sweep_temps(directory)
            durable.fsync_dir(directory)
            self._ready.add(directory)


def _partials(full: Path, width: int) -> list[Path]:
    """List the partial tiles of at least ``width`` hashes that stand in for ``full``, narrowest first."""
    found = full.with_name(f"{full.name}.p").glob("[1-9]*")
    return sorted((path for path in found if path.name.isdecimal() and int(path.name) >= width), key=_width)


def _width(path: Path) -> int:
    return int(path.name)
