"""Part of a log: some of its records, and the hash tiles that lead from their leaves to the signed root.

Checked bottom up: the unfinished tiles of every level fold to the root (RFC 6962 §2.1); each other tile's root stands
in the tile above it; each record hashes to its place in a tile. Records that follow one another are checked for form,
chain and clock as in a whole log.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.verify.files import read_file, walk
from audit.verify.records import Checker
from audit.verify.report import Bad, Finding
from audit.verify.tree import EMPTY_ROOT, HASH_BYTES, TILE_WIDTH, parse_tile_path, split_hashes, subtree_root, tile_path

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator

    from audit.verify.report import Report

#: Records of a production, in bytes.
_MAX_RECORDS_BYTES: Final = 1 << 34
_TILE_BYTES: Final = TILE_WIDTH * HASH_BYTES
_SEQ: Final = re.compile(rb'\{"v":[0-9]{1,9},"stream":"[^"\\]{1,255}","seq":(0|[1-9][0-9]{0,18}),"prev":"')


class Part(NamedTuple):
    """A part of a log: ``records`` are exact bytes by seq, all of them proven."""

    records: dict[int, bytes]
    root: bytes


def check_part(folder: str, stream: str, size: int, report: Report, ops: Counter[bytes]) -> Part:
    """Check the records and tiles in a directory.

    Args:
        folder: Holds ``records.ndjson`` and ``tile/``.
        stream: The stream that the records must name.
        size: Records that the checkpoint covers.
        report: Receives what is bad.
        ops: Receives the operations of the records.

    Returns:
        What is proven: the records, and the root that the tiles fold to.

    Raises:
        Bad: The records or a tile cannot be read as what they should be.
        Unchecked: A file cannot be read.
    """
    tiles = _tiles(folder, size, report)
    root = _fold(folder, tiles, size)
    _check_parents(folder, tiles, report)
    records: dict[int, bytes] = {}
    place = f"{folder}/records.ndjson"
    for run in _runs(_lines(place)):
        first = run[0][0]
        checker = Checker(b'"%b"' % stream.encode(), first, lambda seq: f"{place} record {seq}")
        checker.feed(record for _, record in run)
        report.findings += checker.findings
        ops.update(checker.run().ops)
        for (seq, record), leaf in zip(run, checker.leaves, strict=True):
            tile = tiles.get((0, seq // TILE_WIDTH), b"")
            at = seq % TILE_WIDTH * HASH_BYTES
            if tile[at : at + HASH_BYTES] != leaf:
                report.findings.append(Finding(seq, place, f"record {seq} is not the one in the log"))
            records[seq] = record
    return Part(records, root)


def _lines(place: str) -> Iterator[tuple[int, bytes]]:
    data = read_file(place, _MAX_RECORDS_BYTES, place)
    if data is None:
        raise Bad(place, "missing")
    if data and not data.endswith(b"\n"):
        raise Bad(place, "it ends inside a record")
    last = -1
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        match = _SEQ.match(line)
        if match is None:
            raise Bad(place, f"line {number} is no record")
        seq = int(match[1])
        if seq <= last:
            raise Bad(place, f"line {number} is out of order", seq)
        last = seq
        yield seq, line


def _runs(lines: Iterator[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """Records that follow one another without a gap."""
    run: list[tuple[int, bytes]] = []
    for seq, record in lines:
        if run and seq != run[-1][0] + 1:
            yield run
            run = []
        run.append((seq, record))
    if run:
        yield run


def _tiles(folder: str, size: int, report: Report) -> dict[tuple[int, int], bytes]:
    tiles: dict[tuple[int, int], bytes] = {}
    for path, regular in walk(folder):
        if not path.startswith("tile/"):
            continue
        place = f"{folder}/{path}"
        level, number, width = (parse_tile_path(path) if regular else None) or ("", 0, 0)
        if not isinstance(level, int):
            report.findings.append(Finding(None, place, "no hash tile has this name"))
            continue
        if width != min(TILE_WIDTH, size // TILE_WIDTH**level - number * TILE_WIDTH):
            report.findings.append(Finding(None, place, f"a log of {size} records has no such tile"))
            continue
        data = read_file(place, _TILE_BYTES, place)
        if data is None or len(data) != width * HASH_BYTES:
            raise Bad(place, f"not {width} hashes")
        tiles[level, number] = data
    return tiles


def _fold(folder: str, tiles: dict[tuple[int, int], bytes], size: int) -> bytes:
    """The root, from the unfinished tiles alone."""
    below: list[bytes] = []
    level, left = 0, size
    while left:
        number, width = divmod(left, TILE_WIDTH)
        if width:
            edge = tiles.get((level, number))
            if edge is None:
                raise Bad(f"{folder}/{tile_path(level, number, width)}", "missing: nothing leads to the root")
            below = [subtree_root(split_hashes(edge) + below)]
        level, left = level + 1, number
    return below[0] if below else EMPTY_ROOT


def _check_parents(folder: str, tiles: dict[tuple[int, int], bytes], report: Report) -> None:
    for (level, number), data in sorted(tiles.items()):
        if len(data) != _TILE_BYTES:
            continue  # of the right edge
        above = tiles.get((level + 1, number // TILE_WIDTH))
        at = number % TILE_WIDTH * HASH_BYTES
        if above is None or above[at : at + HASH_BYTES] != subtree_root(split_hashes(data)):
            place = f"{folder}/{tile_path(level, number)}"
            why = (
                "its root is not in the tile above it: a hash was changed" if above else "the tile above it is missing"
            )
            report.findings.append(Finding(None, place, why))
