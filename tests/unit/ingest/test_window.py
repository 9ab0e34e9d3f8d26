"""What a start remembers is what the committer knew: read back from the records, and only where there is a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from audit.ingest import window
from audit.ingest.events import Sender, batches, prepare
from audit.tokens import Source
from tests.doubles import whole_node
from vault.foreign import IngestRef
from vault.policy import SYSTEM
from vault.ports import Committed, Intent
from vault.record import Actor, Origin, Tail, encode_tail
from vault.state import ingest
from vault.state.ingest import Member

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from audit.node import Node
    from vault.state.ingest import Outcome

SENDER = Sender(Actor(SYSTEM), Origin("audit"), "app", "json")


def bring(node: Node, events: Sequence[bytes]) -> Outcome:
    tail = Tail(op="ingest.batch", actor=SENDER.actor, origin=SENDER.origin, ingest=IngestRef("app", "json"))
    encoded = encode_tail(tail)
    members = [each for each in prepare(SENDER, events) if isinstance(each, Member)]
    (batch,) = batches("app", members, len(encoded), 1 << 20)
    done: list[object] = []
    node.committer.submit([Intent(tail, encoded, batch=batch)], [done.append])
    node.commit(Tail(op="bucket.list", actor=SENDER.actor, origin=SENDER.origin))  # answered after it
    (outcome,) = done
    assert isinstance(outcome, Committed)
    assert outcome.batch is not None
    return outcome.batch


def with_a_source(node: Node) -> None:
    _, key, _ = node.principals.add(SENDER.actor, "collector", ("writer",))
    node.tokens.add(SENDER.actor, key, (), 1, source=Source("app", "json"))


EVENTS = [b'{"id":"a"}', b'{"id":"a","x":1}', b'{"seq":7}', b"nameless", b'{"id":"\\u0000"}']


def test_a_start_knows_what_was_brought_before(tmp_path: Path) -> None:
    whole_node.make(tmp_path / "vault")
    with whole_node.open_node(tmp_path / "vault") as node:
        with_a_source(node)
        told = bring(node, EVENTS)
        assert (told.stored, told.conflicts) == (5, [1])
    with whole_node.open_node(tmp_path / "vault") as node:
        told = bring(node, [*EVENTS, b'{"seq":9}'])
        assert (told.duplicates, told.stored, told.gaps) == ([0, 1, 2, 4], 2, [(8, 8)])


def test_only_the_last_generations_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole_node.make(tmp_path / "vault")
    for module in (window, ingest):
        monkeypatch.setattr(module, "GENERATION", 8)
    with whole_node.open_node(tmp_path / "vault") as node:
        with_a_source(node)
        bring(node, [b'{"id":"old"}'])
        bring(node, [b'{"id":"%d"}' % number for number in range(20)])
        assert bring(node, [b'{"id":"19"}']).duplicates == [0]
    with whole_node.open_node(tmp_path / "vault") as node:
        assert bring(node, [b'{"id":"19"}']).duplicates == [0]
        assert bring(node, [b'{"id":"old"}']).stored == 1


def test_a_vault_without_a_source_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("records were read")

    monkeypatch.setattr(window, "records", never)
    whole_node.make(tmp_path / "vault")
    with whole_node.open_node(tmp_path / "vault") as node:
        with_a_source(node)
    with pytest.raises(AssertionError):
        whole_node.open_node(tmp_path / "vault")
