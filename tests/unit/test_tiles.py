from __future__ import annotations

from hashlib import sha256

import pytest

from audit.errors import TilePathInvalid
from audit.tiles import ENTRIES, WIDTH, Tile, TileTree, entry_bundle, partial_tiles, root_at, tree_node
from vault import merkle

LARGEST = 70_000
LEAVES = [sha256(n.to_bytes(4, "big")).digest() for n in range(LARGEST)]
PATHS = {
    "tile/0/000": Tile(0, 0, WIDTH),
    "tile/0/x001/x234/067": Tile(0, 1_234_067, WIDTH),
    "tile/63/999.p/255": Tile(63, 999, 255),
    "tile/1/x001/000.p/1": Tile(1, 1000, 1),
    "tile/entries/x273/000.p/112": Tile(ENTRIES, 273_000, 112),
}
NO_PATHS = [
    "", "tile", "tile/0", "tile/0/0", "tile/0/0000", "tile/00/000", "tile/64/000", "tile/-1/000", "tile/0/001/000",
    "tile/0/x001", "tile/0/x000/001", "tile/0/000.p", "tile/0/000.p/0", "tile/0/000.p/01", "tile/0/000.p/256",
    "tile/0/000.p/999", "tile/0/000/", "/tile/0/000", "tile/0/000\n", "tile/0/٣٣٣", "tile/data/000", "tile/0/../000",
    "tile/0/" + "x001/" * 6 + "000",
]  # fmt: skip


@pytest.fixture(scope="module")
def tiles() -> dict[Tile, bytes]:
    """All tiles of a log of 70,000 leaves, partial ones of other sizes excepted."""
    tree = TileTree()
    kept = dict(tree.append(LEAVES))
    return kept | dict(tree.partials())


@pytest.mark.parametrize(("path", "tile"), PATHS.items())
def test_paths_are_written_and_read_as_tlog_tiles_says(path: str, tile: Tile) -> None:
    assert tile.path == path
    assert Tile.parse(path) == tile


@pytest.mark.parametrize("path", NO_PATHS)
def test_every_other_path_is_refused(path: str) -> None:
    with pytest.raises(TilePathInvalid):
        Tile.parse(path)


@pytest.mark.parametrize(
    ("size", "full", "partial"),
    [
        (0, {}, {}),
        (1, {}, {0: 1}),
        (255, {}, {0: 255}),
        (256, {0: 1}, {1: 1}),
        (257, {0: 1}, {0: 1, 1: 1}),
        (65_535, {0: 255}, {0: 255, 1: 255}),
        (65_536, {0: 256, 1: 1}, {2: 1}),
        (65_537, {0: 256, 1: 1}, {0: 1, 2: 1}),
        (70_000, {0: 273, 1: 1}, {0: 112, 1: 17, 2: 1}),
    ],
)
def test_the_tiles_of_a_size(size: int, full: dict[int, int], partial: dict[int, int]) -> None:
    tree = TileTree()
    done = tree.append(LEAVES[:size])
    counts = {level: sum(tile.level == level for tile, _ in done) for level in {tile.level for tile, _ in done}}
    assert counts == full
    assert {tile.level: tile.width for tile, _ in tree.partials()} == partial
    assert {tile.level: tile.width for tile in partial_tiles(size)} == partial
    for tile, content in [*done, *tree.partials()]:
        assert len(content) == tile.width * merkle.HASH_BYTES
        span = WIDTH**tile.level
        start = tile.index * WIDTH * span
        last = start + (tile.width - 1) * span
        assert content[: merkle.HASH_BYTES] == merkle.root(LEAVES[start : start + span])
        assert content[-merkle.HASH_BYTES :] == merkle.root(LEAVES[last : last + span])
    assert tree.root() == merkle.root(LEAVES[:size])


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_535, 65_536, 65_537, 69_999, 70_000])
def test_tiles_of_a_large_log_give_its_earlier_roots_in_one_read_a_level(size: int, tiles: dict[Tile, bytes]) -> None:
    reads: list[Tile] = []

    def read(tile: Tile) -> bytes:
        reads.append(tile)
        return next(tiles[t] for w in range(tile.width, 257) if (t := Tile(tile.level, tile.index, w)) in tiles)

    assert root_at(size, read) == merkle.root(LEAVES[:size])
    assert len(reads) == len(partial_tiles(size))


def test_a_proof_reads_each_tile_once(tiles: dict[Tile, bytes]) -> None:
    reads: list[Tile] = []

    def read(tile: Tile) -> bytes:
        reads.append(tile)
        return tiles[tile]

    proof = merkle.inclusion_proof(69_950, LARGEST, tree_node(LARGEST, read))
    assert len(proof) > len(reads) == len(set(reads))


def test_entry_bundle_has_a_length_before_each_entry() -> None:
    assert entry_bundle([b"", b"ab", b"x" * 300]) == b"\0\0" + b"\0\2ab" + b"\1\x2c" + b"x" * 300
