"""What the ledger tells of the vault's keys: when they were last backed up, and what the keyring was then.

Pure. Not handled here: the keys (``vault.crypto``), and doing any of it (``audit.keys``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from vault.errors import S3Error
from vault.state import rows
from vault.state.decision import Decision
from vault.state.other_rows import CustodyRow
from vault.times import parse_rfc3339

if TYPE_CHECKING:
    from vault.ports import State
    from vault.record import Head, Tail
    from vault.state.decision import Case


def told(case: Case) -> Decision:
    """A record of what was done to the keys; it says to which."""
    if case.tail.keys is None:
        raise S3Error("InvalidRequest")
    return Decision()


def found(state: State) -> CustodyRow:
    """What the ledger told last; all zero where it told nothing yet."""
    row = state.get(rows.CUSTODY_KEY)
    return row if isinstance(row, CustodyRow) else CustodyRow()


def after(head: Head, tail: Tail, state: State) -> CustodyRow | None:
    """What the row is after a ``key.*`` record. A backup that was restored from is one that is there, so it counts."""
    said = tail.keys
    if said is None:
        return None
    if tail.op == "key.rotate":
        before = found(state)
        return replace(before, kek=said.kek, rotations=before.rotations + 1)
    return CustodyRow(
        kek=said.kek,
        backed_up=parse_rfc3339(head.time),
        generation=said.generation,
        domains=said.domains,
        beyond=said.beyond,
        principals=said.principals,
        streams=said.streams,
    )


def made_since(row: CustodyRow, generation: int, domains: int) -> int:
    """How many domain keys were made since the last backup, destroyed ones included.

    Every change of the keyring is one more generation: a key made, a key destroyed, or a rotation.

    Args:
        row: What the ledger told last.
        generation: The keyring's, now.
        domains: How many domain keys it holds now.
    """
    changes = generation - row.generation - row.rotations
    return row.beyond + max(0, -(-(changes + domains - row.domains) // 2))
