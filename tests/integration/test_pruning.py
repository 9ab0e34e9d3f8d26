"""Pruning: what goes, what stays, what people are told then, and what a verifier makes of it."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from audit.control.direct import NodeControl
from audit.errors import RecordPruned
from audit.index_check import check_index
from audit.ledger import SettledLedger
from audit.production.bag import ProductionFailed
from audit.production.question import Question as Production
from audit.pruning import digest
from audit.query.filter import condition
from audit.query.records import Question
from audit.verify.exported import parse_bundle
from tests.doubles.aged_vault import BUCKET, SERVER, AgedVault, checked, lived, named
from tests.doubles.memory import memory_directory
from tests.doubles.produced import produce
from tests.doubles.whole_node import HERE
from tests.integration.served import command
from vault.matters import MatterQuery, MatterRef
from vault.record import ObjectRef, decode
from vault.retention import MIN_RECORD_DAYS
from vault.times import DAY_NS, NS, parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def root() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory / "v"


def records(vault: AgedVault) -> dict[int, bytes]:
    return dict(vault.node.history.read(0))


def test_what_changed_nothing_and_names_nothing_locked_goes_and_all_else_stays(root: Path) -> None:
    vault = AgedVault(root)
    for op in ("production.list", "production.read", "production.complete", "server.reload", "ledger.backup"):
        vault.do(op)
    assert vault.do("object.put", object=ObjectRef("none", "key")).error is not None
    lived(root, vault)
    before = records(vault)
    old = [end for _, end in vault.node.stores.settled.spans[:-1]]
    pruned = vault.prune()
    after = records(vault)
    gone = {seq for seq, record in before.items() if not after[seq]}
    assert {seq: record for seq, record in after.items() if seq in before and record} == {
        seq: record for seq, record in before.items() if seq not in gone
    }
    goes = {seq for seq, record in before.items() if goes_by_the_rule(seq, record, old)}
    assert gone == goes
    assert pruned == len(gone) > 300
    assert vault.prune() == 0
    vault.close()


def goes_by_the_rule(seq: int, record: bytes, ends: list[int]) -> bool:
    """The rule in other words: a look, a refusal or a clock reading, old, of nothing that is locked."""
    op, key = named(record)
    goes = op in {"object.head", "bucket.list", "clock.status", "production.list"} or (op, key) == ("object.put", "key")
    return goes and key != "locked" and seq < ends[-1] and seq + 1 not in ends


def test_answers_lack_what_is_gone_and_a_record_that_is_says_so(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = lived(root)
    asking = vault.node.asking
    everything = Question([("op", "object.head")], "x", 1000, "asc", total=True)
    assert asking.ask(SERVER, HERE, everything).total == 3 * 210
    vault.prune()
    page = asking.ask(SERVER, HERE, everything)
    left = [seq for seq, record in records(vault).items() if record and named(record)[0] == "object.head"]
    assert [found.seq for found in page.records] == left
    assert page.total == len(left) == 3 * 70
    gone = next(seq for seq, record in records(vault).items() if not record)
    with pytest.raises(RecordPruned, match=f"record {gone} was pruned"):
        asking.found(gone)
    rebuilt = leaves(vault)
    monkeypatch.setattr("audit.query.view.BATCH_RECORDS", 40)  # some of which are all pruned
    vault.node.view.distrust("to be built again")
    assert leaves(vault) == rebuilt
    vault.close()


def test_what_the_view_was_not_told_of_is_left_out_until_the_next_pass_tells_it(root: Path) -> None:
    vault = lived(root)
    everything = Question([("op", "object.head")], "x", 1000, "asc", total=True)
    vault.node.asking.ask(SERVER, HERE, everything)
    with mock.patch.object(vault.node.view, "forget"):  # as after a crash before it could be told
        vault.prune()
    page = vault.node.asking.ask(SERVER, HERE, everything)
    left = [seq for seq, record in records(vault).items() if record and named(record)[0] == "object.head"]
    assert ([found.seq for found in page.records], page.total) == (left, 3 * 210)
    vault.prune()
    assert vault.node.asking.ask(SERVER, HERE, everything).total == 3 * 70
    vault.close()


def leaves(vault: AgedVault) -> list[tuple[int, bytes]]:
    while vault.node.view.step():
        pass
    end = 700
    return vault.node.view.select("position, leaf", condition([]).within("position < ?", end), "ORDER BY position")


def test_it_verifies_and_a_start_makes_the_same_index_of_what_is_left(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vault = lived(root)
    pruned = vault.prune()
    now = vault.close()
    code, report = checked(root, capsys)
    assert (code, report["findings"]) == (0, [])
    (state,) = report["states"]
    assert state["name"] == "pruned"
    assert state["detail"].startswith(f"of {pruned} records only the hashes are left, as 3 ")
    again = AgedVault(root, now)
    control = NodeControl(again.node, SERVER)
    assert check_index(again.node.layout, again.node.identity, control, 0).problem == ""
    again.close()


def test_an_open_matter_keeps_the_records_of_what_it_describes_also_of_what_is_gone(root: Path) -> None:
    vault = lived(root)
    query = MatterQuery(bucket=BUCKET, prefix="no")
    vault.do("matter.open", matter=MatterRef("0" * 16, "name", "reason", "owner", query))
    vault.prune()
    keys = [named(record)[1] for record in records(vault).values() if record and named(record)[0] == "object.head"]
    assert keys.count("none") == 3 * 70
    assert not any(key.startswith("free") for key in keys)
    vault.do("matter.open", matter=MatterRef("1" * 16, "name", "reason", "owner", MatterQuery(vault=True)))
    vault.do("matter.close", matter=MatterRef("0" * 16, reason="over"))
    assert vault.prune() == 0
    vault.do("matter.close", matter=MatterRef("1" * 16, reason="over"))
    assert vault.prune() == 3 * 70
    vault.close()


def test_what_is_held_before_the_record_of_the_pruning_stays_and_nothing_goes_before_it_is_signed(root: Path) -> None:
    vault = lived(root)
    before = records(vault)
    vault.published = 0
    assert vault.pruner.step()
    assert vault.pruner.step()
    assert not vault.pruner.step()  # recorded, and not under a checkpoint
    vault.do("matter.open", matter=MatterRef("0" * 16, "name", "reason", "owner", MatterQuery(vault=True)))
    vault.published = 1 << 40
    assert vault.pruner.step()
    assert vault.pruner.pruned == 0
    assert {seq: record for seq, record in records(vault).items() if seq in before} == before
    vault.close()


def test_while_a_backup_copies_nothing_goes(root: Path) -> None:
    vault = lived(root)
    hold = vault.node.stores.holds.take()
    vault.published = 1 << 40
    assert vault.pruner.step()
    assert vault.pruner.step()
    assert not vault.pruner.step()
    vault.node.stores.holds.release(hold)
    assert vault.pruner.step()
    assert vault.pruner.pruned > 0
    vault.close()


def test_too_young_records_stay_to_the_second(root: Path) -> None:
    vault = AgedVault(root)
    vault.look("none", 200)
    vault.settle()
    last = max(decode(record)[0].clock for record in records(vault).values())
    vault.clocks.now = parse_rfc3339(last) + MIN_RECORD_DAYS * DAY_NS - NS
    vault.settle()
    vault.look("none")
    vault.settle()
    assert vault.prune() == 0
    vault.clocks.now += NS
    assert vault.prune() > 150
    vault.close()


def test_an_exported_log_verifies_with_empty_entries_for_what_is_gone(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vault = lived(root)
    pruned = vault.prune()
    vault.close()
    target = root.parent / "exported"
    done = command("log", "export", "site-a.node-1", target, "--data", root)
    assert done.returncode == 0, done.stderr
    code, report = checked(target, capsys)
    assert (code, report["findings"]) == (0, [])
    assert f"of {pruned} records only the hashes are left" in report["states"][0]["detail"]
    bundle = target / "tile" / "entries" / "000"
    entries = parse_bundle(bundle.read_bytes(), "bundle")
    entries[next(at for at, entry in enumerate(entries) if entry and b'"object.put"' in entry)] = b""
    bundle.write_bytes(b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries))
    code, report = checked(target, capsys)
    assert code == 1
    assert any("others were to be pruned" in finding["why"] for finding in report["findings"])


def test_a_production_of_a_time_of_which_records_are_gone_says_what_can_be_done(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vault = lived(root)
    vault.prune()
    asked = Production("audit", BUCKET)
    with pytest.raises(ProductionFailed, match="--only-matching"):
        produce(vault.node, SERVER, HERE, asked, root.parent / "whole")
    only = Production("audit", BUCKET, only_matching=True)
    made = produce(vault.node, SERVER, HERE, only, root.parent / "some")
    assert made.versions == 6
    vault.close()
    code, report = checked(root.parent / "some", capsys)
    assert (code, report["findings"]) == (0, [])


def test_backups_before_and_after_it_restore_to_what_verifies(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault = lived(root)
    now = vault.close()
    target, other = root.parent / "backup", root.parent / "restored"
    assert command("backup", target, "--data", root).returncode == 0
    vault = AgedVault(root, now)
    assert vault.prune() > 0
    left = records(vault)
    vault.close()
    done = command("backup", target, "--data", root)
    assert done.returncode == 0, done.stderr
    done = command("restore", target, "--data", other)
    assert done.returncode in {0, 1}, done.stderr  # 1: it says what its anchor knows
    code, report = checked(other, capsys)
    assert (code, report["findings"]) == (0, [])
    settled = SettledLedger(other / "streams" / "site-a.node-1" / "ledger")
    assert dict(settled.iterate(0)) == {seq: left[seq] for seq in range(settled.end)}


def test_record_and_verifier_agree_on_which_are_gone() -> None:
    seqs = frozenset({512, 513, 600, 767})
    bits = bytearray(32)
    for seq in seqs:
        bits[(seq - 512) // 8] |= 1 << (seq % 8)
    assert digest(seqs, 512, 768) == sha256(bits).hexdigest()
