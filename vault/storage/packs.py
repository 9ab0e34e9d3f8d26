"""Settled bodies: which pack holds which, and the only way one leaves.

A pack is never changed. Compaction writes the bodies that stay to a new pack, reads it back from the device, lets
readers see it, and only then removes the old one. A crash in between leaves two packs of which one holds everything
the other does: at start the smaller one is removed, and whoever compacted does it again.

The map in memory is twenty bytes a body: arrays in each pack, and a list of packs by their first seq.

Not handled here: what to settle and when (``audit.settle``), and whether a body may go (the eraser's token says so).
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate, count
from threading import Lock
from typing import TYPE_CHECKING, Final

from vault import device, durable
from vault.errors import CorruptError
from vault.storage import pack as format_
from vault.storage.open_files import OpenFile, OpenFiles
from vault.storage.pack import PackHeader
from vault.storage.room import require_room
from vault.storage.token import require

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from vault.storage.token import ErasureToken

SUFFIX: Final = ".pack"
#: Bodies of one pack, in bytes; a body that is larger has a pack alone. It bounds what compaction copies for one body.
PACK_BYTES: Final = 16 * 1024 * 1024
#: Packs that are kept open, a count: those that were read last.
OPEN_PACKS: Final = 128


def body_name(stream: str, seq: int) -> str:
    """How a token names the body of a stream's record ``seq``."""
    return f"body {stream}/{seq}"


@dataclass(frozen=True, slots=True, eq=False)
class _Pack:
    path: Path
    size: int
    index: format_.Index

    def find(self, seq: int) -> int | None:
        place = bisect_left(self.index.seqs, seq)
        return place if place < len(self.index.seqs) and self.index.seqs[place] == seq else None

    def data(self) -> bytes:
        """The whole file, from the device."""
        return device.read_direct(self.path, 0, self.size + 1)  # one more, to see a file that grew


class _View:
    """Some packs by first seq; never changed, so readers need no lock.

    ``reach`` is the highest seq in a pack or any before it: packs settled together overlap, and it says how far back
    a body can be.
    """

    def __init__(self, packs: Iterable[_Pack]) -> None:
        self.packs = sorted(packs, key=lambda pack: pack.index.seqs[0])
        self.firsts = [pack.index.seqs[0] for pack in self.packs]
        self.reach = list(accumulate((pack.index.seqs[-1] for pack in self.packs), max))

    def holding(self, seq: int) -> Iterator[tuple[_Pack, int]]:
        """Packs that hold a body, with its place in each; more than one only while a compaction is not ended."""
        at = bisect_right(self.firsts, seq) - 1
        while at >= 0 and self.reach[at] >= seq:
            place = self.packs[at].find(seq)
            if place is not None:
                yield self.packs[at], place
            at -= 1

    def find(self, seq: int) -> tuple[_Pack, int] | None:
        return next(self.holding(seq), None)


class PackStore:
    """One stream's packs. Thread-safe: reads take no lock, changes are one at a time; everything blocks on disk.

    Args:
        directory: ``packs``, which exists. What an ended process left half done there is tidied up.
        stream: The stream's name; other streams' packs are left alone.

    Raises:
        CorruptError: A pack is damaged.
        DurabilityError: What a crash left could not be removed.
    """

    def __init__(self, directory: Path, stream: str) -> None:
        self._directory = directory
        self._stream = stream
        self._files = OpenFiles(OPEN_PACKS)
        self._dropped: set[Path] = set()
        self._change = Lock()
        durable.sweep_temps(directory, f"{stream}-")
        names = (path for path in directory.glob(f"*{SUFFIX}") if path.name.rsplit("-", 2)[0] == stream)
        self._view = _View(self._load(path) for path in names)
        for pack in self._view.packs:
            if self._superseded(pack):
                self._drop(pack)

    def _load(self, path: Path) -> _Pack:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                size = os.fstat(fd).st_size
                index = format_.decode_index(lambda offset, length: os.pread(fd, length, offset), size, str(path))
            finally:
                os.close(fd)
        except OSError as error:
            raise CorruptError(f"{path} cannot be read: {error.strerror}") from error
        if index.header.stream != self._stream:
            raise CorruptError(f"{path}: it says it is of stream {index.header.stream[:64]!r}")
        return _Pack(path, size, index)

    def _superseded(self, pack: _Pack) -> bool:
        """Whether another pack holds everything that this one does."""
        others = [other for other, _ in self._view.holding(pack.index.seqs[0]) if other is not pack]
        return any(all(other.find(seq) is not None for seq in pack.index.seqs) for other in others)

    def __contains__(self, seq: int) -> bool:
        return self._view.find(seq) is not None

    def read(self, seq: int, offset: int, length: int) -> bytes:
        """``length`` bytes of a body from ``offset``; the caller holds a lease on it.

        Raises:
            CorruptError: No pack holds it, or it is shorter, or the disk does not give it.
        """
        missing: _Pack | None = None
        while True:
            found = self._view.find(seq)
            if found is None or found[0] is missing:
                raise CorruptError(f"{self._directory}: no pack holds the body of record {seq}")
            pack, place = found
            if offset + length > pack.index.lengths[place]:
                raise CorruptError(f"{pack.path}: the body of record {seq} ends before {offset + length}")
            try:
                file = self._file(pack, seq)  # held until it is read
                data = os.pread(file.fd, length, pack.index.offsets[place] + offset)
            except FileNotFoundError:  # compacted since it was found
                missing = pack
                continue
            except OSError as error:
                raise CorruptError(f"{pack.path}: body {seq} cannot be read: {error.strerror}") from error
            if len(data) != length:
                raise CorruptError(f"{pack.path} ends within the body of record {seq}")
            return data

    def at_hand(self, seq: int, length: int) -> bytes | None:
        """The first bytes of a body, or None where the page cache does not hold them; never blocks."""
        found = self._view.find(seq)
        file = self._files.known(found[0].path) if found is not None else None
        if found is None or file is None:
            return None
        pack, place = found
        if length > pack.index.lengths[place]:
            return None
        return device.read_cached(file.fd, pack.index.offsets[place], length)

    def _file(self, pack: _Pack, seq: int) -> OpenFile:
        """The file of a pack in which body ``seq`` was found."""
        file = self._files.get(pack.path)
        # A pack leaves the view before it is forgotten: either we see that here, or what was kept is forgotten yet.
        found = self._view.find(seq)
        if found is None or found[0] is not pack:
            self._files.forget(pack.path)
        return file

    def read_back(self, seqs: Iterable[int]) -> Iterator[tuple[int, memoryview]]:
        """Bodies as the device has them, pack by pack, each once; those that no pack holds are left out.

        Raises:
            CorruptError: A pack is damaged.
        """
        wanted = set(seqs)
        for seq in sorted(wanted):
            if seq not in wanted:
                continue
            with self._change:  # the pack stays where it is while it is read
                found = self._view.find(seq)
                if found is None:
                    continue
                pack, data = found[0], found[0].data()
            for other, body in self._whole(pack, data):
                if other in wanted:
                    wanted.remove(other)
                    yield other, body

    def add(self, bucket: str, until: str, bodies: Sequence[tuple[int, memoryview]]) -> None:
        """Write bodies to new packs; durable on return, and found from then on.

        Args:
            bucket: Theirs.
            until: Month of their expiry, as the keyring writes it.
            bodies: (seq, body) in ascending seq; none of them is in a pack yet.

        Raises:
            Unavailable: There is no room for another pack; those before it count.
            DurabilityError: The file system failed. Packs that were finished hold good copies and count at the next
                start.
        """
        header = PackHeader(format_.VERSION, self._stream, bucket, until)
        with self._change:
            for some in _split(bodies):
                self._view = _View([*self._view.packs, self._write(header, some)])

    def erase(self, tokens: Mapping[int, ErasureToken]) -> None:
        """Remove bodies by writing what is beside them anew; durably gone on return. Missing ones count as removed.

        Args:
            tokens: By seq, each naming :func:`body_name` of it.

        Raises:
            NotCovered: A token does not name its body; nothing was removed.
            CorruptError: A pack is damaged; it was left as it is.
            Unavailable: There is no room to write a pack anew; it was left as it is.
            DurabilityError: The file system failed; each pack is as it was or done.
        """
        for seq, token in tokens.items():
            require(token, body_name(self._stream, seq))
        with self._change:
            for pack in dict.fromkeys(pack for seq in tokens for pack, _ in self._view.holding(seq)):
                self._compact(pack, tokens.keys())

    def _compact(self, pack: _Pack, gone: Container[int]) -> None:
        # Order: write, sync and read back the new pack; show it; remove the old one. One good copy at every instant.
        kept = [(seq, body) for seq, body in self._whole(pack, pack.data()) if seq not in gone]
        if kept:
            self._view = _View([*self._view.packs, self._write(pack.index.header, kept)])
        self._drop(pack)

    def _write(self, header: PackHeader, bodies: Sequence[tuple[int, memoryview]]) -> _Pack:
        """Write a pack and read it back from the device."""
        # Whoever found a pack just before it was dropped must not open another one under its name.
        names = (f"{self._stream}-{bodies[0][0]}-{number}{SUFFIX}" for number in count())
        paths = (self._directory / name for name in names)
        path = next(path for path in paths if path not in self._dropped and not path.exists())
        data = format_.encode_pack(header, bodies)
        require_room(self._directory, len(data))
        durable.write_new(path, data)
        if device.read_direct(path, 0, len(data) + 1) != data:
            raise CorruptError(f"{path} does not hold what was written to it")
        return self._load(path)

    def _drop(self, pack: _Pack) -> None:
        """Remove a pack whose bodies are elsewhere or may go."""
        self._view = _View(other for other in self._view.packs if other is not pack)
        self._files.forget(pack.path)  # the bytes of a file that somebody has open stay on the disk when it is removed
        self._dropped.add(pack.path)
        durable.remove(pack.path)

    @staticmethod
    def _whole(pack: _Pack, data: bytes) -> Iterator[tuple[int, memoryview]]:
        """The bodies of a pack whose file was read whole, with index and body headers checked again."""
        place = str(pack.path)
        index = format_.decode_index(lambda offset, length: data[offset : offset + length], len(data), place)
        if index != pack.index:
            raise CorruptError(f"{place}: not the pack that was opened")
        return format_.bodies(data, index, place)


def _split(bodies: Sequence[tuple[int, memoryview]]) -> Iterator[Sequence[tuple[int, memoryview]]]:
    """Cut a run of bodies so that each piece makes one pack."""
    start, size = 0, 0
    for at, (_, body) in enumerate(bodies):
        if at > start and size + len(body) > PACK_BYTES:
            yield bodies[start:at]
            start, size = at, 0
        size += len(body)
    if bodies:
        yield bodies[start:]
