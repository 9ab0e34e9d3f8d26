"""The directory of a vault's backups: which are there, which one is under way, and when one has its name.

The rename of ``unfinished`` to its number is the commit point: a crash before it leaves something to go on with and the
backup before it, a crash after it the new one. Older ones are removed only after that.

Not handled here: what is in a backup.
"""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Annotated, Final, Self

import msgspec
from msgspec import Meta

from audit.backup import BackupFailed
from audit.backup.manifest import HEAD
from audit.crash import crash_point
from vault import durable

if TYPE_CHECKING:
    from pathlib import Path

MARK: Final = "strongroom-backup.json"
UNFINISHED: Final = "unfinished"
_LOCK: Final = "lock"
_GOING: Final = "going"
_NUMBER: Final = re.compile(r"[0-9]{10}", re.ASCII)
_MAX_MARK_BYTES: Final = 4096


class _Mark(msgspec.Struct, frozen=True):
    v: int
    vault: Annotated[str, Meta(max_length=128)]


class Place:
    """A directory of backups, held by this process. A context manager.

    Args:
        root: The directory.
        lock: Descriptor of its lock.
    """

    def __init__(self, root: Path, lock: int) -> None:
        self.root = root
        self._descriptor = lock

    @classmethod
    def open(cls, root: Path, vault: str) -> Self:
        """Take a directory for backups of a vault; made where it is missing.

        Raises:
            BackupFailed: It holds something else, backups of another vault, or another process makes one there.
        """
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (root / MARK).exists():
                if any(root.iterdir()):
                    raise BackupFailed(f"{root} holds something else than backups: give a new directory")
                durable.replace(root / MARK, msgspec.json.encode(_Mark(1, vault)) + b"\n")
            durable.fsync_dir(root.parent)
            with (root / MARK).open("rb") as file:
                mark = msgspec.json.decode(file.read(_MAX_MARK_BYTES), type=_Mark)
        except msgspec.DecodeError as error:
            raise BackupFailed(f"{root / MARK} is damaged: {error}") from error
        except OSError as error:
            raise BackupFailed(f"{root} cannot be used: {error.strerror}") from error
        if mark.v != 1:
            raise BackupFailed(f"{root / MARK} is of version {mark.v}; this software knows 1")
        if mark.vault != vault:
            raise BackupFailed(f"{root} holds backups of another vault ({mark.vault}): give another directory")
        try:
            place = cls(root, durable.lock_file(root / _LOCK))
        except durable.LockHeld as error:
            raise BackupFailed(f"another process makes a backup in {root}: wait for it") from error
        durable.sweep_temps(root)
        return place

    @property
    def unfinished(self) -> Path:
        """Where one is made."""
        return self.root / UNFINISHED

    def newest(self) -> Path | None:
        """The newest whole backup, if any."""
        return max(whole(self.root), default=None)

    def finish(self) -> Path:
        """Give the one that was made its name; durable on return.

        Returns:
            Its directory.
        """
        last = max((int(path.name) for path in self.root.iterdir() if _NUMBER.fullmatch(path.name)), default=0)
        final = self.root / f"{last + 1:010d}"
        crash_point("backup.complete")
        durable.move(self.unfinished, final)
        crash_point("backup.named")
        return final

    def drop(self, keep: int) -> None:
        """Remove all but the newest ``keep`` backups."""
        for path in sorted(whole(self.root))[:-keep]:
            # Under another name first: half a backup must not look like one.
            going = self.root / f"{_GOING}-{path.name}"
            durable.move(path, going)
        for path in self.root.glob(f"{_GOING}-*"):
            try:
                shutil.rmtree(path)
            except OSError as error:
                raise BackupFailed(f"the old backup {path} cannot be removed: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)


def whole(root: Path) -> list[Path]:
    """The whole backups in a directory of backups.

    Raises:
        BackupFailed: It cannot be read.
    """
    try:
        return [path for path in root.iterdir() if _NUMBER.fullmatch(path.name) and (path / HEAD).exists()]
    except OSError as error:
        raise BackupFailed(f"{root} cannot be read: {error.strerror}") from error
