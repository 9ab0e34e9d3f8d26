"""What the ledger tells of backups of the data directory: the last one, however many there were."""

from __future__ import annotations

import pytest

from tests.doubles.ledger import MemoryState
from vault.record import DENIED, SUCCESS, Actor, BackupRef, Head, Origin, Tail
from vault.state import backups, decide
from vault.state.apply import apply
from vault.state.other_rows import BackupRow
from vault.state.rows import BACKUP_KEY, decode_row, encode_row
from vault.times import Now, parse_rfc3339, rfc3339

NOW = parse_rfc3339("2026-11-27T17:00:00Z")


def told(records: int | None) -> Tail:
    said = None if records is None else BackupRef("site-a.node-1", records, "ab" * 32, 12, 4096)
    return Tail(op="ledger.backup", actor=Actor("system"), origin=Origin("cli"), backup=said)


def record(state: MemoryState, tail: Tail, time: int, outcome: str = SUCCESS) -> None:
    when = rfc3339(time)
    head = Head(v=1, stream="s", seq=1, prev="0" * 64, time=when, clock=when, outcome=outcome)
    for key, row in apply(head, tail, state):
        assert row is not None
        state.rows[key] = row


def test_the_last_one_counts_and_was_made_when_it_was_recorded() -> None:
    state = MemoryState()
    assert backups.found(state) == BackupRow()
    record(state, told(7), NOW)
    record(state, told(9), NOW + 1)
    record(state, told(11), NOW + 2, DENIED)
    row = backups.found(state)
    assert row == BackupRow(NOW + 1, "site-a.node-1", 9)
    assert decode_row(BACKUP_KEY, encode_row(row)) == row


@pytest.mark.parametrize(("records", "allowed"), [(7, True), (None, False)])
def test_a_record_of_a_backup_says_of_which(records: int | None, *, allowed: bool) -> None:
    assert (decide.decide(told(records), MemoryState(), Now(0, 0)).error is None) == allowed
