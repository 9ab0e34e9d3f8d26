"""Rotations that fail half way, for want of room or by a disk or journal that fails: nothing is lost."""

from __future__ import annotations

import base64
import itertools
import json
import os
from typing import TYPE_CHECKING

import pytest

from audit.config import load
from audit.errors import ConfigInvalid
from audit.init import prepare
from audit.keys.kek import open_keyring
from audit.node import Node
from vault import durable
from vault.crypto.keyring import COPIES, wrapped_by
from vault.errors import DurabilityError, KeyringError, Unavailable
from vault.policy import SYSTEM
from vault.record import Actor
from vault.state.other_rows import CustodyRow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vault.ports import Committed
    from vault.record import Tail

SETTINGS = load(None, {"STRONGROOM_LEDGER__SEGMENT_MIB": "1", "STRONGROOM_DISK__RESERVE_MIB": "0"})
WHO = Actor(SYSTEM, person="ada (uid 7)")


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STRONGROOM_KEK", raising=False)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    prepare(tmp_path / "d", profile="standard", site="site-a", node="node-1", anchor="", environ={})
    with Node.open(tmp_path / "d", SETTINGS) as opened:
        opened.principals.ensure_first(opened.layout, {})
        opened.keyring.take_or_make("ledgers", 0)
        yield opened


def reopened(node: Node) -> Node:
    node.close()
    return Node.open(node.layout.root, SETTINGS)


def rotations(node: Node) -> list[tuple[str, str, str]]:
    """Of every ``key.rotate`` record: the KEK before, the KEK after, and who."""
    found = [json.loads(data) for _, data in node.records(node.identity.stream, 0, 1 << 40)]
    return [
        (record["keys"]["before"], record["keys"]["kek"], record["actor"]["person"])
        for record in found
        if record["op"] == "key.rotate"
    ]


def settled(node: Node) -> bool:
    """Whether one KEK is left, in its place, and wraps both copies."""
    layout = node.layout
    return (
        wrapped_by(layout.keys) == {node.keyring.kek_id}
        and open_keyring(layout, {}).kek_id == node.keyring.kek_id
        and not layout.next_kek.exists()
        and not layout.unrecorded.exists()
    )


def refuse_commits(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    def commit(_: Tail) -> Committed:
        raise Unavailable("no room for the record")

    monkeypatch.setattr(node.custody, "_commit", commit)


def test_a_rotation_that_could_not_be_recorded_is_completed_by_the_same_call(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = node.keyring.kek_id
    with monkeypatch.context() as patch:
        refuse_commits(node, patch)
        with pytest.raises(Unavailable):
            node.custody.rotate(WHO)
    new = node.keyring.kek_id
    assert new != old
    assert node.layout.kek.exists()
    assert node.layout.next_kek.exists()  # either may be needed still
    done = node.custody.rotate(WHO)
    assert (done.keys.kek, done.keys.before) == (new, old)
    assert rotations(node) == [(old, new, WHO.person)]
    assert settled(node)


def test_a_rotation_that_could_not_be_recorded_is_recorded_before_a_backup_is(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = node.keyring.kek_id
    with monkeypatch.context() as patch:
        refuse_commits(node, patch)
        with pytest.raises(Unavailable):
            node.custody.rotate(WHO)
    node.custody.record_backup(WHO, node.custody.material().keys)
    assert rotations(node) == [(old, node.keyring.kek_id, WHO.person)]
    assert settled(node)
    assert (node.custody.standing().rotations, node.custody.standing().domains) == (0, 0)


def test_a_rotation_that_could_not_be_recorded_is_recorded_by_the_next_start(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = node.keyring.kek_id
    with monkeypatch.context() as patch:
        refuse_commits(node, patch)
        with pytest.raises(Unavailable):
            node.custody.rotate(WHO)
    with reopened(node) as again:
        assert rotations(again) == [(old, node.keyring.kek_id, WHO.person)]
        assert settled(again)
        assert again.keyring.domains == node.keyring.domains


@pytest.mark.parametrize(("copy", "after"), [*itertools.product(COPIES, (False, True))])
def test_a_disk_that_fails_in_the_middle_leaves_it_to_the_next_start(
    node: Node,
    monkeypatch: pytest.MonkeyPatch,
    copy: str,
    after: bool,  # noqa: FBT001 - a table's column
) -> None:
    old, real = node.keyring.kek_id, durable.replace

    def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
        if path.name != copy or after:
            real(path, data, mode)
        if path.name == copy:
            raise DurabilityError("injected")

    with monkeypatch.context() as patch:
        patch.setattr(durable, "replace", replace)
        with pytest.raises(DurabilityError):
            node.custody.rotate(WHO)
    with pytest.raises(KeyringError, match="restart"):
        node.custody.rotate(WHO)
    assert any("keyring" in warning for warning in node.status().warnings)
    with reopened(node) as again:
        changed = copy == COPIES[1] or after
        assert (again.keyring.kek_id != old) == changed
        assert len(rotations(again)) == changed
        assert settled(again)
        assert again.keyring.domains == node.keyring.domains
        before = again.keyring.kek_id
        assert again.custody.rotate(WHO).keys.before == before
        assert settled(again)


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("then", ["a restart", "a new domain key", "another rotation", "a backup"])
def test_a_full_disk_in_the_middle_loses_nothing_whatever_comes_next(
    node: Node, monkeypatch: pytest.MonkeyPatch, copy: str, then: str
) -> None:
    real, kept = durable.replace, node.keyring.domains

    def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
        if path.name == copy:
            raise Unavailable("injected")
        real(path, data, mode)

    with monkeypatch.context() as patch:
        patch.setattr(durable, "replace", replace)
        with pytest.raises(Unavailable):
            node.custody.rotate(WHO)
    if then == "a new domain key":
        kept += (node.keyring.take_or_make("notes", 0),)
    elif then == "another rotation":
        node.custody.rotate(WHO)
        assert settled(node)
    elif then == "a backup":
        node.custody.record_backup(WHO, node.custody.material().keys)
        assert settled(node)
    with reopened(node) as again:
        assert again.keyring.domains == kept
        assert settled(again)
        named = [after for _, after, _ in rotations(again)]
        assert not named or named[-1] == again.keyring.kek_id


def test_what_was_left_behind_by_a_write_cut_short_is_swept(node: Node) -> None:
    left = node.layout.keys / "kek.0123456789abcdef.tmp"
    left.write_bytes(b"a key, perhaps")
    with reopened(node):
        assert not left.exists()


def test_the_index_tells_what_the_ledger_told(node: Node) -> None:
    node.custody.record_backup(WHO, node.custody.material().keys)
    node.keyring.take_or_make("others", 0)
    node.custody.rotate(WHO)
    row = node.stores.index.get(b"c")
    assert isinstance(row, CustodyRow)
    assert (row.kek, row.principals, row.streams, row.rotations) == (node.keyring.kek_id, 1, 1, 1)
    assert (node.custody.standing().domains, node.custody.standing().rotations) == (1, 1)


def test_a_kek_that_is_none_is_refused_and_not_repeated(node: Node) -> None:
    with pytest.raises(KeyringError) as refused:
        node.custody.rotate(WHO, "hunter2222")
    assert "hunter2222" not in str(refused.value)
    with pytest.raises(ConfigInvalid, match="in use"):
        node.custody.rotate(WHO, node.layout.kek.read_text())
    assert settled(node)
    assert rotations(node) == []


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("start", ["old", "new"])
def test_a_full_disk_while_a_kek_of_the_environment_is_rotated_leaves_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy: str, start: str
) -> None:
    keks = {name: base64.b64encode(name.encode().ljust(32, b".")).decode() for name in ("old", "new")}
    monkeypatch.setenv("STRONGROOM_KEK", keks["old"])
    prepare(tmp_path / "d", profile="standard", site="site-a", node="node-1", anchor="", environ=os.environ)
    real = durable.replace

    def replace(path: Path, data: bytes, mode: int = 0o600) -> None:
        if path.name == copy:
            raise Unavailable("injected")
        real(path, data, mode)

    with Node.open(tmp_path / "d", SETTINGS) as node:
        node.principals.ensure_first(node.layout, {})
        with monkeypatch.context() as patch:
            patch.setattr(durable, "replace", replace)
            with pytest.raises(Unavailable):
                node.custody.rotate(WHO, keks["new"])
        node.custody.record_backup(WHO, node.custody.material().keys)
    begun = copy == COPIES[1]
    monkeypatch.setenv("STRONGROOM_KEK", keks[start])
    if start == "new" and not begun:
        with pytest.raises(KeyringError, match="wrapped by"):
            Node.open(tmp_path / "d", SETTINGS)
        return
    with Node.open(tmp_path / "d", SETTINGS) as again:
        assert len(rotations(again)) == (start == "new")
        assert wrapped_by(again.layout.keys) == {again.keyring.kek_id}
        assert not again.layout.unrecorded.exists()
