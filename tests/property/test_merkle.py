from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.tiles import WIDTH, Tile, TileTree, root_at, tree_node
from tests.doubles import naive_tree
from vault import merkle

ENTRIES = st.lists(st.binary(max_size=3), min_size=1, max_size=70)
SIZES = st.integers(0, 3 * WIDTH)


def node_of(entries: list[bytes]) -> merkle.Node:
    return lambda level, index: naive_tree.mth(entries[index << level : (index + 1) << level])


@given(ENTRIES)
def test_root_is_the_recursive_definition(entries: list[bytes]) -> None:
    assert merkle.root([merkle.leaf_hash(entry) for entry in entries]) == naive_tree.mth(entries)


@given(ENTRIES, st.data())
def test_inclusion_proof_is_the_recursive_definition(entries: list[bytes], data: st.DataObject) -> None:
    leaf = data.draw(st.integers(0, len(entries) - 1))
    assert merkle.inclusion_proof(leaf, len(entries), node_of(entries)) == naive_tree.path(leaf, entries)


@given(ENTRIES, st.data())
def test_consistency_proof_is_the_recursive_definition(entries: list[bytes], data: st.DataObject) -> None:
    old = data.draw(st.integers(1, len(entries)))
    assert merkle.consistency_proof(old, len(entries), node_of(entries)) == naive_tree.proof(old, entries)


def test_the_empty_tree_needs_no_consistency_proof() -> None:
    assert merkle.consistency_proof(0, 5, node_of([b""] * 5)) == []


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 1)])
def test_a_leaf_outside_the_tree_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        merkle.inclusion_proof(index, size, node_of([b""]))


@pytest.mark.parametrize(("old", "new"), [(2, 1), (-1, 1)])
def test_a_tree_that_shrank_has_no_proof(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="does not extend"):
        merkle.consistency_proof(old, new, node_of([b""]))


LEAVES = [merkle.leaf_hash(n.to_bytes(2, "big")) for n in range(3 * WIDTH)]


def grown(batches: list[int]) -> tuple[TileTree, dict[Tile, bytes]]:
    """Grow a tree to the running sums of ``batches``, keeping every tile that any of the sizes had."""
    tree = TileTree()
    kept: dict[Tile, bytes] = {}
    for batch in batches:
        kept.update(tree.append(LEAVES[tree.size : tree.size + batch]))
        kept.update(tree.partials())
    return tree, kept


@given(st.lists(st.integers(0, 300), max_size=6))
def test_a_tree_is_the_same_however_its_leaves_came(batches: list[int]) -> None:
    tree, kept = grown(batches)
    at_once, tiles = grown([tree.size])
    assert tree.root() == at_once.root() == merkle.root(LEAVES[: tree.size])
    assert tiles.items() <= kept.items()
    assert dict(tree.partials()) == dict(at_once.partials())


@given(SIZES, SIZES)
def test_a_tree_restored_from_tiles_goes_on_as_if_it_had_never_stopped(first: int, second: int) -> None:
    first, second = sorted((first, second))
    _, kept = grown([first])
    tree = TileTree.restore(first, kept.__getitem__)
    full = tree.append(LEAVES[first:second])
    whole, tiles = grown([first, second - first])
    assert (tree.size, tree.root(), tree.partials()) == (second, whole.root(), whole.partials())
    assert dict(full).items() <= tiles.items()


@given(SIZES, st.data())
def test_tiles_of_the_last_size_give_root_and_proofs_of_every_earlier_one(size: int, data: st.DataObject) -> None:
    _, kept = grown([size])

    def read(tile: Tile) -> bytes:
        wider = [width for width in range(tile.width, WIDTH + 1) if Tile(tile.level, tile.index, width) in kept]
        return kept[Tile(tile.level, tile.index, wider[0])]

    old = data.draw(st.integers(0, size))
    assert root_at(old, read) == merkle.root(LEAVES[:old])

    def from_leaves(level: int, index: int) -> bytes:
        return merkle.root(LEAVES[index << level : (index + 1) << level])

    node = tree_node(size, read)
    assert merkle.consistency_proof(old, size, node) == merkle.consistency_proof(old, size, from_leaves)
    if old < size:
        assert merkle.inclusion_proof(old, size, node) == merkle.inclusion_proof(old, size, from_leaves)
