"""What the ledger tells of keys: how many domain keys were made since the last backup, against a count of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.doubles.ledger import MemoryState
from vault.errors import S3Error
from vault.record import SUCCESS, Actor, Head, KeysRef, Origin, Tail
from vault.state import custody, decide
from vault.state.apply import apply
from vault.state.decision import Case
from vault.state.other_rows import CustodyRow
from vault.state.rows import CUSTODY_KEY
from vault.times import Now, parse_rfc3339

TIME = "2026-11-27T17:00:00.000000000Z"


def record(state: MemoryState, op: str, keys: KeysRef | None) -> None:
    head = Head(v=1, stream="s", seq=1, prev="0" * 64, time=TIME, clock=TIME, outcome=SUCCESS)
    for key, row in apply(head, Tail(op=op, actor=Actor("system"), origin=Origin("cli"), keys=keys), state):
        assert row is not None
        state.rows[key] = row


@given(st.lists(st.sampled_from(["make", "destroy", "rotate", "backup", "restore"]), max_size=60))
def test_domain_keys_made_since_the_last_backup_are_counted_whatever_else_happened(steps: list[str]) -> None:
    state, generation, domains = MemoryState(), 1, 0
    made, begun = 0, False
    for step in steps:
        if step == "make":
            generation, domains, made = generation + 1, domains + 1, made + 1
        elif step == "destroy" and domains:
            generation, domains = generation + 1, domains - 1
        elif step == "rotate":
            generation += 1
            record(state, "key.rotate", KeysRef("b" * 8, generation, domains, before="a" * 8))
        elif step == "backup":
            record(state, "key.backup", KeysRef("a" * 8, generation, domains, digest="00" * 32))
            made, begun = 0, True
        elif step == "restore":  # from a backup that lacks one key that is here
            generation += 1
            made, begun = min(1, domains), True
            record(state, "key.restore", KeysRef("a" * 8, generation, domains, beyond=made))
        if begun:
            assert custody.made_since(custody.found(state), generation, domains) == made


def test_a_rotation_keeps_what_is_known_of_the_backup() -> None:
    state = MemoryState()
    assert custody.found(state) == CustodyRow()
    record(state, "key.rotate", KeysRef("b" * 8, 2, 0, before="a" * 8))
    assert custody.found(state).backed_up == 0
    record(state, "key.backup", KeysRef("b" * 8, 2, 0, principals=3, streams=1))
    record(state, "key.rotate", KeysRef("c" * 8, 3, 0, before="b" * 8))
    row = state.rows[CUSTODY_KEY]
    assert isinstance(row, CustodyRow)
    assert (row.kek, row.backed_up, row.principals, row.rotations) == ("c" * 8, parse_rfc3339(TIME), 3, 1)


@pytest.mark.parametrize("op", ["key.backup", "key.restore", "key.rotate"])
def test_a_record_of_keys_says_of_which(op: str) -> None:
    empty = Tail(op=op, actor=Actor("system"), origin=Origin("cli"))
    refused = decide.decide(empty, MemoryState(), Now(0, 0))
    assert isinstance(refused.error, S3Error)
    with pytest.raises(S3Error):
        custody.told(Case(empty, MemoryState(), Now(0, 0)))
