"""Productions of an open node where something is in the way: what is recorded, what they come to, what is left."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING

import pytest

from audit.own_objects import have_bucket
from audit.production import contents, keep, standing
from audit.production.keep import Asker
from audit.production.question import Question
from tests.doubles.memory import memory_directory
from tests.doubles.whole_node import make, open_node
from tests.integration.served import PATIENCE
from vault.checksums import BodyDigests
from vault.policy import SYSTEM
from vault.record import Actor, Origin
from vault.service.context import PutSpec
from vault.service.plaintext import Plaintext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
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


def test_a_cancellation_is_heard_within_a_native(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    async def put(service: Service, caller: Caller) -> None:
        await have_bucket(service, caller, "trades")
        spec = PutSpec(bucket="trades", key="a", length=1, checks=Claimed(), headers={})
        await service.objects.put(caller, spec, body())

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


class Claimed:
    def __init__(self) -> None:
        self.digests = BodyDigests()

    def verify(self) -> None:
        """Anything will do."""


async def body() -> AsyncIterator[bytes]:
    yield b"x"


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
