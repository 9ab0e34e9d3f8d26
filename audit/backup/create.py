"""Making a backup, step by step; cut short anywhere, the same command goes on with it.

 1. The directory is taken. What an earlier call left in ``unfinished`` is gone on with.
 2. The vault is copied while it goes on writing (``audit.backup.copying``).
 3. All of it is made durable.
 4. The independent verifier reads every byte of the copy, in a process of its own.
 5. ``SHA256SUMS`` and ``backup.json`` are written, and the backup gets its name: the commit point.
 6. It is recorded (``ledger.backup``), and older ones are removed.

Not handled here: the command's words (``audit.cli.backup``).
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from audit import __version__
from audit.backup import BackupFailed
from audit.backup import manifest as format_
from audit.backup.copying import Held, copy_vault
from audit.backup.files import Copier
from audit.backup.manifest import Backup, Reach
from audit.backup.place import Place
from audit.control.client import open_control
from audit.errors import ControlFailed
from audit.identity import Layout, load_identity
from vault import durable
from vault.record import BackupRef
from vault.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit.backup.copying import Copied
    from audit.config import Settings
    from audit.identity import Identity

#: Findings of the verifier that a message names.
_NAMED: Final = 3


class Made(NamedTuple):
    """A backup that was made: where, what it says of itself, its digest, its record, and the bytes not kept."""

    place: Path
    backup: Backup
    digest: str
    record: str
    copied: int


def create(
    root: Path, target: Path, settings: Callable[[], Settings], progress: Callable[[str, int], None], keep: int = 1
) -> Made:
    """Back a vault up.

    Args:
        root: The data directory, served or not.
        target: A new directory, or one with backups of the same vault.
        settings: Loads the configuration; called only where no server has the vault open.
        progress: Called with what is being done, and the number of bytes just done.
        keep: How many backups stay in ``target``.

    Returns:
        What was made; durable and recorded.

    Raises:
        BackupFailed: It was not made; or it was, and could not be recorded.
        BackupLapsed: The server heard nothing of this process for too long.
        AuditError: Of asking the vault.
        VaultError: Disk or keys fail.
    """
    layout = Layout(root)
    identity = load_identity(layout)
    home, there = root.resolve(), target.resolve()
    if there.is_relative_to(home) or home.is_relative_to(there):
        raise BackupFailed(f"{target} and {root} are one within the other: give a directory elsewhere")
    with Place.open(target, identity.vault) as place:
        data = place.unfinished / format_.DATA
        if place.unfinished.is_symlink() or data.is_symlink():  # what is not of the backup is removed from there
            raise BackupFailed(f"{place.unfinished} is a link: remove it")
        earlier, known = _earlier(place)
        with open_control(root, settings) as control:
            held = Held(control, lambda done: progress("copied", done))
            try:
                copier = Copier(root, data, held.tick, earlier, known)
                copied = copy_vault(layout, identity, held, copier)
            finally:
                with suppress(ControlFailed):  # who is not told finds out by himself
                    held.release()
        copier.sweep()
        progress("verifying", 0)
        backup = _described(identity, copied, copier, verified(data))
        digest = _seal(place.unfinished, backup, copier.sums)
        final = place.finish()
        record = _recorded(root, settings, backup, digest, final)
        place.drop(keep)
    return Made(final, backup, digest, record, copier.copied)


def _earlier(place: Place) -> tuple[Path | None, dict[str, str]]:
    """The files of the newest backup, and their digests; none of one that is damaged, so that all is copied anew."""
    newest = place.newest()
    if newest is None:
        return None, {}
    try:
        return newest / format_.DATA, format_.read_backup(newest)[1]
    except BackupFailed:
        return None, {}


def verified(data: Path) -> dict[str, Any]:
    """Have the independent verifier read a data directory, in a process of its own.

    Returns:
        Its report.

    Raises:
        BackupFailed: It found something bad, or could not check.
    """
    command = [sys.executable, "-P", "-m", "audit.verify", "--json", str(data)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own verifier
    try:
        report: dict[str, Any] = json.loads(done.stdout)
    except ValueError as error:
        raise BackupFailed(f"the verifier did not answer: {done.stderr.strip()[-300:]}") from error
    if done.returncode != 0:
        found = [f"{item['place']}: {item['why']}" for item in report["findings"][:_NAMED]]
        why = report["unchecked"] or "; ".join(found)
        raise BackupFailed(f"the verifier does not accept {data}: {why}")
    return report


def _described(identity: Identity, copied: Copied, copier: Copier, report: dict[str, Any]) -> Backup:
    logs = {log["origin"]: log for log in report["logs"]}
    reaches = []
    for cut in copied.cuts:
        log = logs[identity.origin_of(cut.stream)]
        if log["size"] != cut.records:
            raise BackupFailed(f"the copy of {cut.stream} holds {log['size']} records and not {cut.records}")
        reaches.append(Reach(cut.stream, log["size"], log["root"], log["checkpoint_size"]))
    return Backup(
        v=format_.VERSION,
        vault=identity.vault,
        time=rfc3339(time.time_ns()),
        software=__version__,
        kek=copied.kek,
        streams=tuple(reaches),
        files=len(copier.sums),
        bytes=copier.bytes,
        sums=hashlib.sha256(format_.encode_sums(copier.sums)).hexdigest(),
    )


def _seal(place: Path, backup: Backup, sums: dict[str, str]) -> str:
    """Write what a backup says of itself, durably; its digest."""
    durable.sweep_temps(place)
    head = format_.encode_head(backup)
    durable.replace(place / format_.SUMS, format_.encode_sums(sums))
    durable.replace(place / format_.HEAD, head)
    return hashlib.sha256(head).hexdigest()


def _recorded(root: Path, settings: Callable[[], Settings], backup: Backup, digest: str, final: Path) -> str:
    last = backup.streams[-1]
    told = BackupRef(last.stream, last.records, digest, backup.files, backup.bytes)
    try:
        with open_control(root, settings) as control:
            return control.record_directory_backup(told)
    except ControlFailed as error:
        raise BackupFailed(f"the backup {final} is whole, and may not be recorded: {error}") from error
