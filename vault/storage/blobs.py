"""Large bodies as files: ``stage/<id>.tmp`` while they arrive, ``blobs/<first two characters>/<id>`` for good.

Not handled here: what is in them (ciphertext, see ``vault.crypto.aead``), and whether one may go (the eraser).
"""

from __future__ import annotations

import os
import re
import secrets
from threading import Lock
from typing import TYPE_CHECKING, Final, Self

from vault import durable
from vault.errors import CorruptError, DurabilityError, NoSpace, Unavailable
from vault.storage.room import free_bytes
from vault.storage.spool import Spool
from vault.storage.token import blob_name, require

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

    from vault.storage.token import ErasureToken

_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


class BlobStore:
    """Immutable blobs on a POSIX file system.

    - :meth:`stage` takes bytes; nothing is durable. :meth:`StagedBlob.publish` makes bytes and name durable; it
      comes *before* the record that names the blob. A crash before that record leaves a blob that no record names.
    - A published blob is never changed. :meth:`open` may be called by any thread; whoever reads holds a lease on the
      version, or the blob may be removed meanwhile.
    - :meth:`remove` takes the eraser's token. What no record names is removed by :meth:`sweep`, and by
      :meth:`StagedBlob.withdraw` where the operation that published it was not done.
    - Nobody retries. ``Unavailable``: there is no room, and nothing was done. ``DurabilityError``: fatal.

    Thread-safe except :meth:`sweep`; everything blocks on disk.

    Args:
        directory: The data directory.
        keep_free: Bytes of disk that no blob may take: the tiers below writes are kept for what must go on.
    """

    def __init__(self, directory: Path, keep_free: int = 0) -> None:
        self._keep_free = keep_free
        self._taking = Lock()
        self._blobs = directory / "blobs"
        self._stage = directory / "stage"
        self._made: set[Path] = set()

    def sweep(self, known: Callable[[str], bool]) -> list[str]:
        """Make the directories and remove what crashes left. Only at start, before the committer opens.

        Args:
            known: Whether a durable record names this blob, visible or waiting for the eraser.

        Returns:
            Ids of the blobs and stages removed. Files with other names are not ours, and ``verify`` reports them.
        """
        durable.make_dirs(self._blobs)
        durable.make_dirs(self._stage)
        swept = [path.stem for path in self._stage.glob(f"*{durable.TEMP_SUFFIX}")]
        durable.sweep_temps(self._stage)
        for path in sorted(self._blobs.glob("??/*")):
            if _ID.fullmatch(path.name) and path.parent.name == path.name[:2] and not known(path.name):
                durable.remove(path)
                swept.append(path.name)
        return swept

    def stage(self, length: int = 0) -> StagedBlob:
        """Begin a blob under a new random id.

        Args:
            length: Bytes it will have: there is room for all of them on return, and writing them costs less. 0 where
                that is not known.

        Raises:
            Unavailable: There is no room for it.
            DurabilityError: The stage cannot be written.
        """
        blob_id = secrets.token_hex(16)
        path = self._stage / f"{blob_id}{durable.TEMP_SUFFIX}"
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            staged = StagedBlob(self, blob_id, path, fd, length)
            try:
                if length:
                    self._allocate(fd, length)
            except (OSError, Unavailable):
                staged.discard()
                raise
        except OSError as error:
            raise _failed(f"{path} cannot be made", error) from error
        return staged

    def _allocate(self, fd: int, length: int) -> None:
        with self._taking:  # one after the other, so that each sees what those before it took
            if free_bytes(fd) < length + self._keep_free:
                raise NoSpace
            os.posix_fallocate(fd, 0, length)

    def spool(self, length: int = 0) -> Spool:
        """A place for bytes that become no blob; see :class:`~vault.storage.spool.Spool`.

        Args:
            length: How many there will be; 0 where that is not known.

        Raises:
            Unavailable: There is no room for them.
        """
        return Spool(self._stage, self._keep_free, length)

    def open(self, blob_id: str) -> BlobReader:
        """Open a published blob for reading.

        Raises:
            CorruptError: It is not there or cannot be opened.
        """
        path = self.path(blob_id)
        try:
            return BlobReader(path, os.open(path, os.O_RDONLY | os.O_NOFOLLOW))
        except OSError as error:
            raise CorruptError(f"{path} cannot be opened: {error.strerror}") from error

    def remove(self, blob_id: str, token: ErasureToken) -> None:
        """Remove a published blob; durably gone on return. A missing one counts as removed.

        Raises:
            NotCovered: The token does not name it.
            DurabilityError: The file system failed; the blob is whole or gone.
        """
        require(token, blob_name(blob_id))
        path = self.path(blob_id)
        if path.parent.is_dir():
            durable.remove(path)

    def path(self, blob_id: str) -> Path:
        """Where a published blob lies.

        Raises:
            CorruptError: This can be no blob's id.
        """
        if _ID.fullmatch(blob_id) is None:
            raise CorruptError(f"{blob_id[:64]!r} cannot be a blob's id")
        return self._blobs / blob_id[:2] / blob_id

    def place(self, blob_id: str) -> Path:
        """Where a blob will lie, with its directory durably made. One more sync at its first use in a process."""
        path = self.path(blob_id)
        if path.parent not in self._made:
            durable.make_dirs(path.parent)
            self._made.add(path.parent)
        return path


class StagedBlob:
    """A blob being received; ends in :meth:`publish` or :meth:`discard`. Thread-safe: a call waits for others."""

    def __init__(self, store: BlobStore, blob_id: str, path: Path, fd: int, length: int) -> None:
        self.id = blob_id
        self._store = store
        self._path = path
        self._fd = fd
        self._length = length
        self._written = 0
        self._lock = Lock()

    def write(self, data: bytes) -> None:
        """Append bytes; not durable yet.

        Raises:
            Unavailable: There is no room; discard the blob.
            DurabilityError: The file system failed.
        """
        rest = memoryview(data)
        try:
            with self._lock:
                while rest and self._fd >= 0:
                    written = os.write(self._fd, rest)
                    self._written += written
                    rest = rest[written:]
        except OSError as error:
            raise _failed(f"{self._path} cannot be written", error) from error
        if rest:
            raise Unavailable(f"{self._path} was given up")

    def publish(self) -> None:
        """Make the bytes durable, then give them their final name, durable too.

        A crash before the end leaves a stage or a blob that no record names; both are swept at start.

        Raises:
            DurabilityError: The file system failed.
        """
        # Order: fsync(stage/<id>.tmp), [mkdir(blobs/<xx>), fsync(blobs)], link(blobs/<xx>/<id>),
        # unlink(stage/<id>.tmp), fsync(blobs/<xx>).
        with self._lock:
            if self._length not in {0, self._written}:
                raise ValueError(f"{self._path} was to have {self._length} bytes and has {self._written}")
            try:
                durable.fsync_file(self._fd)
            finally:
                self._close()
            durable.publish(self._path, self._store.place(self.id))

    def withdraw(self) -> None:
        """Remove a blob that was published, and that no record names or will name: its operation was not done.

        Whoever published it may do this and nobody else, so it needs no token: there is no version yet. A crash before
        the end leaves the blob to the sweep.

        Raises:
            DurabilityError: The file system failed.
        """
        with self._lock:
            durable.remove(self._store.path(self.id))

    def discard(self) -> None:
        """Give up a blob that was not published, or whose publishing failed; harmless to call again."""
        with self._lock:
            self._close()
            durable.remove(self._path)

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class BlobReader:
    """A published blob, open for reading; a context manager. Thread-safe until it is closed."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd

    def read(self, offset: int, length: int) -> bytes:
        """Read ``length`` bytes from ``offset``; blocks on disk.

        Raises:
            CorruptError: The blob is shorter, or the disk does not give the bytes.
        """
        try:
            data = os.pread(self._fd, length, offset)
            while 0 < len(data) < length:
                more = os.pread(self._fd, length - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise CorruptError(f"{self._path}: offset {offset} cannot be read: {error.strerror}") from error
        if len(data) != length:
            raise CorruptError(f"{self._path} ends before offset {offset + length}")
        return data

    def close(self) -> None:
        """Give the file back."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _failed(what: str, error: OSError) -> Unavailable | DurabilityError:
    if error.errno in durable.NO_ROOM:
        return Unavailable(f"{what}: {error.strerror}; free some space")
    return DurabilityError(f"{what}: {error.strerror}")
