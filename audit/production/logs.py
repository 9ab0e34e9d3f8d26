"""The part of a log that a production carries: records, and the hash tiles that lead from them to the signed root.

A sparse C2SP tlog-tiles directory: of every tile that is here all hashes are, but only of some are the records here.
Tile readers of others authenticate them as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from audit.production.bag import ProductionFailed
from audit.tiles import HEIGHT, WIDTH, Tile, partial_tiles
from vault.merkle import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from audit.production.bag import Bag
    from audit.tiles import ReadTile

#: Of one stream's records, as the verifier takes them, in bytes.
MAX_RECORDS_BYTES: Final = 1 << 34


def tiles_for(seqs: Iterable[int], size: int) -> list[Tile]:
    """The tiles that authenticate these leaves of a tree of ``size``: theirs, all above them, and the right edge.

    Returns:
        In order of level and number, each once.
    """
    wanted = {(tile.level, tile.index) for tile in partial_tiles(size)}
    below = {seq // WIDTH for seq in seqs}
    level = 0
    while below:
        here = size >> (HEIGHT * level)
        wanted |= {(level, index) for index in below if index * WIDTH < here}
        below = {index // WIDTH for index in below} if here > WIDTH else set()
        level += 1
    return [
        Tile(level, index, min(WIDTH, (size >> (HEIGHT * level)) - index * WIDTH)) for level, index in sorted(wanted)
    ]


def write_log(
    bag: Bag, place: str, seqs: list[int], size: int, *, record: Callable[[int], bytes], read: ReadTile
) -> None:
    """Write what a production carries of one stream.

    Args:
        bag: Where to.
        place: Directory in the bag.
        seqs: Of the records carried, ascending.
        size: Records that the checkpoint beside them covers.
        record: Gives a record's exact bytes.
        read: Reads a tile.

    Raises:
        LedgerCorrupt: A record or tile cannot be read.
        ProductionFailed: The bag cannot be written, or the records are more than a verifier takes.
    """
    room = MAX_RECORDS_BYTES
    with bag.open(f"{place}/records.ndjson") as put:
        for seq in seqs:
            line = record(seq) + b"\n"
            room -= len(line)
            if room < 0:
                raise ProductionFailed(
                    f"the records are more than {MAX_RECORDS_BYTES >> 30} GiB, which no verifier takes: "
                    "ask for less time, for a prefix, or with --only-matching"
                )
            put(line)
    for tile in tiles_for(seqs, size):
        bag.write(f"{place}/{tile.path}", read(tile)[: tile.width * HASH_BYTES])
