"""The ledger says what may be erased, whatever the index says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from audit.errors import LedgerCorrupt
from audit.matter_history import MatterHistory
from tests.doubles.memory import memory_directory
from tests.doubles.small_vault import BUCKET, SmallVault, storage_of, version_of
from vault.matters import MatterQuery, MatterRef
from vault.policy import SYSTEM
from vault.record import Actor, ObjectRef, Request
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


OFFICER = Actor(SYSTEM)
MATTER = MatterRef("0" * 16, "SEC", "letter", "legal", MatterQuery(BUCKET, prefix="a"))


def forget(vault: SmallVault) -> None:
    """Have the index know of no open matter."""
    vault.index.add([(rows.OPEN_MATTERS, None)], vault.index.applied)


def test_a_matter_that_the_index_lost_still_holds_the_bytes(vault: SmallVault) -> None:
    vault.do("matter.open", actor=OFFICER, matter=MATTER)
    put = vault.put("a", kind="blob")
    forget(vault)
    vault.delete("a", version_of(put))
    refuses(vault, put.head.seq, "its lock forbids it (legal_hold)")


def test_what_was_removed_before_a_matter_was_opened_and_after_its_end_goes(vault: SmallVault) -> None:
    early, late, other = vault.put("a1"), vault.put("a2"), vault.put("b")
    vault.delete("a1", version_of(early))
    vault.do("matter.open", actor=OFFICER, matter=MATTER)
    vault.delete("b", version_of(other))
    vault.do("matter.close", actor=OFFICER, matter=MatterRef("0" * 16, reason="settled"))
    vault.delete("a2", version_of(late))
    vault.do("matter.open", actor=OFFICER, matter=msgspec.structs.replace(MATTER, id="1" * 16))
    vault.settle()
    assert vault.eraser.step()
    assert sorted(vault.erased()) == sorted(put.head.seq for put in (early, late, other))


def test_the_ledger_is_asked_for_matters_once_and_then_only_for_what_is_new(vault: SmallVault) -> None:
    vault.do("matter.open", actor=OFFICER, matter=MATTER)
    read: list[int] = []

    def reading(first: int, end: int) -> Iterator[tuple[int, bytes]]:
        for seq, record in list(enumerate(vault.records()))[first:end]:
            read.append(seq)
            yield seq, record

    told = MatterHistory(reading)
    opened = next(seq for seq, record in enumerate(vault.records()) if b'"op":"matter.open"' in record)
    assert told.open_at(opened) == []
    assert [matter.id for matter in told.open_at(opened + 1)] == [MATTER.id]
    assert told.open_at(opened) == []  # as of then
    closed = vault.do("matter.close", actor=OFFICER, matter=MatterRef(MATTER.id, reason="settled")).head.seq
    assert [matter.id for matter in told.open_at(closed)] == [MATTER.id]
    assert told.open_at(closed + 1) == []
    assert read == list(range(closed + 1))


def test_a_matter_that_cannot_be_read_ends_the_pass(vault: SmallVault) -> None:
    vault.do("matter.open", actor=OFFICER, matter=MATTER)
    record = vault.records()[-1].replace(b"matter.open", b"matter.close")
    with pytest.raises(LedgerCorrupt, match="record 0: what it says of a matter cannot be"):
        MatterHistory(lambda *_: [(0, record)]).open_at(1)
