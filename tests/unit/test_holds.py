"""What a node says of matters: how many versions one holds, and when that is only a lower bound."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from audit import matters as module
from audit.matters import Held, Matters, Query, Wanted
from audit.query.filter import QueryInvalid
from tests.unit.state.test_matters import Vault
from vault.errors import S3Error
from vault.policy import SYSTEM
from vault.ports import Committed
from vault.record import Actor, Origin

if TYPE_CHECKING:
    from audit.strand import Strand
    from vault.record import Tail

HOST, CLI = Actor(SYSTEM, person="op (uid 1)"), Origin("cli")


class Node:
    """Matters of a vault in memory."""

    def __init__(self) -> None:
        self.vault = Vault()
        strand = cast("Strand", SimpleNamespace(name="s", base=0))
        self.matters = Matters(self.commit, self.vault.state, [strand])

    def commit(self, tail: Tail, refused: S3Error | None) -> Committed:
        if refused is not None:
            raise refused
        head = self.vault.do(tail.op, tail.actor.id, matter=tail.matter)
        if head.reason:
            raise S3Error("InvalidArgument", reason=head.reason)
        return Committed(head, b"", head.seq)

    def open(self, query: Query, once: str = "") -> str:
        return self.matters.open(HOST, CLI, Wanted("n", "r", "o", query), once=once).id


def test_a_count_is_exact_or_says_that_it_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node()
    for bucket, key in (("locked", "a\0b"), ("locked", "a/1"), ("locked", "b"), ("plain", "a/1"), ("locked", "a/1")):
        node.vault.put(bucket, key)
    wanted = [(Query("locked", prefix="a"), 3), (Query("locked", prefix="a\0"), 1), (Query(vault=True, prefix="a/"), 3)]
    for query, number in wanted:
        held = node.matters.get(HOST, CLI, node.open(query))[1]
        assert (held.versions, held.exact) == (number, True)
    monkeypatch.setattr(module, "MAX_EXAMINED", 2)
    held = node.matters.get(HOST, CLI, node.open(Query("locked", prefix="a")))[1]
    assert held == Held(
        2, exact=False, how="the first 2 versions of its bucket and prefix were looked at, and there are more"
    )


def test_the_same_key_is_another_one_for_another_principal() -> None:
    node = Node()
    first = node.open(Query(vault=True), once="k")
    assert node.open(Query(vault=True), once="k") == first
    carl, wanted = Actor("carl", roles=("compliance",)), Wanted("n", "r", "o", Query(vault=True))
    assert node.matters.open(carl, CLI, wanted, once="k").id != first


def test_roles_are_those_that_the_actor_acts_with() -> None:
    node = Node()
    narrow = Actor("carl", roles=("auditor",))  # a token may carry less than its principal
    with pytest.raises(S3Error, match="role compliance"):
        node.matters.open(narrow, CLI, Wanted("n", "r", "o", Query(vault=True)))
    assert node.matters.list(narrow, CLI).matters == []


@pytest.mark.parametrize("wrong", [Query("b\ud800"), Query(vault=True, prefix="\udcff"), Query(vault=True, since="x")])
def test_what_no_record_can_hold_is_refused_before_there_is_one(wrong: Query) -> None:
    node = Node()
    before = len(node.vault.records)
    with pytest.raises(QueryInvalid):
        node.open(wrong)
    assert len(node.vault.records) == before
