"""Restoring: a backup becomes a new data directory, or nothing does.

 1. What the backup says of itself is whole, and of the digest that was asked for.
 2. Every file has its digest, and there is no other one.
 3. The independent verifier accepts the backup.
 4. The files are copied, each read back into its digest; ``vault.json`` comes last: without it there is no vault.
 5. The anchor is asked what is missing (``audit.backup.standing``).

Cut short before the end of 4, the same command goes on: ``views/restoring`` names the backup.

Not handled here: the KEK, which is in no backup, and destroying the backup.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from audit.backup import BackupFailed
from audit.backup import manifest as format_
from audit.backup.create import verified
from audit.backup.files import Copier, digest_of
from audit.backup.place import MARK, whole
from audit.crash import crash_point
from vault import durable
from vault.crypto import keyring_file
from vault.crypto.keyring import COPIES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit.backup.manifest import Backup

_VAULT: Final = "vault.json"
_MARK: Final = "views/restoring"


class Restored(NamedTuple):
    """What was restored: from where, what that says of itself, and its digest."""

    place: Path
    backup: Backup
    digest: str


def restore(
    source: Path, root: Path, progress: Callable[[str, int], None], digest: str = "", keyring: Path | None = None
) -> Restored:
    """Restore a backup into a new directory.

    Args:
        source: A directory of backups, of which the newest is taken, or one of them.
        root: A directory that is absent or empty, or in which this was cut short.
        progress: Called with what is being done, and the number of bytes just done.
        digest: What the SHA-256 of ``backup.json`` must be; empty to take any.
        keyring: A newer copy of the vault's keyring, which takes the place of the one in the backup: so a domain key
            that was destroyed since does not come back.

    Returns:
        What was restored; durable.

    Raises:
        BackupFailed: It was not; ``root`` holds no vault.
        VaultError: The disk fails.
    """
    place = _chosen(source)
    backup, sums, found = format_.read_backup(place)
    if digest and digest != found:
        raise BackupFailed(f"{place} has the digest {found}, and not the one that was asked for")
    if _VAULT not in sums:
        raise BackupFailed(f"{place} holds no {_VAULT}")
    own = _keyring(place, keyring) if keyring is not None else None
    _require_free(root, found)
    data = place / format_.DATA
    _check(data, sums, progress)
    progress("verifying", 0)
    verified(data)
    durable.make_dirs((root / _MARK).parent)
    durable.replace(root / _MARK, found.encode())
    copier = Copier(data, root, lambda done: progress("restored", done))
    for name in sorted(sums, key=lambda name: (name == _VAULT, name)):
        if name == _VAULT:
            _put_keyring(root, own)
            crash_point("backup.restored")
        if not copier.keep(name) or copier.sums[name] != sums[name]:
            raise BackupFailed(f"{data / name} changed while it was copied: try again")
    _settle_names(root)
    durable.remove(root / _MARK)
    return Restored(place, backup, found)


def _chosen(source: Path) -> Path:
    if (source / format_.HEAD).exists():
        return source
    if not (source / MARK).exists():
        raise BackupFailed(f"{source} is no backup, and no directory of backups")
    newest = max(whole(source), default=None)
    if newest is None:
        raise BackupFailed(f"{source} holds no whole backup")
    return newest


def _keyring(place: Path, given: Path) -> bytes:
    """A keyring that may take the place of the one in a backup: it must not be older.

    Raises:
        BackupFailed: It is, or it is no keyring.
    """
    try:
        mine = given.read_bytes()
        other = (place / format_.DATA / "keys" / COPIES[0]).read_bytes()
    except OSError as error:
        raise BackupFailed(f"{error.filename} cannot be read: {error.strerror}") from error
    newer, older = keyring_file.generation_named(mine), keyring_file.generation_named(other)
    if newer < 0:
        raise BackupFailed(f"{given} is no keyring")
    if newer < older:
        raise BackupFailed(f"{given} is older than the keyring in the backup: leave it out")
    return mine


def _put_keyring(root: Path, keyring: bytes | None) -> None:
    if keyring is not None:
        for name in COPIES:
            durable.replace(root / "keys" / name, keyring)


def _require_free(root: Path, digest: str) -> None:
    try:
        if not root.exists() or not any(root.iterdir()):
            return
        if (root / _VAULT).exists():
            raise BackupFailed(f"{root} holds a vault: give a new directory, or move that one away")
        mark = root / _MARK
        if not mark.exists() or mark.read_bytes() != digest.encode():
            raise BackupFailed(f"{root} is not empty: give a new directory")
    except OSError as error:
        raise BackupFailed(f"{root} cannot be used: {error.strerror}") from error


def _check(data: Path, sums: dict[str, str], progress: Callable[[str, int], None]) -> None:
    """Step 2."""
    for path in sorted(data.rglob("*")):
        name = path.relative_to(data).as_posix()
        if (path.is_symlink() or not path.is_dir()) and name not in sums:
            raise BackupFailed(f"{path} is not part of the backup, and lies in it")
    for name, wanted in sums.items():
        if digest_of(data / name, lambda done: progress("checked", done)) != wanted:
            raise BackupFailed(f"{data / name} was changed since the backup was made")


def _settle_names(root: Path) -> None:
    """Make all names durable."""
    for path in [root, *(path for path in root.rglob("*") if path.is_dir())]:
        durable.fsync_dir(path)
