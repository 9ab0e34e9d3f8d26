"""Copying files one by one: what is immutable and there already is kept, everything gets its digest.

    open(temp) → bytes → times of the original → fsync → link(final) → unlink(temp) → fsync(directory)

So a file that has its final name is whole, and a copy that was cut short is gone on with. A copy bears the time of its
original: same length and same time mean that it is the same file, as long as nobody changed the original, which for
what is immutable nobody does. Every kept file is read again, and must have the digest that it had.

Not handled here: which files, and in which order (``audit.backup.copying``, ``audit.backup.restore``).
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Final

from audit.backup import BackupFailed
from vault import durable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

#: Bytes copied by one call, and between two calls of whoever watches.
CHUNK_BYTES: Final = 4 * 1024 * 1024
#: Bytes of one file that may wait for their sync.
_SYNC_BYTES: Final = 256 * 1024 * 1024
_FILE_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700


class Copier:
    """Copies files of one directory to another. Not thread-safe.

    Args:
        source: Where they are.
        target: Where they go; may hold what an earlier call left.
        tick: Called again and again while there is work, with the number of bytes just done.
        earlier: An earlier copy of ``source`` on the same file system, whose immutable files may be shared.
        known: Digests of the files of ``earlier``, by name.

    Attributes:
        sums: SHA-256 of every file done, lowercase hex, by name below the directory.
        bytes: How many bytes all of them have.
        copied: How many bytes of that were copied, and not kept.
    """

    def __init__(
        self,
        source: Path,
        target: Path,
        tick: Callable[[int], None],
        earlier: Path | None = None,
        known: Mapping[str, str] | None = None,
    ) -> None:
        self._source, self._target, self._tick = source, target, tick
        self._earlier, self._known = earlier, known or {}
        self.sums: dict[str, str] = {}
        self.bytes = 0
        self.copied = 0
        self._unsynced = 0

    def keep(self, name: str) -> bool:
        """Copy an immutable file, unless it is there.

        Returns:
            Whether there is such a file.

        Raises:
            BackupFailed: It cannot be read or written.
            DurabilityError: A sync failed.
        """
        source, target = self._source / name, self._target / name
        try:
            found = source.stat(follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _failed(source, error) from error
        if _same(target, found) and (digest := self._digest(target)) == self._known.get(name, digest):
            return self._done(name, digest, found.st_size)
        self._discard(target)
        earlier = self._earlier / name if self._earlier is not None and name in self._known else None
        if earlier is not None and _same(earlier, found) and self._digest(earlier) == self._known[name]:
            self._make_room_for(target)
            durable.link(earlier, target)
            return self._done(name, self._known[name], found.st_size)
        self.copy(name)
        return True

    def copy(self, name: str, counts: int = -1) -> None:
        """Copy a file anew.

        Args:
            name: Its name.
            counts: How many bytes of it count; the rest become zeros. All of them where it is -1.

        Raises:
            BackupFailed: It cannot be read or written.
            DurabilityError: A sync failed.
        """
        source = self._source / name
        try:
            fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError as error:
            raise _failed(source, error) from error
        try:
            self._copy(name, fd, os.fstat(fd), counts)
        finally:
            os.close(fd)

    def write(self, name: str, data: bytes) -> None:
        """Write a file that is made here.

        Raises:
            Unavailable: There is no room.
            DurabilityError: It could not be written.
        """
        self._make_room_for(self._target / name)
        durable.replace(self._target / name, data, _FILE_MODE)
        self.copied += len(data)
        self._done(name, hashlib.sha256(data).hexdigest(), len(data))

    def sweep(self) -> None:
        """Remove what is not of this copy, and make all names durable."""
        directories = [self._target]
        for path in sorted(self._target.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                directories.append(path)
            elif path.relative_to(self._target).as_posix() not in self.sums:
                self._discard(path)
        for directory in directories:
            durable.fsync_dir(directory)
        durable.fsync_dir(self._target.parent)

    def _copy(self, name: str, fd: int, found: os.stat_result, counts: int) -> None:
        target = self._target / name
        self._make_room_for(target)
        temp = target.with_name(f"{target.name}.copy{durable.TEMP_SUFFIX}")
        self._discard(temp)
        left = found.st_size if counts < 0 else min(counts, found.st_size)
        try:
            out = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _FILE_MODE)
            try:
                digest = self._pour(fd, out, left, found.st_size - left)
                os.utime(out, ns=(found.st_atime_ns, found.st_mtime_ns))
                durable.fsync_file(out)
            finally:
                os.close(out)
        except OSError as error:
            self._discard(temp)
            raise _failed(target, error) from error
        self._discard(target)
        durable.publish(temp, target)
        self.copied += found.st_size
        self._done(name, digest, found.st_size)

    def _pour(self, fd: int, out: int, left: int, zeros: int) -> str:
        """Write so many bytes of one file to another, and so many zeros; the digest of all."""
        digest = hashlib.sha256()
        while left > 0:
            data = os.read(fd, min(left, CHUNK_BYTES))
            if not data:
                raise BackupFailed("a file became shorter while it was copied: make the backup again")
            digest.update(data)
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(out, rest) :]
            left -= len(data)
            self._unsynced += len(data)
            if self._unsynced >= _SYNC_BYTES:  # else the sync at the end could take longer than a hold lasts
                durable.fdatasync(out)
                self._unsynced = 0
            self._tick(len(data))
        if zeros:
            os.ftruncate(out, os.lseek(out, 0, os.SEEK_CUR) + zeros)
            for start in range(0, zeros, CHUNK_BYTES):
                digest.update(bytes(min(CHUNK_BYTES, zeros - start)))
        return digest.hexdigest()

    def _digest(self, path: Path) -> str:
        return digest_of(path, self._tick)

    def _done(self, name: str, digest: str, size: int) -> bool:
        self.sums[name] = digest
        self.bytes += size
        self._tick(0)
        return True

    @staticmethod
    def _make_room_for(path: Path) -> None:
        if not path.parent.is_dir():
            durable.make_dirs(path.parent, _DIRECTORY_MODE)

    @staticmethod
    def _discard(path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise _failed(path, error) from error


def digest_of(path: Path, tick: Callable[[int], None]) -> str:
    """SHA-256 of a file, lowercase hex.

    Raises:
        BackupFailed: It cannot be read.
    """
    digest = hashlib.sha256()
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            while data := os.read(fd, CHUNK_BYTES):
                digest.update(data)
                tick(len(data))
        finally:
            os.close(fd)
    except OSError as error:
        raise _failed(path, error) from error
    return digest.hexdigest()


def _same(path: Path, found: os.stat_result) -> bool:
    """Whether a copy is there, of the same length and time."""
    try:
        there = path.stat(follow_symlinks=False)
    except OSError:
        return False
    return (there.st_size, there.st_mtime_ns) == (found.st_size, found.st_mtime_ns)


def _failed(path: Path, error: OSError) -> BackupFailed:
    hint = "; free some, and the same command goes on" if error.errno in durable.NO_ROOM else ""
    return BackupFailed(f"{path}: {error.strerror or error}{hint}")
