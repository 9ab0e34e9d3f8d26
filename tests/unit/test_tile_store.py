from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from audit.errors import LedgerCorrupt
from audit.tile_store import TileStore
from audit.tiles import WIDTH, Tile, TileTree, root_at

if TYPE_CHECKING:
    from pathlib import Path

LEAVES = [sha256(n.to_bytes(4, "big")).digest() for n in range(2 * WIDTH)]


def grow(store: TileStore, *sizes: int) -> TileTree:
    tree = TileTree()
    for size in sizes:
        store.write([*tree.append(LEAVES[tree.size : size]), *tree.partials()])
    return tree


def files(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_tiles_lie_where_tlog_tiles_says(tmp_path: Path) -> None:
    grow(TileStore(tmp_path), 5, 7, 257)
    assert files(tmp_path) == {"tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"}


def test_every_published_partial_tile_stays_until_the_full_one_is_there(tmp_path: Path) -> None:
    store = TileStore(tmp_path)
    grow(store, 5, 7)
    assert files(tmp_path) == {"tile/0/000.p/5", "tile/0/000.p/7"}
    grow(store, 5, 7, 256)
    assert files(tmp_path) == {"tile/0/000", "tile/1/000.p/1"}


@pytest.mark.parametrize("kept", [9, 256])
def test_a_partial_tile_is_read_from_any_wider_one(tmp_path: Path, kept: int) -> None:
    grow(TileStore(tmp_path), kept, kept + 1)
    assert TileStore(tmp_path).read(Tile(0, 0, 8)) == b"".join(LEAVES[:8])


def test_a_tree_is_taken_up_from_the_directory(tmp_path: Path) -> None:
    tree = grow(TileStore(tmp_path), 3, 300)
    store = TileStore(tmp_path)
    assert TileTree.restore(300, store.read).root() == tree.root()
    assert root_at(299, store.read) == grow(TileStore(tmp_path / "other"), 299).root()


def test_writing_the_same_tile_again_is_how_a_start_after_a_crash_goes_on(tmp_path: Path) -> None:
    grow(TileStore(tmp_path), 5, 300)
    before = files(tmp_path)
    (tmp_path / "tile/0/001.p/44.0123.tmp").write_bytes(b"left by a crash")
    grow(TileStore(tmp_path), 300)
    assert files(tmp_path) == before


def test_another_tile_in_the_place_of_one_is_corruption(tmp_path: Path) -> None:
    grow(TileStore(tmp_path), 5)
    with pytest.raises(LedgerCorrupt, match="another tile"):
        TileStore(tmp_path).write([(Tile(0, 0, 5), bytes(160))])


def test_a_missing_tile_is_corruption_and_named(tmp_path: Path) -> None:
    grow(TileStore(tmp_path), 5)
    with pytest.raises(LedgerCorrupt, match="tile/0/000") as caught:
        TileStore(tmp_path).read(Tile(0, 0, 6))
    assert caught.value.place == str(tmp_path / "tile/0/000")


@pytest.mark.parametrize(("name", "tile"), [("tile/0/000.p/5", Tile(0, 0, 5)), ("tile/0/000", Tile(0, 0, WIDTH))])
def test_a_tile_of_the_wrong_length_is_corruption(tmp_path: Path, name: str, tile: Tile) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(33))
    with pytest.raises(LedgerCorrupt, match="33 bytes"):
        TileStore(tmp_path).read(tile)


def test_a_tile_that_cannot_be_read_is_corruption(tmp_path: Path) -> None:
    (tmp_path / "tile/0/000").mkdir(parents=True)
    with pytest.raises(LedgerCorrupt, match="cannot be read"):
        TileStore(tmp_path).read(Tile(0, 0, 1))


def test_a_tile_completed_while_it_is_read_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = TileStore(tmp_path)
    grow(store, 5)
    real = type(tmp_path).read_bytes

    def read_bytes(path: Path) -> bytes:
        monkeypatch.undo()
        try:
            return real(path)
        finally:
            grow(store, 256)

    monkeypatch.setattr(type(tmp_path), "read_bytes", read_bytes)
    assert TileStore(tmp_path).read(Tile(0, 0, 5)) == b"".join(LEAVES[:5])
    assert files(tmp_path) == {"tile/0/000", "tile/1/000.p/1"}


def test_the_leaf_of_a_record_that_was_pruned(tmp_path: Path) -> None:
    store = TileStore(tmp_path)
    grow(store, 300)
    assert [store.leaf(seq) for seq in (0, 7, 255)] == [LEAVES[0], LEAVES[7], LEAVES[255]]
    with pytest.raises(LedgerCorrupt):
        store.leaf(256)  # its tile is not full
