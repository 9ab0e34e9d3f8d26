"""The tree against RFC 6962 taken word for word."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.verify.tree import EMPTY_ROOT, Frontier, leaf_hash, parse_tile_path, split_hashes, subtree_root, tile_path
from tests.doubles.naive_tree import mth


@given(st.lists(st.binary(max_size=3), max_size=70), st.integers(0, 70))
def test_roots_are_those_of_the_definition(entries: list[bytes], cut: int) -> None:
    leaves = [leaf_hash(entry) for entry in entries]
    frontier = Frontier()
    for leaf in leaves[:cut]:
        frontier.append(leaf)
    assert frontier.root() == mth(entries[:cut])
    assert frontier.root_with(leaves[cut:]) == mth(entries) == subtree_root(leaves)
    assert frontier.size == len(leaves[:cut])
    assert frontier.root() == mth(entries[:cut])


def test_full_subtrees_can_be_appended_whole() -> None:
    leaves = [leaf_hash(bytes([n])) for n in range(7)]
    frontier = Frontier()
    frontier.append(subtree_root(leaves[:4]), 2)
    for leaf in leaves[4:]:
        frontier.append(leaf)
    assert frontier.root() == mth([bytes([n]) for n in range(7)])


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert Frontier().root() == EMPTY_ROOT == subtree_root([]) == mth([])


def test_runs_of_hashes_are_cut_into_hashes() -> None:
    assert split_hashes(bytes(32) + b"\1" * 32) == [bytes(32), b"\1" * 32]


@pytest.mark.parametrize(
    ("path", "tile"),
    [
        ("tile/0/000", (0, 0, 256)),
        ("tile/0/x001/x234/067", (0, 1_234_067, 256)),
        ("tile/2/007.p/1", (2, 7, 1)),
        ("tile/63/999.p/255", (63, 999, 255)),
        ("tile/entries/x001/000.p/9", ("entries", 1000, 9)),
    ],
)
def test_paths_of_tiles(path: str, tile: tuple[int | str, int, int]) -> None:
    assert parse_tile_path(path) == tile
    assert tile_path(*tile) == path


@pytest.mark.parametrize(
    "path",
    [
        "tile/00/000", "tile/0/0", "tile/0/x000/001", "tile/0/001/001", "tile/0/x1/001", "tile/0/000.p/0",
        "tile/0/000.p/256", "tile/0/000.p/01", "tile/0/000.p", "tile/-1/000", "tile/100/000", "tile/0/", "tile/0/000 ",
        "tile/0/000\n", "tile/8/0/000", "checkpoint",
    ],
)  # fmt: skip
def test_other_paths_are_no_tiles(path: str) -> None:
    assert parse_tile_path(path) is None
