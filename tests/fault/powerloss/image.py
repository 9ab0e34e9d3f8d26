"""A directory as it may look after a power cut."""

from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING, Protocol, TypeVar

from tests.fault.powerloss.disk import PAGE, ZEROS, Directory, File

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fault.powerloss.disk import Cell, Change, Node

T = TypeVar("T")


class Survival(Protocol):
    """Decides which of a cell's states is found on the disk."""

    def state(self, cell: Cell[T]) -> T:
        """Of a page or a size."""

    def name(self, cell: Cell[Node | None]) -> Node | None:
        """Of a name."""


class Everything:
    """What a killed process leaves: the page cache lives on."""

    def state(self, cell: Cell[T]) -> T:
        return cell.now

    def name(self, cell: Cell[Node | None]) -> Node | None:
        return cell.now


class Promised:
    """What was synced, and nothing else."""

    def state(self, cell: Cell[T]) -> T:
        return cell.safe

    def name(self, cell: Cell[Node | None]) -> Node | None:
        return cell.safe


class Chance:
    """What was synced, and of the rest whatever reached the disk by chance.

    Args:
        seed: The same seed leaves the same of the same disk.
    """

    def __init__(self, seed: str) -> None:
        self._random = Random(seed)
        self._newest = self._random.choice((0.1, 0.5, 0.9))
        self._kept: dict[Change, bool] = {}

    def state(self, cell: Cell[T]) -> T:
        if not cell.loose or self._random.random() < self._newest:
            return cell.now
        return self._random.choice([cell.safe, *(state for _, state in cell.loose)])

    def name(self, cell: Cell[Node | None]) -> Node | None:
        found = cell.safe
        for change, node in cell.loose:
            if not self._keeps(change):
                break
            found = node
        return found

    def _keeps(self, change: Change) -> bool:
        """Whether a change of names reached the disk; never without the earlier ones of the same names."""
        if change not in self._kept:
            earlier: list[Change] = []
            for cell in change.cells:
                changes = [other for other, _ in cell.loose]
                earlier += changes[: changes.index(change)] if change in changes else []
            self._kept[change] = all(map(self._keeps, earlier)) and self._random.random() < self._newest
        return self._kept[change]


def write(node: Directory, path: Path, survival: Survival) -> None:
    """Make a new directory of what survived.

    Args:
        node: The directory's model.
        path: Where.
        survival: What is left.
    """
    _write(node, path, survival, {})


def _write(node: Node, path: Path, survival: Survival, made: dict[Node, Path]) -> None:
    if isinstance(node, Directory):
        path.mkdir(mode=0o700)
        for name in sorted(node.names):
            found = survival.name(node.names[name])
            if found is not None:
                _write(found, path / name, survival, made)
    elif node in made:
        os.link(made[node], path)
    else:
        made[node] = path
        _write_file(node, path, survival)


def _write_file(node: File, path: Path, survival: Survival) -> None:
    size = survival.state(node.size)
    with path.open("xb", buffering=0) as file:
        for number in sorted(node.pages):
            page = survival.state(node.pages[number])
            if page is not ZEROS and number * PAGE < size:
                os.pwrite(file.fileno(), page[: size - number * PAGE], number * PAGE)
        file.truncate(size)
    path.chmod(0o600)
