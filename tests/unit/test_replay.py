from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from audit.blob_names import named_blobs
from audit.errors import LedgerCorrupt
from audit.ledger import SettledLedger
from audit.replay import last_clock_state, replay
from tests.doubles.commitlog import Builder, leaf
from tests.doubles.memory import memory_directory
from vault import durable
from vault.record import (
    SUCCESS,
    Actor,
    BucketConfig,
    ClockState,
    Head,
    LedgerRef,
    ObjectRef,
    Origin,
    Storage,
    Tail,
    VersionRef,
    encode_tail,
    splice,
)
from vault.state import rows
from vault.storage.index import Index
from vault.times import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

START = parse_rfc3339("2026-11-22T12:00:00Z")
STATE = ClockState(credited=5, lag=7, grants=((0, 3),))


class Log(Builder):
    """A commit log of chosen records, with an empty settled ledger and an index beside it."""

    def add(
        self, op: str, *, v: int = 1, version: VersionRef | None = None, outcome: str = SUCCESS, **fields: Any
    ) -> None:
        seq = self.log.durable_end
        instant = rfc3339(START + seq)
        head = Head(
            v=v,
            stream="s",
            seq=seq,
            prev=self.prev.hex(),
            time=instant,
            clock=instant,
            outcome=outcome,
            version=version,
        )
        data = splice(head, encode_tail(Tail(op=op, actor=Actor("system"), origin=Origin("server"), **fields)))
        self.prev = leaf(data)
        self.log.append(self.log.room(len(data) + 8), seq, [(data, ())])

    def clock(self) -> tuple[ClockState | None, int] | None:
        return last_clock_state(self.settled, self.log)

    @property
    def settled(self) -> SettledLedger:
        durable.make_dirs(self.root / "ledger")
        return SettledLedger(self.root / "ledger")


@pytest.fixture
def log() -> Iterator[Log]:
    with memory_directory() as directory:
        made = Log(directory / "a")
        made.open()
        yield made
        made.log.close()


def test_an_empty_ledger_has_no_clock(log: Log) -> None:
    assert log.clock() is None


def test_the_newest_account_comes_with_the_newest_records_clock(log: Log) -> None:
    log.add("ledger.start", clock_state=ClockState(credited=1, lag=1))
    log.add("clock.status", clock_state=STATE)
    log.add("bucket.list")
    assert log.clock() == (STATE, START + 2)


def test_a_crash_at_the_first_start_leaves_a_clock_without_an_account(log: Log) -> None:
    log.add("ledger.open", ledger=LedgerRef(vault="v"))
    log.add("ledger.recover", ledger=LedgerRef(quarantined="x"))
    assert log.clock() == (None, START + 1)


def test_other_records_without_any_account_are_refused(log: Log) -> None:
    log.add("ledger.open", ledger=LedgerRef(vault="v"))
    log.add("bucket.list")
    with pytest.raises(LedgerCorrupt, match="no record holds the compliance clock's account"):
        log.clock()


def test_text_that_looks_like_an_account_is_none(log: Log) -> None:
    log.add("clock.status", clock_state=STATE)
    log.add("bucket.head", object=ObjectRef('"clock_state":{"credited":99,"lag":0}', '"op":"ledger.'))
    assert log.clock() == (STATE, START + 1)


def test_an_account_that_cannot_be_read_is_damage(log: Log) -> None:
    log.add("clock.status", v=2, clock_state=STATE)
    with pytest.raises(LedgerCorrupt, match="schema version 2"):
        log.clock()


def test_the_index_is_rebuilt_from_where_it_was_synced(log: Log) -> None:
    index = Index(log.root / "index")
    for number in range(3):
        log.add("bucket.create", object=ObjectRef(f"b{number}"), bucket=BucketConfig(lock=True))
    replay(index, log.settled, log.log)
    assert index.sync() == 3
    index.close()
    log.add("bucket.delete", object=ObjectRef("b0"))
    log.add("bucket.create", outcome="denied", object=ObjectRef("b9"))
    again = Index(log.root / "index")
    replay(again, log.settled, log.log)
    assert again.applied == 5
    assert [key for key, _ in again.scan(b"b", b"c")] == [b"bb1", b"bb2"]
    again.close()


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"op": "bucket.list", "v": 2}, "schema version 2"),
        ({"op": "object.shred"}, "newer version of this software"),
        ({"op": "object.hold.put", "object": ObjectRef("b", "k"), "matters": ["m"]}, "newer version of this software"),
        ({"op": "bucket.lock.put", "object": ObjectRef("b")}, "bucket does not exist"),
        ({"op": "object.put", "object": ObjectRef("b", "k")}, "makes a version but names none"),
        ({"op": "multipart.create", "object": ObjectRef("b", "k")}, "without a content document"),
    ],
)
def test_a_record_that_is_not_understood_stops_the_start_and_is_named(
    log: Log, fields: dict[str, Any], problem: str
) -> None:
    log.add("ledger.open")
    log.add(**fields)
    index = Index(log.root / "index")
    with pytest.raises(LedgerCorrupt, match=f"record 1: .*{problem}"):
        replay(index, log.settled, log.log)
    index.close()


def test_blobs_count_while_a_version_a_part_or_the_erasers_list_names_them(log: Log) -> None:
    index = Index(log.root / "index")

    def stored(name: str) -> Storage:
        return Storage(1, "blob", "d", "a" * 32, 0, 1, 1, "b" * 64, name)

    log.add("bucket.create", object=ObjectRef("b"), bucket=BucketConfig(lock=True))
    for ordinal, name in enumerate(("kept", "removed"), 1):
        version = VersionRef(ordinal, rows.version_id(ordinal, "c" * 64), "c" * 64)
        log.add("object.put", version=version, object=ObjectRef("b", "k", size=1), storage=stored(name))
    log.add("object.delete", version=version, object=ObjectRef("b", "k", version.version_id))
    log.add("multipart.part", object=ObjectRef("b", "k", upload_id="u", part=1, size=1), storage=stored("part"))
    replay(index, log.settled, log.log)
    assert set(named_blobs(index)) == {"kept", "removed", "part"}
    log.add("object.erased", object=ObjectRef("b", "k", version.version_id), ref=2)
    replay(index, log.settled, log.log)
    assert set(named_blobs(index)) == {"kept", "part"}
    index.close()
