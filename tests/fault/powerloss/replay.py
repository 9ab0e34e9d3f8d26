"""Plays the trace of one process after the other on the model of the disk, call by call."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.fault.powerloss.disk import PAGE, Change, Directory, File

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from tests.fault.powerloss.disk import Node
    from tests.fault.powerloss.trace import Call, Event

#: A file whose stores go through a mapping: no image has it, and LMDB makes it anew.
HIDDEN: Final = "lock.mdb"
#: Begins the path that the program asks for just before a sync; the place in the program that syncs follows.
MARK: Final = "/sync-at/"
#: The place of syncs that LMDB makes.
INDEX: Final = "lmdb"
#: A write of more is a kind of its own, in bytes: many states of it may be found.
_MANY_BYTES: Final = 8 * PAGE
#: A record that an answer names, and a checkpoint that an answer holds.
_ACKNOWLEDGED: Final = re.compile(rb"x-strongroom-record: (\S+)\r\n")
_CHECKPOINT: Final = re.compile(rb"strongroom/[^\n]+\n(\d+)\n[^\n]+\n\n(?:\xe2\x80\x94 [^\n]+\n)+")


class NotModelled(Exception):
    """The program did something that the model knows nothing of, so that its images would prove nothing."""


@dataclass(slots=True)
class _Open:
    """An open file description."""

    node: Node
    path: Path
    flags: frozenset[str]
    position: int = 0


class Replay:
    """The disk, step by step.

    Args:
        root: Where the recorded directory was; it was empty before the first step.
        muted: A place in the program, or a kind of step, whose syncs do nothing here.

    Attributes:
        disk: The directory.
        processes: How many there were so far.
        acknowledged: References of the records that answers named so far.
        checkpoint: The largest checkpoint that an answer held so far.
        places: Every marked place that synced so far.
    """

    def __init__(self, root: Path, muted: str = "") -> None:
        self.disk = Directory()
        self.processes = 0
        self.acknowledged: set[str] = set()
        self.checkpoint = b""
        self.places: set[str] = set()
        self._root = root
        self._muted = muted
        self._size = -1
        self._open: dict[int, _Open] = {}
        self._marks: dict[int, str] = {}
        self._synced: dict[Call, str] = {}
        self._ends: dict[Call, Callable[[], object]] = {}
        self._begun: set[Change] = set()

    def play(self, events: Iterable[Event]) -> Iterator[str]:
        """Play one process after the other, from the start of each to its end.

        Yields:
            After each step that changed anything: its kind.
        """
        for call, begins in events:
            step = ""
            if not begins and call in self._ends:
                self._ends.pop(call)()
                step = self._synced.pop(call, "")
            elif begins and (call.result is not None or call.name in _ALWAYS):
                step = _BEGIN[call.name](self, call)
            if step:
                yield step

    # --- paths and descriptors ---

    def _path(self, call: Call, at: int = 0, directory: str = "AT_FDCWD") -> Path | None:
        """A path among a call's strings, below the root; None outside it."""
        path = Path(call.strings[at].decode())
        if not path.is_absolute():
            opened = self._open.get(int(directory)) if directory != "AT_FDCWD" else None
            if opened is None:
                return None
            path = opened.path / path
        return path if path.is_relative_to(self._root) and path.name != HIDDEN else None

    def node(self, path: Path) -> Node | None:
        """What has this path now."""
        node: Node | None = self.disk
        for name in path.relative_to(self._root).parts:
            node = node.get(name) if isinstance(node, Directory) else None
        return node

    def _parent(self, path: Path) -> Directory:
        node = self.node(path.parent)
        if not isinstance(node, Directory):
            raise NotModelled(f"{path}: its directory was never made")
        return node

    def _step(self, call: Call, path: Path) -> str:
        """The kind of a step: the call, and what sort of file it was about."""
        top, *parts = path.relative_to(self._root).parts or ("above",)
        if top != "data" or not parts:
            return f"{call.name} {top}"
        depth = {"streams": 2, "views": 1}.get(parts[0], 0)
        sort = parts[min(depth, len(parts) - 1)].partition(".")[0]
        return f"{call.name} {'/'.join(parts[depth : depth + 2]) if sort == 'tile' else sort}"

    def _changing(self, call: Call) -> Change:
        change = Change()
        self._begun.add(change)

        def finish() -> None:
            change.done = True
            self._begun.discard(change)

        self._ends[call] = finish
        return change

    # --- calls ---

    def _execve(self, call: Call) -> str:
        """Another process; the one before has ended, and what it had begun is in the cache."""
        self.processes += 1
        for change in self._begun:
            change.done = True
        self._begun.clear()
        self._open, self._marks, self._ends, self._synced = {}, {}, {}, {}
        return ""

    def _openat(self, call: Call) -> str:
        words = call.words
        flags = frozenset(words[-2 if "O_CREAT" in words[-2] else -1].split("|"))
        path = self._path(call, 0, words[0] if call.name == "openat" else "AT_FDCWD")
        if path is None:
            return ""
        node, step = self.node(path), ""
        if node is None:
            if "O_CREAT" not in flags:  # a socket's name, which bind made
                raise NotModelled(f"{path} was opened and never made")
            node = File()
            self._parent(path).set(self._changing(call), path.name, node)
            step = self._step(call, path)
        elif "O_TRUNC" in flags or "O_APPEND" in flags:
            raise NotModelled(f"{path} is opened with {flags}")
        done, found = self._ends.get(call, lambda: None), node

        def finish() -> None:
            done()
            assert call.result is not None
            self._open[call.result] = _Open(found, path, flags)

        self._ends[call] = finish
        return step

    def _close(self, call: Call) -> str:
        self._open.pop(int(call.words[0]), None)
        return ""

    def _dup(self, call: Call) -> str:
        opened = self._open.get(int(call.words[0]))
        if opened is not None and (call.name != "fcntl" or call.words[1].startswith("F_DUPFD")):
            assert call.result is not None
            self._open[call.result] = opened
        return ""

    def _lseek(self, call: Call) -> str:
        opened = self._open.get(int(call.words[0]))
        if opened is not None:
            opened.position = call.result or 0
        return ""

    def _write(self, call: Call) -> str:
        words = call.words
        opened = self._open.get(int(words[0]))
        data = b"".join(call.strings)
        if opened is None:
            return self._show(data)
        if not isinstance(opened.node, File) or len(data) < (call.result or 0):
            raise NotModelled(f"{call.name} to {opened.path}")
        data, node = data[: call.result], opened.node
        if call.name in {"write", "writev"}:
            offset = opened.position
            opened.position += len(data)
        else:
            offset = int(words[-2 if call.name == "pwritev2" else -1])
        node.write(self._changing(call), offset, data)
        if opened.flags & {"O_DSYNC", "O_SYNC"} and self._place(call, opened) != self._muted:
            done, pages = self._ends[call], range(offset // PAGE, -(-(offset + len(data)) // PAGE))

            def finish() -> None:
                done()
                node.sync(pages)()

            self._ends[call] = finish
        return self._step(call, opened.path) + (" of many pages" if len(data) > _MANY_BYTES else "")

    def _show(self, data: bytes) -> str:
        """Something left the process; once the call began, the world may know."""
        found = {reference.decode() for reference in _ACKNOWLEDGED.findall(data)}
        self.acknowledged |= found
        note = _CHECKPOINT.search(data)
        if note is not None and int(note[1]) > self._size:
            self._size, self.checkpoint = int(note[1]), note[0]
        return "answer" if found or note else ""

    def _sync(self, call: Call) -> str:
        opened = self._open.get(int(call.words[0]))
        place = self._place(call, opened)
        if opened is not None:
            self._synced[call] = kind = f"{self._step(call, opened.path)} {place}"
            self._ends[call] = opened.node.sync() if self._muted not in {place, kind} else lambda: None
        return ""

    def _place(self, call: Call, opened: _Open | None) -> str:
        index = opened is not None and opened.path.name == "data.mdb"
        place = self._marks.pop(call.thread, INDEX if index else "unmarked")
        self.places.add(place)
        return place

    def _access(self, call: Call) -> str:
        path = call.strings[0].decode()
        if path.startswith(MARK):
            self._marks[call.thread] = path.removeprefix(MARK)
        return ""

    def _allocate(self, call: Call) -> str:
        opened = self._open.get(int(call.words[0]))
        if opened is None:
            return ""
        mode, size = call.words[1], sum(map(int, call.words[2:]))
        if call.name == "ftruncate":
            mode, size = "0", int(call.words[1])
        if "FALLOC_FL_PUNCH_HOLE" in mode and isinstance(opened.node, File):
            offset, length = map(int, call.words[2:])
            opened.node.write(self._changing(call), offset, bytes(length))
            return self._step(call, opened.path)
        if mode != "0" or not isinstance(opened.node, File) or size < opened.node.size.now:
            raise NotModelled(f"{call.name} of {opened.path}")
        opened.node.extend(self._changing(call), size)
        return self._step(call, opened.path)

    def _rename(self, call: Call) -> str:
        words = call.words
        at = call.name.endswith(("at", "at2"))
        old = self._path(call, 0, words[0] if at else "AT_FDCWD")
        new = self._path(call, 1, words[2] if at else "AT_FDCWD")
        if old is None or new is None:
            if old is new:
                return ""
            raise NotModelled(f"{call.name} across the directory's edge")
        node, source, target = self.node(old), self._parent(old), self._parent(new)
        coming = going = self._changing(call)
        if source is not target:
            done, going = self._ends[call], self._changing(call)
            also = self._ends[call]
            self._ends[call] = lambda: (done(), also())
        target.set(coming, new.name, node)
        if not call.name.startswith("link"):
            source.set(going, old.name, None)
        return self._step(call, new)

    def _unlink(self, call: Call) -> str:
        path = self._path(call, 0, call.words[0] if call.name == "unlinkat" else "AT_FDCWD")
        if path is None or self.node(path) is None:  # outside, or a socket
            return ""
        self._parent(path).set(self._changing(call), path.name, None)
        return self._step(call, path)

    def _mkdir(self, call: Call) -> str:
        path = self._path(call, 0, call.words[0] if call.name == "mkdirat" else "AT_FDCWD")
        if path is None:
            return ""
        self._parent(path).set(self._changing(call), path.name, Directory())
        return self._step(call, path)

    def _mmap(self, call: Call) -> str:
        _, _, protection, flags, fd, *_ = call.words
        if fd != "-1" and int(fd) in self._open and "MAP_SHARED" in flags and "PROT_WRITE" in protection:
            raise NotModelled(f"{self._open[int(fd)].path} is mapped, shared and writable")
        return ""

    def _clone(self, call: Call) -> str:
        if "CLONE_THREAD" not in call.text:
            raise NotModelled("a process was forked")
        return ""

    def _ring(self, call: Call) -> str:
        """The event loop's ring for its own epoll changes is no matter; the one for files polls."""
        if "IORING_SETUP_SQPOLL" in call.text:
            raise NotModelled("files are written through io_uring, past every tracer")
        return ""

    def _never(self, call: Call) -> str:
        raise NotModelled(f"{call.name}({call.text[:200]})")


_BEGIN: Final[dict[str, Callable[[Replay, Call], str]]] = {
    "execve": Replay._execve,
    **dict.fromkeys(("open", "openat", "creat"), Replay._openat),
    "close": Replay._close,
    **dict.fromkeys(("dup", "dup2", "dup3", "fcntl"), Replay._dup),
    "lseek": Replay._lseek,
    **dict.fromkeys(("write", "writev", "pwrite64", "pwritev", "pwritev2", "sendto", "sendmsg"), Replay._write),
    **dict.fromkeys(("fsync", "fdatasync"), Replay._sync),
    **dict.fromkeys(("access", "faccessat", "faccessat2"), Replay._access),
    **dict.fromkeys(("ftruncate", "fallocate"), Replay._allocate),
    **dict.fromkeys(("rename", "renameat", "renameat2", "link", "linkat"), Replay._rename),
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), Replay._unlink),
    **dict.fromkeys(("mkdir", "mkdirat"), Replay._mkdir),
    "mmap": Replay._mmap,
    **dict.fromkeys(("clone", "clone3"), Replay._clone),
    "io_uring_setup": Replay._ring,
    **dict.fromkeys(
        (
            "fork", "vfork", "sendfile", "copy_file_range", "splice", "truncate", "sync", "syncfs",
            "sync_file_range", "msync", "symlink", "symlinkat",
        ),
        Replay._never,
    ),
}  # fmt: skip
#: Calls whose failure matters too: marks ask for what is not there; a killed sync was begun and ends nothing.
_ALWAYS: Final = frozenset({"access", "faccessat", "faccessat2"})
#: Calls to trace.
CALLS: Final = tuple(_BEGIN)
