"""The ledger says what may be erased, whatever the index says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from tests.doubles.memory import memory_directory
from tests.doubles.small_vault import BUCKET, SmallVault, storage_of, version_of
from vault.record import ObjectRef, Request
from vault.state import lookup, rows
from vault.state.rows import GarbageRow, VersionRow
from vault.times import DAY_NS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vault.ports import Committed


@pytest.fixture
def vault() -> Iterator[SmallVault]:
    with memory_directory() as directory:
        vault = SmallVault(directory)
        yield vault
        vault.stop()


def lie(vault: SmallVault, key: str, **fields: object) -> None:
    """Change what the index says of a key's current version."""
    found = lookup.key_row(vault.index, BUCKET, key)
    assert found is not None
    assert found.current is not None
    row = msgspec.structs.replace(found.current, **fields)
    changed = msgspec.structs.replace(found, current=row)
    where = rows.version_key(BUCKET, key, row.ordinal)
    vault.index.add([(where, row), (rows.key_key(BUCKET, key), changed)], vault.index.applied)


def refuses(vault: SmallVault, seq: int, reason: str) -> None:
    blobs = vault.blob_files()
    vault.settle()
    vault.eraser.step()
    assert reason in (vault.eraser.refused | vault.eraser.locked)[seq]
    assert seq in vault.packs
    assert vault.blob_files() == blobs
    assert seq not in vault.erased()
    assert seq in vault.garbage()
    assert not vault.eraser.step()  # and does not look again


def test_a_lock_that_the_index_lost_still_holds_the_bytes(vault: SmallVault) -> None:
    put = vault.put("a", vault.clocks.until(900), kind="blob")
    lie(vault, "a", mode="", until=0)
    vault.delete("a", version_of(put))
    refuses(vault, put.head.seq, "its lock forbids it (retention)")


def test_a_lengthened_retention_that_the_index_lost_still_holds_the_bytes(vault: SmallVault) -> None:
    put = vault.put("a", vault.clocks.until(1))
    longer = Request(mode="COMPLIANCE", until=vault.clocks.until(900).until)
    vault.do("object.retention.put", object=ObjectRef(BUCKET, "a"), request=longer)
    vault.clocks.now += 2 * DAY_NS
    lie(vault, "a", until=vault.clocks.now - 1)
    vault.delete("a", version_of(put))
    refuses(vault, put.head.seq, "its lock forbids it (retention)")


def test_a_legal_hold_that_the_index_lost_still_holds_the_bytes(vault: SmallVault) -> None:
    put = vault.put("a")
    vault.do("object.hold.put", object=ObjectRef(BUCKET, "a"), request=Request(hold=True))
    lie(vault, "a", hold=False)
    vault.delete("a", version_of(put))
    refuses(vault, put.head.seq, "its lock forbids it (legal_hold)")


def test_a_bypass_opens_no_compliance_lock(vault: SmallVault) -> None:
    put = vault.put("a", vault.clocks.until(900))
    lie(vault, "a", mode="GOVERNANCE")
    vault.delete("a", version_of(put), bypass=True)
    refuses(vault, put.head.seq, "its lock forbids it (retention)")


def claim(vault: SmallVault, put: Committed, by: int, **fields: object) -> int:
    """Have the index call a body garbage."""
    assert isinstance(put.row, VersionRow)
    row = GarbageRow(by, BUCKET, "a", put.head.seq, put.row.ordinal, put.row.version_id, put.row.storage)
    row = msgspec.structs.replace(row, **fields)
    vault.index.add([(rows.garbage_key(row.seq), row)], vault.index.applied)
    return row.seq


def test_a_version_that_nobody_removed_stays(vault: SmallVault) -> None:
    put, other = vault.put("a"), vault.put("b")
    deleted = vault.delete("b", version_of(other))
    refuses(vault, claim(vault, put, deleted.head.seq), f"record {deleted.head.seq} did not remove it")


def test_a_denied_removal_removed_nothing(vault: SmallVault) -> None:
    put = vault.put("a", vault.clocks.until(900))
    with pytest.raises(Exception, match="Access Denied"):
        vault.delete("a", version_of(put))
    by = vault.log.durable_end - 1
    refuses(vault, claim(vault, put, by), f"record {by} did not remove it")


def test_a_delete_marker_removed_nothing(vault: SmallVault) -> None:
    put = vault.put("a")
    marker = vault.delete("a", "")
    refuses(vault, claim(vault, put, marker.head.seq), f"record {marker.head.seq} did not remove it")


def test_a_removed_delete_marker_removed_nothing_else(vault: SmallVault) -> None:
    put = vault.put("a")
    marker = vault.delete("a", "")
    by = vault.delete("a", version_of(marker)).head.seq
    refuses(vault, claim(vault, put, by), f"record {by} did not remove it")


def test_another_version_of_the_key_stays(vault: SmallVault) -> None:
    old, new = vault.put("a"), vault.put("a")
    by = vault.delete("a", version_of(new)).head.seq
    vault.settle()
    assert vault.eraser.step()
    assert vault.erased() == [new.head.seq]
    claim(vault, old, by)
    assert not vault.eraser.step()
    assert f"record {by} did not remove it" in vault.eraser.refused[old.head.seq]
    assert old.head.seq in vault.packs


def test_a_removal_cannot_come_before_what_it_removed(vault: SmallVault) -> None:
    put = vault.put("a")
    refuses(vault, claim(vault, put, put.head.seq - 1), "its removal does not come after its creation")


def test_bytes_kept_elsewhere_than_the_record_says_stay(vault: SmallVault) -> None:
    kept, gone = vault.put("b", kind="blob"), vault.put("a", kind="blob")
    by = vault.delete("a", version_of(gone)).head.seq
    lying = msgspec.structs.replace(storage_of(gone), blob=storage_of(kept).blob)
    refuses(vault, claim(vault, gone, by, storage=lying), "says it is kept elsewhere")


def test_a_body_of_another_key_stays(vault: SmallVault) -> None:
    gone, kept = vault.put("a"), vault.put("b")
    by = vault.delete("a", version_of(gone)).head.seq
    vault.settle()
    claim(vault, kept, by)  # says it is of key a
    assert vault.eraser.step()
    assert vault.erased() == [gone.head.seq]
    assert f"record {kept.head.seq} did not make it" in vault.eraser.refused[kept.head.seq]
    assert kept.head.seq in vault.packs


def test_a_live_part_stays(vault: SmallVault) -> None:
    upload, parts = vault.upload("a", 2)
    done = vault.complete("a", upload, parts)
    part = next(lookup.parts(vault.index, upload))
    row = GarbageRow(done.head.seq, BUCKET, "a", part.seq, 0, "", part.storage)
    vault.index.add([(rows.garbage_key(part.seq), row)], vault.index.applied)
    refuses(vault, part.seq, f"record {done.head.seq} did not remove it")


def test_a_body_that_the_index_calls_a_part_and_is_none_stays(vault: SmallVault) -> None:
    kept = vault.put("b")
    upload, parts = vault.upload("a", 2)
    done = vault.complete("a", upload, parts)
    where = rows.part_key(upload, 1)
    part = vault.index.get(where)
    vault.index.add([(where, msgspec.structs.replace(part, seq=kept.head.seq))], vault.index.applied)  # type: ignore[type-var]
    vault.delete("a", version_of(done))
    refuses(vault, done.head.seq, f"record {kept.head.seq} made no part of it")
    assert kept.head.seq in vault.packs
