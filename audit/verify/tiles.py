"""The tiles of a log, compared with the hashes that its records have.

Not handled here: where those hashes come from (``records``, ``spine``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from audit.verify.blame import leads_to_root
from audit.verify.report import Bad, Finding
from audit.verify.tree import HASH_BYTES, TILE_WIDTH, parse_tile_path, tile_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from audit.verify.source import Source

TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES
#: Why a tile is bad that holds hashes of records past the last one.
BEYOND: Final = "the tile covers records that are not there"


class Tiles(NamedTuple):
    """The tiles of one log.

    Attributes:
        source: Where they are.
        size: Size of the log's checkpoint: up to there every tile must be.
        partials: Widths of the partial tiles that were listed, by (level, number); they must be right too.
        root: The checkpoint's root; empty where there is no checkpoint.
    """

    source: Source
    size: int
    partials: dict[tuple[int, int], list[int]]
    root: bytes = b""

    def within(self, first: int, end: int) -> Tiles:
        """The same for level-0 tiles ``first`` to ``end`` only, for a worker."""
        some = {place: widths for place, widths in self.partials.items() if place[0] == 0 and first <= place[1] < end}
        return self._replace(partials=some)

    def leaves(self, n: int) -> bytes:
        """The leaf hashes of a full tile of level 0, of whose records some were pruned.

        Raises:
            Bad: It is not there, or not of 256 hashes.
            Unchecked: It cannot be read.
        """
        path = tile_path(0, n, TILE_WIDTH)
        (tile,) = self.source.read_all([path], TILE_BYTES)
        if tile is None or len(tile) != TILE_BYTES:
            why = "the tile is missing or cut short, and with it the hashes of records that were pruned"
            raise Bad(self.source.place(path), why, n * TILE_WIDTH)
        return tile

    def check(
        self, level: int, known: Iterable[tuple[int, bytes]], record: Callable[[int], str] = "record {}".format
    ) -> list[Finding]:
        """Compare tiles of one level.

        Args:
            level: Their level.
            known: Number of each, and the hashes it must hold as far as records exist: full, or the right edge.
            record: Names the place of a record from its seq.

        Returns:
            What is bad. Where a record and its hash disagree, the one is named that does not lead to the checkpoint.

        Raises:
            Unchecked: A tile cannot be read.
        """
        jobs = [(n, hashes, width, must) for n, hashes in known for width, must in self._wanted(level, n, hashes)]
        paths = [tile_path(level, n, width) for n, _, width, _ in jobs]
        findings: list[Finding] = []
        try:
            tiles = list(self.source.read_all(paths, TILE_BYTES))
        except Bad as bad:
            return [bad.finding]
        whole = -1  # a full tile stands for its partial ones, which may then be deleted (tlog-tiles, Partial Tiles)
        for path, (n, hashes, width, must), tile in zip(paths, jobs, tiles, strict=True):
            first = n * TILE_WIDTH * TILE_WIDTH**level
            if tile is not None and width == TILE_WIDTH:
                whole = n
            seq = first if level == 0 else None
            if tile is None:
                if must and whole != n:
                    findings.append(Finding(seq, self.source.place(path), "the tile is missing"))
            elif len(tile) != width * HASH_BYTES:
                why = f"the tile holds {len(tile)} bytes instead of {width * HASH_BYTES}"
                findings.append(Finding(seq, self.source.place(path), why))
            elif tile != hashes[: width * HASH_BYTES]:
                found = _difference((self.source.place(path), level, first), tile, hashes)
                if level == 0 and must and found.why != BEYOND:  # of older tiles the checkpoint says nothing
                    found = self._blamed(found, n, record)
                findings.append(found)
        return findings

    def _blamed(self, found: Finding, n: int, record: Callable[[int], str]) -> Finding:
        """A finding about a hash of level 0, with the place of what was changed: the record, or else the tile."""
        seq = found.seq or 0
        index = seq % TILE_WIDTH
        if self.root and leads_to_root(self.source, self.size, self.root, n):
            why = f"it was changed: hash {index} of {found.place} differs, and that tile leads to the checkpoint's root"
            return Finding(seq, record(seq), why)
        return found._replace(why=f"hash {index} is not that of {record(seq)}; the tile or the record was changed")

    def _wanted(self, level: int, n: int, hashes: bytes) -> Iterator[tuple[int, bool]]:
        full, edge = divmod(self.size // TILE_WIDTH**level, TILE_WIDTH)
        if len(hashes) == TILE_BYTES:
            yield TILE_WIDTH, n < full
        widths = set(self.partials.get((level, n), ()))
        must = edge if n == full and edge * HASH_BYTES <= len(hashes) else 0
        for width in sorted(widths | {must} - {0}):
            yield width, width == must


def _difference(at: tuple[str, int, int], tile: bytes, hashes: bytes) -> Finding:
    place, level, first = at
    each = TILE_WIDTH**level
    known = min(len(tile), len(hashes))
    for index in range(0, known, HASH_BYTES):
        if tile[index : index + HASH_BYTES] != hashes[index : index + HASH_BYTES]:
            seq = first + index // HASH_BYTES * each
            what = f"record {seq}" if level == 0 else f"the {each} records from {seq} on"
            why = f"hash {index // HASH_BYTES} is not that of {what}; the tile or the record was changed"
            return Finding(seq if level == 0 else None, place, why)  # higher up, any record of many
    return Finding(first + known // HASH_BYTES * each, place, BEYOND)


class Listing:
    """The tiles found in a directory: what partial ones there are, and how far each level goes."""

    def __init__(self) -> None:
        self.partials: dict[tuple[int, int], list[int]] = {}
        self.bundles: dict[int, list[int]] = {}
        self._ends: dict[tuple[int | str, int], tuple[int, str]] = {}  # by level and whether partial

    def add(self, path: str) -> bool:
        """Note a file.

        Args:
            path: Relative to the log.

        Returns:
            Whether it has the name of a tile or bundle.
        """
        tile = parse_tile_path(path)
        if tile is None:
            return False
        level, n, width = tile
        if width < TILE_WIDTH:
            if isinstance(level, int):
                self.partials.setdefault((level, n), []).append(width)
            else:
                self.bundles.setdefault(n, []).append(width)
        span = TILE_WIDTH ** (level if isinstance(level, int) else 0)
        end = (n * TILE_WIDTH + width) * span
        self._ends[level, width < TILE_WIDTH] = max(self._ends.get((level, width < TILE_WIDTH), (0, "")), (end, path))
        return True

    def beyond(self, size: int) -> list[str]:
        """Of each level, the tile that goes furthest past ``size`` records, if one does."""
        return [path for end, path in self._ends.values() if end > size]
