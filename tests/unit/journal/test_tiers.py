from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from audit.journal import committer as committer_
from audit.journal.tiers import admitted, tier
from tests.doubles.memory import memory_directory
from tests.doubles.writer import Writer
from vault.errors import Unavailable
from vault.record import OPS, BucketConfig, ObjectRef, Request, Storage

BYTES = Storage(1, "log", "d", "a" * 32, 0, 65_536, 4, "b" * 64)


@pytest.mark.parametrize(
    ("free", "refused"),
    [
        (300, []),
        (299, ["object.get"]),
        (200, ["object.get"]),
        (199, ["object.get", "object.put"]),
        (100, ["object.get", "object.put"]),
        (99, ["object.get", "object.put", "denied"]),
        (0, ["object.get", "object.put", "denied"]),
    ],
)
def test_as_the_disk_fills_reads_stop_then_writes_then_denials_and_never_holds_and_deletes(
    free: int, refused: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with memory_directory() as directory:
        writer = Writer(directory, reserve_bytes=300)
        space = [1000]
        monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=space[0], f_frsize=1))
        monkeypatch.setattr(committer_, "_SPACE_SECONDS", -1.0)
        writer.start()
        writer.do("bucket.create", object=ObjectRef("b"), bucket=BucketConfig(lock=True))
        writer.do("object.put", b"data", object=ObjectRef("b", "k"), storage=BYTES)
        space[0] = free
        sent = {
            "object.get": writer.send("object.get", object=ObjectRef("b", "k")),
            "object.put": writer.send("object.put", b"data", object=ObjectRef("b", "k"), storage=BYTES),
            "denied": writer.send("object.hold.put", object=ObjectRef("b", "none"), request=Request(hold=True)),
            "object.hold.put": writer.send("object.hold.put", object=ObjectRef("b", "k"), request=Request(hold=True)),
            "object.delete": writer.send("object.delete", object=ObjectRef("b", "k")),
            "clock.status": writer.send("clock.status", clock_state=writer.clock.status()),
        }
        told = {name: answer.result(30) for name, answer in sent.items()}
        assert [name for name, outcome in told.items() if isinstance(outcome, Unavailable)] == refused
        assert writer.committer.poisoned is None
        writer.close()


def test_the_last_tier_is_for_what_must_always_be_possible() -> None:
    assert {op for op in OPS if tier(op, refused=False) == 0} == {
        "object.hold.put", "object.delete", "object.erased", "multipart.abort", "principal.disable",
        "ledger.open", "ledger.start", "ledger.stop", "ledger.recover", "clock.status",
    }  # fmt: skip
    assert all(admitted(op, 0, 1 << 40, refused=False) for op in OPS if tier(op, refused=False) == 0)


def test_reads_stop_before_writes_and_a_refusal_of_anything_after_both() -> None:
    assert {op for op in OPS if tier(op, refused=False) == 3} >= {"object.get", "object.head", "object.list"}
    assert {tier(op, refused=False) for op in ("object.put", "object.retention.put", "bucket.create")} == {2}
    assert {tier(op, refused=True) for op in OPS} == {1}


def test_without_a_reserve_everything_is_admitted() -> None:
    assert all(admitted(op, 0, 0, refused=refused) for op in OPS for refused in (False, True))
