"""A model of files on a disk: what was promised to be there after a power cut, and everything since.

Every page and size of a file and every name in a directory is a cell: the state that is safe, and later ones that may
or may not have reached the disk. A sync makes the newest state safe that was complete when the sync began.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")

PAGE: Final = 4096
ZEROS: Final = bytes(PAGE)


@dataclass(slots=True, eq=False)
class Change:
    """One change of pages and a size, or of names in one directory, by one system call.

    Attributes:
        done: The call has ended: a sync that begins now covers it.
        cells: The names that it changed.
    """

    done: bool = False
    cells: list[Cell[Node | None]] = field(default_factory=list)


class Cell(Generic[T]):
    """A page, a size or a name."""

    __slots__ = ("loose", "safe")

    def __init__(self, safe: T) -> None:
        self.safe = safe
        self.loose: list[tuple[Change, T]] = []

    @property
    def now(self) -> T:
        """What the running system sees."""
        return self.loose[-1][1] if self.loose else self.safe

    def covered(self) -> Change | None:
        """The newest change that a sync which begins now makes safe."""
        return next((change for change, _ in reversed(self.loose) if change.done), None)

    def settle(self, upto: Change) -> None:
        """Make a change safe, if a later one was not made safe meanwhile."""
        place = next((at for at, (change, _) in enumerate(self.loose) if change is upto), None)
        if place is not None:
            self.safe = self.loose[place][1]
            del self.loose[: place + 1]


@dataclass(slots=True, eq=False)
class File:
    """A file. Pages that are not there are zeros."""

    pages: dict[int, Cell[bytes]] = field(default_factory=dict)
    size: Cell[int] = field(default_factory=lambda: Cell(0))
    dirty: set[int] = field(default_factory=set)

    def write(self, change: Change, offset: int, data: bytes) -> None:
        """Change bytes, and the size where they reach past it."""
        view, end = memoryview(data), offset + len(data)
        for number in range(offset // PAGE, -(-end // PAGE)):
            start = number * PAGE
            piece = bytes(view[max(start - offset, 0) : start + PAGE - offset])
            cell = self.pages.setdefault(number, Cell(ZEROS))
            if len(piece) < PAGE:
                skip = max(offset - start, 0)
                piece = cell.now[:skip] + piece + cell.now[skip + len(piece) :]
            cell.loose.append((change, ZEROS if piece == ZEROS else piece))
            self.dirty.add(number)
        self.extend(change, end)

    def extend(self, change: Change, size: int) -> None:
        """Make the file at least this long."""
        if size > self.size.now:
            self.size.loose.append((change, size))

    def sync(self, numbers: Iterable[int] | None = None) -> Callable[[], None]:
        """Begin a sync, of these pages or of all; what is returned ends it."""
        pages = [(number, self.pages[number]) for number in (sorted(self.dirty) if numbers is None else numbers)]
        covered = [(number, cell, cell.covered()) for number, cell in pages]
        size = self.size.covered()

        def finish() -> None:
            for number, cell, change in covered:
                if change is not None:
                    cell.settle(change)
                if not cell.loose:
                    self.dirty.discard(number)
            if size is not None:
                self.size.settle(size)

        return finish


@dataclass(slots=True, eq=False)
class Directory:
    """A directory: names, each with a node or none. ``loose`` are changes of them, in order."""

    names: dict[str, Cell[Node | None]] = field(default_factory=dict)
    loose: list[Change] = field(default_factory=list)

    def get(self, name: str) -> Node | None:
        """What has this name now."""
        cell = self.names.get(name)
        return None if cell is None else cell.now

    def set(self, change: Change, name: str, node: Node | None) -> None:
        """Give a name to a node, or to none."""
        cell = self.names.setdefault(name, Cell(None))
        cell.loose.append((change, node))
        change.cells.append(cell)
        if change not in self.loose:
            self.loose.append(change)

    def sync(self) -> Callable[[], None]:
        """Begin a sync; what is returned ends it."""
        covered = [change for change in self.loose if change.done]

        def finish() -> None:
            for change in covered:
                for cell in change.cells:
                    cell.settle(change)
            self.loose = [change for change in self.loose if change not in covered]

        return finish


Node = File | Directory
