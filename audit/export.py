"""Exporting a log: a directory of C2SP tlog-tiles at exactly the size of one checkpoint.

The hash tiles are not copied but grown again from the exported records, and from the hashes of those that were pruned;
the root they come to must be the checkpoint's: what is exported verifies, or is not exported. The checkpoint is written
last, so a directory without one is an export that was cut short.

Not handled here: where the records come from, and which checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from audit.errors import AuditError, LedgerCorrupt
from audit.tiles import ENTRIES, WIDTH, Tile, TileTree, entry_bundle
from vault.merkle import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from audit.checkpoint import Checkpoint

#: Modes of what is made: an export is handed on, and holds records.
_DIRECTORY_MODE: Final = 0o700


class ExportFailed(AuditError):
    """The export was not made, or not to its end; says why."""

    code = "export-failed"


def export_log(
    target: Path,
    checkpoint: Checkpoint,
    note: bytes,
    records: Callable[[int, int], Iterator[bytes]],
    leaf: Callable[[int], bytes],
    *,
    progress: Callable[[int], None],
) -> None:
    """Write a log to a new or empty directory.

    Nothing is synced: until it returned and was verified, the export counts for nothing.

    Args:
        target: The directory.
        checkpoint: What ``note`` says, its signature checked.
        note: The published checkpoint.
        records: Exact bytes of records from a start to an end (exclusive); none where one was pruned.
        leaf: Gives the leaf hash of a record that was pruned, whose entry is empty.
        progress: Called with the number of records just written.

    Raises:
        ExportFailed: The directory is not empty or cannot be written.
        LedgerCorrupt: The records are not those that the checkpoint was made of.
    """
    try:
        target.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise ExportFailed(f"{target} is not empty; give a new directory")
        tree = TileTree()
        for start in range(0, checkpoint.size, WIDTH):
            entries = list(records(start, min(start + WIDTH, checkpoint.size)))
            _write(target, Tile(ENTRIES, start // WIDTH, len(entries)), entry_bundle(entries))
            hashes = [leaf_hash(entry) if entry else leaf(seq) for seq, entry in enumerate(entries, start)]
            for tile, data in tree.append(hashes):
                _write(target, tile, data)
            progress(len(entries))
        for tile, data in tree.partials():
            _write(target, tile, data)
        if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
            raise LedgerCorrupt(checkpoint.origin, "its records are not those that its checkpoint was made of")
        (target / "checkpoint").write_bytes(note)
    except OSError as error:
        raise ExportFailed(f"{target} cannot be written: {error.strerror}") from error


def _write(target: Path, tile: Tile, data: bytes) -> None:
    path = target / tile.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
