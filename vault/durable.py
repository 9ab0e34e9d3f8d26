"""Durable I/O: the only module that writes for keeps, syncs, links, renames and unlinks.

Each function says what is durable when it returns and what a crash in the middle leaves; its
order of system calls stands in a comment. Where a call fails, the function raises
:class:`~vault.errors.DurabilityError` and leaves what a crash there would leave. Where there is no room for a temporary
file (or no descriptor for it), which then has no other name yet, that file is removed again and the function raises
:class:`~vault.errors.Unavailable`: nothing was changed, and it may be called again.

1. A name is durable when its directory was synced *after* the name was made.
2. A file gets its final name only after its bytes were synced: nobody ever sees half a file under it.
3. A failed sync is the last call made. The kernel may have dropped the dirty pages, and a further fsync
   would answer "done" for bytes that are gone (https://wiki.postgresql.org/wiki/Fsync_Errors).

Every sync but LMDB's own passes through :func:`fsync_file` or :func:`fdatasync`. Paths have one writer.

Not handled here: what to write, where, and what recovery makes of it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import lmdb

from vault.errors import CorruptError, DurabilityError, Unavailable, VaultError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

#: Ends the name of every file that has not yet got its final one, leftovers of a crash included.
TEMP_SUFFIX: Final = ".tmp"
#: Buffers that one pwritev takes (IOV_MAX); the writer of a group joins what is more.
MAX_GROUP_BUFFERS: Final = 1024
#: Errors of a call for which this process, or the system, had no descriptor left.
NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE})
#: Errors of a call that leave the file system sound: it had no room, or this process no descriptor.
NO_ROOM: Final = NO_DESCRIPTOR | {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_libc: Final = ctypes.CDLL(None)
_libc.fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_FALLOC_PUNCH_HOLE_KEEP_SIZE: Final = 0x03  # linux/falloc.h
_INDEX_FILE: Final = "data.mdb"
#: Free bytes below which an error of LMDB's is taken for want of room.
_INDEX_ROOM: Final = 16 * 1024 * 1024


class NameTaken(VaultError):
    """The final name exists, durable or not, and its file was not touched."""

    code = "NameTaken"


class LockHeld(VaultError):
    """Another process, or another descriptor of this one, is the writer."""

    code = "LockHeld"
    fatal = True


def fsync_file(fd: int) -> None:
    """Make a file's bytes and metadata, or a directory's names, durable."""
    with _reported("fsync", fd):
        os.fsync(fd)


def fdatasync(fd: int) -> None:
    """Make a file's bytes, and its size where that changed, durable."""
    with _reported("fdatasync", fd):
        os.fdatasync(fd)


def fsync_dir(path: Path) -> None:
    """Make durable which names a directory holds."""
    with _reported("open", path):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fsync_file(fd)
    finally:
        os.close(fd)


def write_new(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Create a file: durable on return; a crash leaves nothing or all of it. See :func:`write_new_files`."""
    write_new_files({path: data}, mode)


def write_new_files(files: Mapping[Path, bytes], mode: int = 0o600) -> None:
    """Create files: durable on return; a crash leaves each of them absent or whole, in any combination.

    Raises:
        NameTaken: A path exists. Paths before it were made, but are not durable.
    """
    # Each file: open(temp, O_EXCL), write, fsync. Each: link(temp, final), unlink(temp). Then each directory: fsync.
    staged: dict[Path, Path] = {}
    try:
        for path, data in files.items():
            staged[path] = _stage(path, (data,), mode)
    except Unavailable:
        for temp in staged.values():
            temp.unlink(missing_ok=True)
        raise
    for path, temp in staged.items():
        _link(temp, path)
    for directory in dict.fromkeys(path.parent for path in files):
        fsync_dir(directory)


def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Give a file new content: durable on return; a crash leaves all of the old or all of the new."""
    # Order: open(temp, O_EXCL), write, fsync, rename(temp, final), fsync(directory).
    supersede(_stage(path, (data,), mode), path)


def supersede(fresh: Path, path: Path) -> None:
    """Put a synced file in another one's place: durable on return; a crash leaves the old or the new."""
    with _reported("rename", path):
        fresh.rename(path)
    fsync_dir(path.parent)


def publish(temp: Path, final: Path) -> None:
    """Give a file that the caller has synced its final, immutable name: durable on return; a crash leaves one or both.

    Raises:
        NameTaken: The final name exists; the temporary file is gone.
    """
    # Order: link(temp, final), which never replaces; unlink(temp), which needs no sync; fsync(final's directory).
    _link(temp, final)
    fsync_dir(final.parent)


def link(old: Path, new: Path) -> None:
    """Give an immutable file one more name, durable once its directory is synced; an error where that name exists."""
    with _reported("link", new):
        os.link(old, new)


def move(old: Path, new: Path) -> None:
    """Rename within the file system: durable on return; a crash leaves the old name, the new one, or both.

    Raises:
        NameTaken: The new name exists; nothing was changed.
    """
    # Order: rename, fsync(new directory), fsync(old directory): the new name is safe before the old is surely gone.
    if os.path.lexists(new):
        raise NameTaken(f"{new} exists")
    with _reported("rename", old):
        old.rename(new)
    for directory in dict.fromkeys((new.parent, old.parent)):
        fsync_dir(directory)


def remove(path: Path) -> None:
    """Remove a file, durably on return; a missing one counts as removed, so that recovery can repeat it."""
    # Order: unlink, fsync(directory).
    with _reported("unlink", path):
        path.unlink(missing_ok=True)
    fsync_dir(path.parent)


def sweep_temps(directory: Path, name: str = "") -> None:
    """Remove what crashes left in a directory of files whose name begins with ``name``, with no sync."""
    with _reported("sweep", directory):
        for path in directory.glob(f"{name}*{TEMP_SUFFIX}"):
            path.unlink()


def make_dirs(path: Path, mode: int = 0o700) -> None:
    """Create a directory and what is missing above it: durable on return; a crash leaves the first levels.

    Another thread may make the same one at the same time.
    """
    # Each missing level, top down: mkdir, fsync(parent). The deepest level that exists may be what a
    # crash left between the two, so its parent is synced too; all levels above were synced before it.
    if not path.is_dir():
        make_dirs(path.parent, mode)
        with _reported("mkdir", path):
            path.mkdir(mode, exist_ok=True)
    fsync_dir(path.parent)


def preallocate(path: Path, size: int, mode: int = 0o600) -> None:
    """Create a file of ``size`` zero bytes, written and not holes: durable on return; a crash leaves nothing or all.

    A later fdatasync of bytes inside it flushes data alone, with no journal commit of the file system.

    Raises:
        NameTaken: The path exists.
    """
    # Order: open(temp, O_EXCL), write zeros, fsync, link(temp, final), unlink(temp), fsync(directory).
    zeros = bytes(1 << 20)
    publish(_stage(path, (zeros[: size - start] for start in range(0, size, len(zeros))), mode), path)


def release_zeros(fd: int, offset: int, length: int) -> None:
    """Give the disk back what zeros take; they are still read, and the file keeps its length. Best effort, no sync."""
    # ONE fallocate(KEEP_SIZE | PUNCH_HOLE); whatever a crash leaves of it reads as the same zeros.
    _libc.fallocate(fd, _FALLOC_PUNCH_HOLE_KEEP_SIZE, offset, length)


def append_group(fd: int, buffers: Sequence[bytes], offset: int) -> None:
    """Write one group into a preallocated segment: the ledger's commit point (DESIGN §1).

    Durable on return. A crash or an error leaves any part of the group: the outcome is *unknown*,
    and the caller writes nothing more to this segment.
    """
    # ONE pwritev, ONE fdatasync: writing the rest of a short group would hide that something is wrong
    if len(buffers) > MAX_GROUP_BUFFERS:
        raise ValueError(f"a group of {len(buffers)} buffers: at most {MAX_GROUP_BUFFERS}")
    expected = sum(map(len, buffers))
    with _reported("pwritev", fd):
        written = os.pwritev(fd, buffers, offset)
    if written != expected:
        raise DurabilityError(f"pwritev at offset {offset} wrote {written} of {expected} bytes")
    fdatasync(fd)


def lock_file(path: Path) -> int:
    """Become the one writer, at once or not at all; the kernel ends it with the process.

    Returns:
        A descriptor; closing it gives the lock up. The file stays: removing it would let two writers in.

    Raises:
        LockHeld: Another descriptor holds the lock.
    """
    with _reported("lock", path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(fd)
            raise LockHeld(f"{path} is locked: another strongroom process is writing here") from error
    return fd


def open_index(path: Path, *, map_size: int, max_dbs: int = 0, readahead: bool = True) -> lmdb.Environment:
    """Open an LMDB directory, of at most ``map_size`` bytes, for writing, creating it where it is missing.

    Its names are durable on return; a crash leaves nothing, or an empty index.

    Raises:
        CorruptError: LMDB does not accept the file.
        DurabilityError: It cannot be made.
    """
    # Order where it is missing: mkdir, fsync(parent); LMDB creates data.mdb elsewhere; fsync(data.mdb); move, because
    # LMDB syncs neither the first bytes of its file nor its name. No writemap: stores through a mapping report no
    # error, and a stray one would change pages behind the tree.
    make_dirs(path)
    if not (path / _INDEX_FILE).exists():
        _make_index(path, map_size)
    try:
        return lmdb.open(
            str(path), map_size, sync=True, writemap=False, mode=0o600, readahead=readahead, max_dbs=max_dbs
        )
    except lmdb.Error as error:
        raise CorruptError(
            f"{path}: the index cannot be read: {error}; delete this directory, and the next start makes it anew"
        ) from error


def _make_index(path: Path, map_size: int) -> None:
    """Make an empty index."""
    fresh = path.with_name(f"{path.name}{TEMP_SUFFIX}")
    with _reported("sweep", fresh):
        if fresh.exists():
            shutil.rmtree(fresh)
    make_dirs(fresh)
    try:
        lmdb.open(str(fresh), map_size, mode=0o600).close()
    except lmdb.Error as error:
        raise DurabilityError(f"{fresh}: no index can be made: {error}") from error
    with _reported("open", fresh):
        fd = os.open(fresh / _INDEX_FILE, os.O_RDONLY)
    try:
        fsync_file(fd)
    finally:
        os.close(fd)
    move(fresh / _INDEX_FILE, path / _INDEX_FILE)
    with _reported("sweep", fresh):
        shutil.rmtree(fresh)


def commit_index(txn: lmdb.Transaction, path: Path) -> None:
    """Commit a transaction of the index at ``path``: durable on return; a crash or an error leaves all or nothing.

    Raises:
        Unavailable: There was no room. Pages that were written count for nothing; a later commit writes its own.
        DurabilityError: The file system failed.
    """
    # Order, all inside LMDB: pwrite of pages, fdatasync, pwrite of the meta page through an O_DSYNC descriptor.
    try:
        txn.commit()
    except lmdb.Error as error:
        space = os.statvfs(path)  # LMDB calls a short write an input/output error
        if isinstance(error, lmdb.DiskError) or space.f_bavail * space.f_frsize < _INDEX_ROOM:
            raise Unavailable(f"{path}: no room for the index; free disk space") from error
        raise DurabilityError(f"commit of the index failed: {error}") from error


def _stage(path: Path, chunks: Iterable[bytes], mode: int) -> Path:
    """Write and sync a temporary file beside ``path``."""
    temp = path.with_name(f"{path.name}.{secrets.token_hex(8)}{TEMP_SUFFIX}")
    try:
        with _reported("write", temp):
            fd = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
            try:
                for chunk in chunks:
                    rest = memoryview(chunk)
                    while rest:
                        rest = rest[os.write(fd, rest) :]
                fsync_file(fd)
            finally:
                os.close(fd)
    except DurabilityError as error:
        if not wants_room(error):
            raise
        temp.unlink(missing_ok=True)
        raise Unavailable(f"{error}; free some") from error
    return temp


def wants_room(error: DurabilityError) -> bool:
    """Whether a call failed for want of room or descriptors alone (:data:`NO_ROOM`)."""
    return isinstance(error.__cause__, OSError) and error.__cause__.errno in NO_ROOM


def _link(temp: Path, final: Path) -> None:
    with _reported("link", final):
        try:
            os.link(temp, final)
        except FileExistsError as error:
            temp.unlink()
            raise NameTaken(f"{final} exists") from error
        temp.unlink()


@contextmanager
def _reported(step: str, place: Path | int, kind: type[VaultError] = DurabilityError) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise kind(f"{step} of {place}: {error.strerror or error}") from error  # whose own text names the path again
