"""What the ledger tells of backups of the data directory: when the last one was recorded, and how far it reaches.

Pure. Not handled here: making one (``audit.backup``), and backups of the keys (``vault.state.custody``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault.errors import S3Error
from vault.state import rows
from vault.state.decision import Decision
from vault.state.other_rows import BackupRow
from vault.times import parse_rfc3339

if TYPE_CHECKING:
    from vault.ports import State
    from vault.record import Head, Tail
    from vault.state.decision import Case


def told(case: Case) -> Decision:
    """A record of a backup; it says of which."""
    if case.tail.backup is None:
        raise S3Error("InvalidRequest")
    return Decision()


def found(state: State) -> BackupRow:
    """What the ledger told last; all zero where it told nothing yet."""
    row = state.get(rows.BACKUP_KEY)
    return row if isinstance(row, BackupRow) else BackupRow()


def after(head: Head, tail: Tail, _: State) -> list[tuple[bytes, rows.Row | None]]:
    """What the row is after a ``ledger.backup`` record."""
    said = tail.backup
    if said is None:
        return []
    return [(rows.BACKUP_KEY, BackupRow(made=parse_rfc3339(head.time), stream=said.stream, records=said.records))]
