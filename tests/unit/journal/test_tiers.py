from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from audit.journal import log as log_
from audit.journal.tiers import admitted, tier
from tests.doubles.memory import memory_directory
from tests.doubles.writer import SERVER, Writer
from vault.errors import Unavailable, VaultError
from vault.ports import Committed, Intent
from vault.record import OPS, BucketConfig, ObjectRef, Origin, Request, Storage, Tail, encode_tail
from vault.storage.room import FreeSpace

if TYPE_CHECKING:
    from pathlib import Path

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
        monkeypatch.setattr(FreeSpace, "bytes", lambda _: space[0])
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
        "object.hold.put", "matter.open", "matter.close", "object.delete", "object.erased", "multipart.abort",
        "production.cancel", "principal.disable", "token.revoke",
        "ledger.open", "ledger.start", "ledger.stop", "ledger.recover", "ledger.backup", "ledger.verified",
        "ledger.pruned", "server.reload", "clock.status",
        "key.backup", "key.restore", "key.rotate", "relay.assign", "relay.rewind",
    }  # fmt: skip
    assert all(admitted(op, 0, 1 << 40, refused=False) for op in OPS if tier(op, refused=False) == 0)


def test_reads_stop_before_writes_and_a_refusal_of_anything_after_both() -> None:
    assert {op for op in OPS if tier(op, refused=False) == 3} >= {"object.get", "object.head", "object.list"}
    assert {tier(op, refused=False) for op in ("object.put", "object.retention.put", "bucket.create")} == {2}
    assert {tier(op, refused=True) for op in OPS} == {1}


def test_without_a_reserve_everything_is_admitted() -> None:
    assert all(admitted(op, 0, 0, refused=refused) for op in OPS for refused in (False, True))


def test_where_all_do_not_fit_what_must_always_be_possible_still_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer(tmp_path)
    writer.start()
    writer.do("bucket.create", object=ObjectRef("b"), bucket=BucketConfig(lock=True))
    writer.do("object.put", b"data", object=ObjectRef("b", "k"), storage=BYTES)
    monkeypatch.setattr(log_, "require_room", no_room)
    monkeypatch.setattr(writer.log, "_spare", lambda: None)
    writer.log._active.end_offset = writer.log.segment_bytes - 16 * 1024  # type: ignore[union-attr]
    tails = [
        Tail(op="object.put", actor=SERVER, origin=Origin("s3"), object=ObjectRef("b", "large"), storage=BYTES),
        Tail(
            op="object.hold.put",
            actor=SERVER,
            origin=Origin("s3"),
            object=ObjectRef("b", "k"),
            request=Request(hold=True),
        ),
    ]
    bodies = [(bytes(64 * 1024),), ()]
    answers: list[Future[Committed | VaultError]] = [Future(), Future()]
    intents = [Intent(tail, encode_tail(tail), body) for tail, body in zip(tails, bodies, strict=True)]
    writer.committer.submit(intents, [answer.set_result for answer in answers])
    assert [type(answer.result(30)) for answer in answers] == [Unavailable, Committed]
    writer.close()


def no_room(*_: Any) -> None:
    raise Unavailable("no room")
