"""The eraser destroys what the ledger says was removed and may go: all of it, and nothing else."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from audit import eraser as module
from tests.doubles.memory import memory_directory
from tests.doubles.small_vault import BUCKET, SmallVault, storage_of, version_of
from tests.readme import ROOT
from vault.errors import KeyringError
from vault.record import LockRef, ObjectRef, Request, decode
from vault.state import lookup, rows
from vault.times import DAY_NS, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def vault() -> Iterator[SmallVault]:
    with memory_directory() as directory:
        vault = SmallVault(directory)
        yield vault
        vault.stop()


def test_the_bytes_of_a_deleted_version_go_and_a_record_says_so(vault: SmallVault) -> None:
    gone, kept = vault.put("a"), vault.put("b")
    length = storage_of(gone).sealed + storage_of(gone).length
    body = vault.log.read(gone.head.seq, 0, length)
    assert body is not None
    vault.delete("a", version_of(gone))
    vault.settle()
    assert vault.packs.read(gone.head.seq, 0, length) == body
    assert vault.eraser.step()
    assert gone.head.seq not in vault.packs
    assert kept.head.seq in vault.packs
    assert [path for path in vault.root.rglob("*") if path.is_file() and body[:64] in path.read_bytes()] == []
    assert vault.garbage() == {}
    head, tail = decode(vault.records()[-1])
    assert (head.outcome, tail.op, tail.actor.id, tail.origin.via) == ("success", "object.erased", "system", "server")
    assert tail.object == ObjectRef(BUCKET, "a", version_of(gone))
    assert tail.ref == gone.head.seq
    assert not vault.eraser.step()


def test_it_waits_for_the_checkpoint_that_covers_the_removal(vault: SmallVault) -> None:
    gone = vault.put("a")
    by = vault.delete("a", version_of(gone)).head.seq
    vault.settle()
    vault.published = by
    assert not vault.eraser.step()
    assert (vault.eraser.backlog, vault.eraser.erased) == (1, 0)
    assert gone.head.seq in vault.packs
    vault.published = by + 1
    assert vault.eraser.step()
    assert gone.head.seq not in vault.packs
    assert not vault.eraser.step()
    assert (vault.eraser.backlog, vault.eraser.erased) == (0, 1)


def test_it_waits_until_the_commit_log_has_forgotten_the_bytes(vault: SmallVault) -> None:
    gone = vault.put("a")
    vault.delete("a", version_of(gone))
    assert not vault.eraser.step()
    vault.settle()
    assert vault.eraser.step()


def test_it_waits_for_readers(vault: SmallVault) -> None:
    gone = vault.put("a")
    reading = vault.do("object.get", object=ObjectRef(BUCKET, "a"))
    vault.delete("a", version_of(gone))
    vault.settle()
    assert not vault.eraser.step()
    assert gone.head.seq in vault.packs
    reading.release()
    while vault.settler.step():
        pass
    assert vault.eraser.step()


def test_a_null_version_that_was_replaced_goes(vault: SmallVault) -> None:
    vault.bucket("plain")
    old, new = vault.put("a", bucket="plain"), vault.put("a", bucket="plain")
    vault.settle()
    assert vault.eraser.step()
    assert vault.erased() == [old.head.seq]
    assert new.head.seq in vault.packs


def test_a_blob_goes_with_its_sealed_document(vault: SmallVault) -> None:
    gone, kept = vault.put("a", kind="blob"), vault.put("b", kind="blob")
    vault.delete("a", version_of(gone))
    vault.settle()
    assert vault.eraser.step()
    assert vault.blob_files() == {storage_of(kept).blob}
    assert gone.head.seq not in vault.packs


def test_a_blob_goes_at_once_and_its_record_is_made_when_the_rest_has_gone(
    vault: SmallVault,
) -> None:
    gone, kept = vault.put("a", kind="blob"), vault.put("b", kind="blob")
    small = vault.put("c")
    by = vault.delete("a", version_of(gone)).head.seq
    vault.delete("c", version_of(small))
    vault.published = by
    assert not vault.eraser.step()  # no checkpoint covers the removal
    assert len(vault.blob_files()) == 2
    vault.published = None
    assert vault.eraser.step()
    assert vault.blob_files() == {storage_of(kept).blob}
    assert gone.head.seq in vault.garbage()
    assert vault.erased() == []
    assert not vault.eraser.step()  # what is left to do can only be done later
    vault.settle()
    assert vault.eraser.step()
    assert vault.erased() == [gone.head.seq, small.head.seq]


def test_blobs_of_parts_go_at_once_and_not_while_one_of_them_is_read(vault: SmallVault) -> None:
    upload, parts = vault.upload("a", 4)
    done = vault.complete("a", upload, parts)
    vault.delete("a", version_of(done))
    reading = vault.leases.take(parts[2])
    assert not vault.eraser.step()
    assert len(vault.blob_files()) == 2
    reading()
    assert vault.eraser.step()
    assert vault.blob_files() == set()
    vault.settle()
    while vault.eraser.step():
        pass
    assert done.head.seq in vault.erased()
    assert not any(seq in vault.packs for seq in (*parts, done.head.seq))


def test_all_parts_go_with_a_multipart_version_those_it_left_out_too(vault: SmallVault) -> None:
    lock = vault.clocks.until(2)
    upload, parts = vault.upload("a", 4, lock)
    other, other_parts = vault.upload("b", 2, lock)
    done = vault.complete("a", upload, parts[:3], lock)
    vault.complete("b", other, other_parts, lock)
    vault.clocks.now += 3 * DAY_NS
    vault.delete("a", version_of(done))
    vault.settle()
    assert len(vault.blob_files()) == 3
    assert vault.eraser.step()
    assert sorted(vault.erased()) == sorted([vault.opened[upload], vault.opened[other], done.head.seq])
    assert not any(seq in vault.packs for seq in [*parts, done.head.seq])
    assert all(seq in vault.packs for seq in other_parts)
    assert len(vault.blob_files()) == 1
    assert list(lookup.parts(vault.index, upload)) == []


def test_a_reader_of_one_part_holds_them_all(vault: SmallVault) -> None:
    upload, parts = vault.upload("a", 2)
    done = vault.complete("a", upload, parts)
    vault.delete("a", version_of(done))
    vault.settle()
    release = vault.leases.take(parts[1])
    vault.eraser.step()
    assert vault.erased() == [vault.opened[upload]]
    assert vault.eraser.refused == {}
    release()
    assert vault.eraser.step()
    assert vault.erased() == [vault.opened[upload], done.head.seq]


def test_parts_of_an_aborted_upload_and_replaced_parts_go(vault: SmallVault) -> None:
    upload, parts = vault.upload("a", 3, vault.clocks.until(900))
    newer = vault.part("a", upload, 2)
    vault.settle()
    assert vault.eraser.step()
    assert vault.erased() == [parts[1]]
    vault.do("multipart.abort", object=ObjectRef(BUCKET, "a", upload_id=upload))
    vault.settle()
    assert vault.eraser.step()
    assert sorted(vault.erased()) == sorted([vault.opened[upload], *parts, newer])
    assert vault.blob_files() == set()


def test_a_governance_lock_that_was_bypassed_holds_no_bytes(vault: SmallVault) -> None:
    lock = LockRef("GOVERNANCE", rfc3339(vault.clocks.now + 900 * DAY_NS))
    gone = vault.put("a", lock)
    vault.delete("a", version_of(gone), bypass=True)
    vault.settle()
    assert vault.eraser.step()
    assert gone.head.seq not in vault.packs


def test_an_expired_lock_holds_no_bytes(vault: SmallVault) -> None:
    gone = vault.put("a", vault.clocks.until(2))
    named = ObjectRef(BUCKET, "a")
    vault.do(
        "object.retention.put", object=named, request=Request(mode="COMPLIANCE", until=vault.clocks.until(5).until)
    )
    vault.clocks.now += 6 * DAY_NS
    vault.delete("a", version_of(gone))
    vault.settle()
    assert vault.eraser.step()


# --- domain keys ---------------------------------------------------------------------------------------------------


def known(vault: SmallVault, domain: str) -> bool:
    try:
        vault.keyring.get(domain)
    except KeyringError:
        return False
    return True


def test_a_domain_key_goes_with_its_last_version_once_its_month_is_over(vault: SmallVault) -> None:
    first, last = vault.put("a", vault.clocks.until(2)), vault.put("b", vault.clocks.until(2))
    domain = storage_of(first).domain
    assert storage_of(last).domain == domain
    vault.clocks.now += 3 * DAY_NS
    vault.delete("a", version_of(first))
    vault.settle()
    assert vault.eraser.step()
    assert known(vault, domain)
    vault.clocks.now += 30 * DAY_NS
    spare = vault.put("c")
    vault.delete("c", version_of(spare))
    vault.settle()
    assert vault.eraser.step()
    assert known(vault, domain)  # "b" is under it
    vault.delete("b", version_of(last))
    vault.settle()
    assert vault.eraser.step()
    assert not known(vault, domain)
    assert known(vault, storage_of(spare).domain)  # of what has no retention


def test_a_domain_key_whose_month_is_not_over_stays_and_goes_later(vault: SmallVault) -> None:
    put = vault.put("a", vault.clocks.until(2))
    vault.clocks.now += 3 * DAY_NS
    vault.delete("a", version_of(put))
    vault.settle()
    assert vault.eraser.step()
    assert known(vault, storage_of(put).domain)
    vault.clocks.now += 30 * DAY_NS
    other = vault.put("b")
    vault.delete("b", version_of(other))
    vault.settle()
    assert vault.eraser.step()
    assert not known(vault, storage_of(put).domain)


def test_a_domain_key_that_bytes_waiting_to_be_erased_are_under_stays(vault: SmallVault) -> None:
    put, other = vault.put("a", vault.clocks.until(2)), vault.put("b", vault.clocks.until(2))
    vault.clocks.now += 40 * DAY_NS
    by = vault.delete("a", version_of(put)).head.seq
    vault.delete("b", version_of(other))
    vault.settle()
    vault.published = by + 1
    assert vault.eraser.step()
    assert vault.erased() == [put.head.seq]
    assert known(vault, storage_of(put).domain)
    vault.published = None
    assert vault.eraser.step()
    assert not known(vault, storage_of(put).domain)


def test_a_domain_key_that_only_the_ledger_knows_a_use_of_stays(vault: SmallVault) -> None:
    put, kept = vault.put("a", vault.clocks.until(2)), vault.put("b", vault.clocks.until(2))
    longer = Request(mode="COMPLIANCE", until=vault.clocks.until(900).until)
    vault.do("object.retention.put", object=ObjectRef(BUCKET, "b"), request=longer)
    vault.clocks.now += 40 * DAY_NS
    vault.delete("a", version_of(put))
    vault.settle()
    vault.index.add([(rows.version_key(BUCKET, "b", 1), None), (rows.key_key(BUCKET, "b"), None)], vault.index.applied)
    assert vault.eraser.step()
    assert put.head.seq not in vault.packs
    assert known(vault, storage_of(kept).domain)


@pytest.mark.parametrize("end", ["complete", "abort"])
def test_an_ended_upload_keeps_no_domain_key(vault: SmallVault, end: str) -> None:
    lock = vault.clocks.until(2)
    upload, parts = vault.upload("a", 3, lock)
    put = vault.put("b", lock)
    domain = storage_of(put).domain
    vault.clocks.now += 40 * DAY_NS
    vault.delete("b", version_of(put))
    vault.settle()
    assert vault.eraser.step()
    assert known(vault, domain)
    if end == "complete":
        vault.delete("a", version_of(vault.complete("a", upload, parts[:2], lock)))
    else:
        vault.do("multipart.abort", object=ObjectRef(BUCKET, "a", upload_id=upload))
    vault.eraser._suspects = {domain}  # as after a restart
    vault.settle()
    assert vault.eraser.step()
    assert not any(seq in vault.packs for seq in parts)
    assert not known(vault, domain)


# --- passes --------------------------------------------------------------------------------------------------------


def test_a_pass_takes_a_bounded_number_of_rows(vault: SmallVault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ROWS", 2)
    for key in "abc":
        vault.delete(key, version_of(vault.put(key)))
    vault.settle()
    assert [vault.eraser.step() for _ in range(3)] == [True, True, False]
    assert len(vault.erased()) == 3


def test_a_pass_is_followed_by_rest(vault: SmallVault) -> None:
    vault.eraser._rest = 1e6
    for key in "ab":
        vault.delete(key, version_of(vault.put(key)))
        vault.settle()
        assert vault.eraser.step() == (key == "a")


def test_only_the_eraser_and_the_pruner_make_tokens_each_its_own() -> None:
    product = [path for name in ("vault", "audit", "exporters") for path in (ROOT / name).rglob("*.py")]
    making = {
        str(path.relative_to(ROOT))
        for path in product
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name == "covers"
    }
    assert making == {"vault/storage/token.py", "audit/eraser.py", "audit/pruning.py"}
    importing = {path.name for path in product if "_Token" in path.read_text()}
    assert importing == {"eraser.py", "pruning.py"}
