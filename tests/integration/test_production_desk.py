"""Productions of an open node where something is in the way: what is recorded, what they come to, what is left."""

from __future__ import annotations

import json
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from audit.errors import LedgerCorrupt
from audit.own_objects import have_bucket, lock_from
from audit.production import contents, jobs, keep, standing
from audit.production import state as states
from audit.production.desk import ProductionNotStopped
from audit.production.keep import BUCKET, Asker, key_of
from audit.production.question import Question
from audit.production.state import State
from audit.query.records import ViewBehind
from tests.doubles.memory import memory_directory
from tests.doubles.whole_node import commit, make, open_node
from tests.doubles.world import Checks, pieces
from tests.integration.served import PATIENCE
from vault.errors import DurabilityError, OutcomeUnknown, S3Error, Unavailable
from vault.policy import SYSTEM
from vault.record import Actor, Origin, ProductionRef, Tail
from vault.service.context import PutSpec, UploadSpec
from vault.service.plaintext import Plaintext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from audit.node import Node
    from audit.production.standing import Standing
    from vault.service import Service
    from vault.service.context import Caller

pytestmark = pytest.mark.timeout(180)

ASKED = Question("request 7", "trades")
HERE = Origin("audit")
SERVER = Asker(Actor(SYSTEM), HERE)
STRANGER = Asker(Actor("nobody", roles=()), HERE)


@pytest.fixture
def root() -> Iterator[Path]:
    with memory_directory() as directory:
        make(directory / "v")
        yield directory / "v"


@pytest.fixture
def node(root: Path) -> Iterator[Node]:
    with open_node(root) as node:
        yield node


def begun(node: Node) -> str:
    return node.productions.begin(SERVER, ASKED).id


def ended(node: Node, production: str) -> Standing:
    """How one stands, once its thread has ended."""
    job = node.productions._jobs.begun(production)
    assert job is not None
    assert job.thread is not None
    job.thread.join(PATIENCE)
    assert not job.thread.is_alive()
    return node.productions.status(production)


def told(node: Node, op: str) -> list[Any]:
    """Outcome and reason of each record of a kind."""
    records = [json.loads(record) for _, record in node.history.read(0)]
    return [(record["outcome"], record.get("reason", "")) for record in records if record["op"] == op]


def left_behind(node: Node, production: str = "ab" * 8) -> str:
    """A production that an attempt left in a directory of the server's, with an upload."""
    position = commit(node, [Tail(op="bucket.list", actor=SERVER.actor, origin=HERE)])[0].position
    place = node.productions._jobs.places.of(production)
    states.save(place, State(production, ASKED, SERVER.actor, position))

    async def upload(service: Service, caller: Caller) -> None:
        await have_bucket(service, caller, BUCKET)
        spec = UploadSpec(bucket=BUCKET, key=key_of(production), headers={}, lock=lock_from(caller.received))
        await service.uploads.create(caller, spec)

    keep._run(node, SERVER, upload)
    assert keep._left(node.stores.index, key_of(production))
    return production


def fails(error: Exception) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> Any:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "fatal"),
    [
        (LedgerCorrupt("ledger/0.zst", "a frame is damaged"), False),
        (DurabilityError("fsync of the ledger failed"), True),
        (OutcomeUnknown("the writer has stopped"), True),
    ],
)
def test_what_is_damaged_fails_a_production_and_only_a_failed_writer_the_server(
    node: Node, monkeypatch: pytest.MonkeyPatch, error: Exception, *, fatal: bool
) -> None:
    monkeypatch.setattr(contents, "write_log", fails(error))
    one = begun(node)
    found = ended(node, one)
    assert (found.state, found.problem) == ("failed", str(error))
    assert node.failed is fatal
    if not fatal:
        node.productions.resume(SERVER, one)
        assert ended(node, one).state == "failed"
        monkeypatch.undo()
        assert not node.failed
        node.productions.resume(SERVER, one)
        assert ended(node, one).state == "kept"


CALLS = {
    "production.get": lambda desk, asker, one: desk.get(asker, one),
    "production.read": lambda desk, asker, one: desk.kept(asker, one),
    "production.create": lambda desk, asker, one: desk.resume(asker, one),
    "production.cancel": lambda desk, asker, one: desk.cancel(asker, one),
}


@pytest.mark.parametrize("op", CALLS)
def test_a_call_is_recorded_also_where_the_view_is_behind(node: Node, monkeypatch: pytest.MonkeyPatch, op: str) -> None:
    looks: list[int] = []

    def behind(position: int, _: float) -> bool:
        looks.append(position)
        return False

    monkeypatch.setattr(node.view, "catch_up", behind)
    with pytest.raises(S3Error, match="made by the role compliance"):
        CALLS[op](node.productions, STRANGER, "0" * 16)
    assert told(node, op) == [("denied", "policy")]
    assert not looks  # nothing is looked for on behalf of who may not know
    with pytest.raises(ViewBehind):
        CALLS[op](node.productions, SERVER, "0" * 16)
    assert told(node, op)[1:] == [("failure", "service_unavailable")]


def test_what_is_cancelled_is_told_though_the_view_is_behind(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node.view, "catch_up", lambda *_: False)
    one = left_behind(node)
    assert node.productions.cancel(SERVER, one).state == "cancelled"
    assert node.productions.cancel(SERVER, one, discard=True).state == "discarded"
    assert told(node, "production.cancel") == [("success", "")] * 2


def test_what_is_complete_is_not_cancelled(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    places, removing, go_on = node.productions._jobs.places, Event(), Event()
    remove = places.remove

    def slowly(production: str) -> None:
        removing.set()
        go_on.wait(PATIENCE)
        remove(production)

    monkeypatch.setattr(places, "remove", slowly)
    one = begun(node)
    assert removing.wait(PATIENCE)
    with pytest.raises(ProductionNotStopped, match="it is kept"):
        node.productions.cancel(SERVER, one, discard=True)
    go_on.set()
    assert ended(node, one).state == "kept"
    assert told(node, "production.cancel") == [("failure", "production_not_stopped")]


def test_what_is_complete_is_listed_as_kept_though_a_cancellation_came_after_it(node: Node) -> None:
    one = begun(node)
    assert ended(node, one).state == "kept"
    cancelled = Tail(op="production.cancel", actor=SERVER.actor, origin=HERE, production=ProductionRef(one))
    commit(node, [cancelled])  # as one that came while it was being completed
    (listed,) = node.productions.list(SERVER).productions
    assert (listed.state, listed) == ("kept", node.productions.get(SERVER, one))


def test_what_cannot_be_discarded_now_can_be_discarded_later(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    one = left_behind(node)
    monkeypatch.setattr(jobs, "abandon", fails(Unavailable("not now")))
    with pytest.raises(Unavailable):
        node.productions.cancel(SERVER, one, discard=True)
    monkeypatch.undo()
    assert node.productions.cancel(SERVER, one, discard=True).state == "discarded"
    assert not keep._left(node.stores.index, key_of(one))
    assert not node.productions._jobs.places.of(one).exists()


def test_one_that_runs_and_cannot_be_discarded_has_failed(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "_covering", lambda making, *_: waits(making.progress))
    monkeypatch.setattr(jobs, "abandon", fails(Unavailable("not now")))
    one = begun(node)
    node.productions.cancel(SERVER, one, discard=True)
    found = ended(node, one)
    assert (found.state, found.problem) == ("failed", "not now")
    monkeypatch.undo()
    assert node.productions.cancel(SERVER, one, discard=True).state == "discarded"


def waits(progress: contents.Progress) -> Any:
    assert progress.stop.wait(PATIENCE)
    progress.check()


def test_a_start_gives_up_uploads_that_nobody_goes_on_with(root: Path) -> None:
    with open_node(root) as node:
        one = left_behind(node)
    with open_node(root) as node:
        assert not keep._left(node.stores.index, key_of(one))
        assert told(node, "multipart.abort") == [("success", "")]
    with open_node(root) as node:
        assert told(node, "multipart.abort") == [("success", "")]


def test_a_cancellation_is_heard_within_a_native(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def put(service: Service, caller: Caller) -> None:
        await have_bucket(service, caller, "trades")
        spec = PutSpec(bucket="trades", key="a", length=1, checks=Checks(), headers={})
        await service.objects.put(caller, spec, pieces(b"x"))

    keep._run(node, SERVER, put)
    writing = Event()

    def endless(*_: object) -> Iterator[bytes]:
        while True:
            yield b""
            writing.set()

    monkeypatch.setattr(Plaintext, "pieces", endless)
    one = begun(node)
    assert writing.wait(PATIENCE)
    node.productions.cancel(SERVER, one)
    assert ended(node, one).state == "cancelled"


def test_a_cancellation_is_heard_while_the_view_is_waited_for(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, waited = Event(), set()

    def behind(_: int, seconds: float) -> bool:
        waited.add(seconds)
        asked.set()
        return False

    monkeypatch.setattr(node.view, "catch_up", behind)
    one = begun(node)
    assert asked.wait(PATIENCE)
    node.productions.cancel(SERVER, one)
    assert ended(node, one).state == "cancelled"
    assert waited == {contents._VIEW_SLICE}


def test_the_view_is_waited_for_only_so_long(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node.view, "catch_up", lambda *_: False)
    monkeypatch.setattr(contents, "VIEW_SECONDS", 0.1)
    found = ended(node, begun(node))
    assert found.state == standing.FAILED
    assert "still to read" in found.problem


def test_a_stop_does_not_wait_for_ever(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "STOP_SECONDS", 0.1)
    going_on = Event()
    monkeypatch.setattr(jobs, "make", lambda *_: going_on.wait(PATIENCE) and fails(LedgerCorrupt("", ""))())
    with open_node(root) as node:
        one = begun(node)
    job = node.productions._jobs.begun(one)
    assert job is not None
    assert job.thread is not None
    assert job.thread.is_alive()
    going_on.set()
    job.thread.join()
    with open_node(root) as node:
        assert told(node, "ledger.stop") == [("success", "")]
