"""An anchor in a directory: one file an origin, named by the SHA-256 of the origin in hex.

Beside the data directory it guards against accidents, a restored data directory say; against
people it guards only where they cannot write, on another machine or in another account's hands.
Network file systems without working flock or without atomic rename are no place for it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING

from audit.errors import AnchorConflict, AnchorUnavailable, AnchorUnknown
from audit.note import MAX_NOTE_BYTES
from vault import durable
from vault.errors import DurabilityError, Unavailable, VaultError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class FileAnchor:
    """:class:`~audit.anchor.Anchor` over a directory, which the first swap makes, with mode 0700.

    It never waits: where another process holds the origin's lock, the anchor is unavailable.
    After a failed sync of its directory this object is unavailable for good: what the directory
    then shows may be gone after a power cut, and only a new start may look again.

    Args:
        directory: Not inside the data directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._made = False
        self._failed: VaultError | None = None

    def read(self, origin: str) -> bytes | None:
        """See :meth:`audit.anchor.Anchor.read`."""
        try:
            there = self._directory.exists()
        except OSError as error:  # of a network file system that is gone, say
            raise AnchorUnavailable(f"the anchor cannot be read: {error}") from error
        if not there:
            return None
        path = self._path(origin)
        with self._locked(path):
            # Whoever wrote the value may have died between its rename and the directory's sync.
            self._sync()
            return _value(path)

    def swap(self, origin: str, expected: bytes | None, new: bytes) -> None:
        """See :meth:`audit.anchor.Anchor.swap`."""
        path = self._path(origin)
        self._make()
        with self._locked(path):
            durable.sweep_temps(self._directory, path.name)
            current = _value(path)
            if current != expected:
                raise AnchorConflict(origin, current)
            try:
                durable.replace(path, new)
            except (DurabilityError, Unavailable) as error:
                if _value(path) == expected:  # it failed before its rename: what it wrote is a leftover
                    raise AnchorUnavailable(f"the anchor could not store a checkpoint: {error}") from error
                self._failed = error
                raise AnchorUnknown(f"the anchor may have stored a checkpoint: {error}") from error

    def _path(self, origin: str) -> Path:
        return self._directory / sha256(origin.encode()).hexdigest()

    def _make(self) -> None:
        """Once only: a directory that goes missing while running is a lost anchor, not an empty one."""
        if self._made:
            return
        try:
            durable.make_dirs(self._directory)
        except DurabilityError as error:
            raise AnchorUnavailable(f"the anchor's directory cannot be made: {error}") from error
        self._made = True

    def _sync(self) -> None:
        try:
            durable.fsync_dir(self._directory)
        except DurabilityError as error:
            self._failed = error
            raise AnchorUnavailable(f"the anchor's directory cannot be synced: {error}") from error

    @contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        if self._failed is not None:
            raise AnchorUnavailable(f"the anchor failed and needs a restart: {self._failed}")
        try:
            lock = durable.lock_file(path.with_name(f"{path.name}.lock"))
        except (durable.LockHeld, DurabilityError) as error:
            raise AnchorUnavailable(f"the anchor cannot be locked: {error}") from error
        try:
            yield
        finally:
            os.close(lock)


def _value(path: Path) -> bytes | None:
    """Read the value, which swaps replace whole."""
    try:
        with path.open("rb") as file:
            value = file.read(MAX_NOTE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AnchorUnavailable(f"the anchor cannot be read: {error}") from error
    if len(value) > MAX_NOTE_BYTES:
        raise AnchorUnavailable(f"{path} is larger than a checkpoint may be")
    return value
