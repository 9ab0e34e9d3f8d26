"""A key backup: one sealed file, durable where somebody wants it, and then recorded.

It is made by the process that was asked for it, also beside a running server: the file belongs to whoever makes it, may
lie where the server cannot write, and the passphrase goes nowhere.

Not handled here: the file's format (``vault.crypto.backup_file``), and what belongs into it (``audit.keys.custody``).
"""

from __future__ import annotations

import time
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from audit.crash import crash_point
from audit.errors import ConfigInvalid
from vault import device, durable
from vault.crypto import backup_file
from vault.crypto.backup_file import KeyBackup
from vault.errors import CorruptError, DurabilityError
from vault.times import rfc3339

if TYPE_CHECKING:
    from pathlib import Path

    from audit.control import KeyControl
    from audit.keys import KeyMaterial
    from vault.record import KeysRef


class Kept(NamedTuple):
    """A backup that is durable and has no record yet: its length in bytes, what is in it, what its record says."""

    size: int
    material: KeyMaterial
    keys: KeysRef


def require_place(file: Path, root: Path) -> None:
    """Refuse a place where a backup cannot be, or is none. Changes nothing.

    Raises:
        NameTaken: Something is there.
        ConfigInvalid: Its directory is missing, or is in the data directory.
    """
    parent = file.parent.resolve()
    if not parent.is_dir():
        raise ConfigInvalid(f"{file.parent} is no directory: make it first")
    if root.resolve() in (parent, *parent.parents):
        raise ConfigInvalid(f"{file} is in {root}, and would be lost with it: name a place elsewhere")
    if file.is_symlink() or file.exists():
        raise durable.NameTaken(f"{file} exists, and no backup is written over: name another file")


def write_backup(control: KeyControl, file: Path, passphrase: str) -> Kept:
    """Write all keys into a file that did not exist (0600), durable on return and read back.

    Args:
        control: Whose keys.
        file: Judged by :func:`require_place`.
        passphrase: Opens it.

    Returns:
        What :meth:`audit.control.KeyControl.record_key_backup` is to be told next.

    Raises:
        NameTaken: Something is there by now.
        KeyringError: The keys cannot be read.
        DurabilityError: It could not be written, or is not what was written.
    """
    material = control.key_material()
    keys = material.keys
    made = KeyBackup(material.vault, rfc3339(time.time_ns()), keys.kek, keys.holds_kek, material.files)
    data = backup_file.seal(made, passphrase)
    durable.write_new(file, data)
    try:
        same = device.read_direct(file, 0, len(data) + 1) == data
    except CorruptError as error:
        raise DurabilityError(f"{file} cannot be read back: {error}") from error
    if not same:
        raise DurabilityError(f"{file} does not hold what was written to it: use another device")
    crash_point("backup.written")
    return Kept(len(data), material, replace(keys, digest=sha256(data).hexdigest()))
