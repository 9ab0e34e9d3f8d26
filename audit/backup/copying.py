"""What is copied of a vault that goes on writing, and in which order (``audit.backup`` says why it may).

Not handled here: one file (``audit.backup.files``), and whether the copy is good (``audit.verify``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.backup import BackupFailed
from audit.checkpoint import Checkpoint
from audit.crash import crash_point
from audit.note import parse_note
from audit.tile_store import TileStore
from audit.tiles import WIDTH, Tile, partial_tiles
from vault import durable
from vault.crypto import keyring_file
from vault.crypto.keyring import COPIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from audit.backup.cut import Cut
    from audit.backup.files import Copier
    from audit.control import Control
    from audit.identity import Identity, Layout

#: How often the server hears of a backup that goes on, in seconds.
KEEP_SECONDS: Final = 5.0
_CHECKPOINT: Final = "checkpoint"


class Held:
    """A hold on a vault, kept while its owner works; :meth:`release` ends it.

    Args:
        control: The vault.
        progress: Called with the number of bytes just done.
    """

    def __init__(self, control: Control, progress: Callable[[int], None]) -> None:
        self._control, self._progress = control, progress
        self._number = control.hold_backup()
        self._recycling = True
        self._kept = time.monotonic()

    def cut(self) -> list[Cut]:
        """Cut the commit logs."""
        return self._control.cut_backup(self._number)

    def tick(self, done: int) -> None:
        """Say that there is progress.

        Raises:
            BackupLapsed: The hold had ended.
        """
        self._progress(done)
        if time.monotonic() - self._kept >= KEEP_SECONDS:
            self.keep()

    def keep(self) -> None:
        """Be heard of; whoever goes on after this knows that nothing was erased until now."""
        self._control.keep_backup(self._number, recycling=self._recycling)
        self._kept = time.monotonic()

    def let_recycle(self) -> None:
        """The commit log has its copy."""
        self._recycling = False
        self.keep()

    def release(self) -> None:
        """Hold no longer."""
        self._control.release_backup(self._number)


class Copied(NamedTuple):
    """What a copy is of: its cuts, and the KEK that its keyring is under."""

    cuts: list[Cut]
    kek: str


def copy_vault(layout: Layout, identity: Identity, held: Held, copier: Copier) -> Copied:
    """Copy a vault, in the order of ``audit.backup``.

    Raises:
        BackupFailed: A file cannot be read or written.
        BackupLapsed: The hold ended.
        LedgerCorrupt: A tile is missing.
        VaultError: Disk or keys fail.
    """
    immutable = [name for stream in identity.streams for name in _listed(layout, stream)]
    immutable += _names(layout.root, layout.packs)
    for stream in identity.earlier:
        immutable += _names(layout.root, layout.stream(stream) / "tile")
        _checkpoint(layout, stream, copier)
    immutable += _sealed(layout, identity.stream, copier)
    cuts = held.cut()
    crash_point("backup.cut")
    for cut in cuts:
        for name, counts in cut.segments:
            copier.copy(_below(layout, layout.stream(cut.stream) / "commit" / name), counts)
    held.let_recycle()
    blobs = list[str]()
    for directory in sorted(layout.blobs.iterdir()):
        blobs += _names(layout.root, directory)
        held.tick(0)  # there may be millions
    kek = _copy_keys(layout, identity, copier)
    crash_point("backup.keys")
    for name in immutable:
        if not copier.keep(name):
            raise BackupFailed(f"{layout.root / name} is gone: make the backup again")
    for name in blobs:
        copier.keep(name)  # one that is gone was of an operation that was not done; the verifier asks for all others
    held.keep()
    return Copied(cuts, kek)


def _listed(layout: Layout, stream: str) -> Iterator[str]:
    """Settled segments of a stream, and what its recoveries cut."""
    for part in ("ledger", "quarantine"):
        yield from _names(layout.root, layout.stream(stream) / part)


def _names(root: Path, directory: Path) -> list[str]:
    """Files below a directory that have their final names, by their path below ``root``."""
    paths = (path for path in directory.rglob("*") if path.suffix != durable.TEMP_SUFFIX)
    try:
        return sorted(path.relative_to(root).as_posix() for path in paths if path.is_file())
    except OSError as error:
        raise BackupFailed(f"{directory} cannot be read: {error.strerror}") from error


def _below(layout: Layout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix()


def _checkpoint(layout: Layout, stream: str, copier: Copier) -> int:
    """Copy the last published checkpoint of a stream, if there is one; its size, else 0."""
    path = layout.stream(stream) / _CHECKPOINT
    try:
        note = path.read_bytes()
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise BackupFailed(f"{path} cannot be read: {error.strerror}") from error
    copier.write(_below(layout, path), note)
    return Checkpoint.parse(parse_note(note).text).size


def _sealed(layout: Layout, stream: str, copier: Copier) -> list[str]:
    """Copy the checkpoint of the stream that is written, and its partial tiles; names of the full ones it covers.

    A partial tile may give way to the full one at any moment, so it is read from whichever there is.
    """
    size = _checkpoint(layout, stream, copier)
    home = layout.stream(stream)
    store = TileStore(home)
    for tile in partial_tiles(size):
        copier.write(_below(layout, home / tile.path), store.read(tile))
    names, level = list[str](), 0
    while size := size // WIDTH:
        names += [_below(layout, home / Tile(level, index, WIDTH).path) for index in range(size)]
        level += 1
    return names


def _copy_keys(layout: Layout, identity: Identity, copier: Copier) -> str:
    """Copy keys and names, but no KEK; the id of the KEK that the keyring is under.

    Both copies of the keyring are written from the first one, which is never older than the second. Where the KEK is
    changed just now, the copy is under the one that counts, whether its records tell of that yet or not.
    """
    try:
        keyring = (layout.keys / COPIES[0]).read_bytes()
    except OSError as error:
        raise BackupFailed(f"{layout.keys / COPIES[0]} cannot be read: {error.strerror}") from error
    for name in COPIES:
        copier.write(_below(layout, layout.keys / name), keyring)
    for stream in identity.streams:
        copier.copy(_below(layout, layout.signing_key(stream)))
        copier.copy(_below(layout, layout.vkey(stream)))
    for name in _names(layout.root, layout.secrets):
        copier.copy(name)
    if layout.unrecorded.exists():
        copier.copy(_below(layout, layout.unrecorded))
    copier.copy(_below(layout, layout.identity))
    return keyring_file.kek_named(keyring[: keyring_file.MAX_HEADER_BYTES])
