from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from audit.ingest import receiving
from audit.ingest.events import Sender
from audit.ingest.receiving import IngestBusy, IngestIncomplete, Receipt, Receiver, SourceBusy
from audit.ingest.unpack import BodyInvalid
from vault.errors import NoSpace, OutcomeUnknown, S3Error, Unavailable, VaultError
from vault.ports import Committed
from vault.record import Actor, Head, ObjectRef, Origin
from vault.state.ingest import Seen, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audit.ingest.objects import Objects
    from vault.ports import Intent
    from vault.service import Core

SENDER = Sender(Actor("p1"), Origin("audit"), "app", "json")
LINES = "application/x-ndjson"
LARGE = b"x" * 40_000


@dataclass
class FakeCore:
    """Commits whatever it is given; ``fails`` says, for each batch, why it is not."""

    fails: Sequence[VaultError | None] = ()
    submitted: list[Intent] = field(default_factory=list)
    order: list[str] = field(default_factory=list)

    async def run(self, work: Callable[..., Any], *args: Any) -> Any:
        return work(*args)

    async def commit(self, intent: Intent) -> Committed:
        self.submitted.append(intent)
        assert intent.refused is not None
        raise intent.refused

    @property
    def commits(self) -> FakeCore:
        return self

    async def commit_all(self, intents: Sequence[Intent]) -> list[Committed | VaultError]:
        self.submitted += intents
        self.order.append("commit")
        outcomes: list[Committed | VaultError] = []
        for number, intent in enumerate(intents):
            failed = self.fails[number] if number < len(self.fails) else None
            if isinstance(failed, OutcomeUnknown):
                raise failed
            assert intent.batch is not None
            told = plan(intent.batch, -1, Seen()).outcome
            told.first, told.last = 1000 * number, 1000 * number + len(intent.batch.members)
            head = Head(v=1, stream="s", seq=0, prev="", time="", clock="", outcome="success")
            outcomes.append(failed or Committed(head, b"", 0, batch=told))
        return outcomes


@dataclass
class FakeObjects:
    core: FakeCore
    error: S3Error | None = None

    async def keep(self, *_: object) -> tuple[ObjectRef, str]:
        self.core.order.append("object")
        if self.error is not None:
            raise self.error
        return ObjectRef("b", "k", "v"), "ab" * 32


def receiver(core: FakeCore, error: S3Error | None = None) -> Receiver:
    return Receiver(cast("Core", core), cast("Objects", FakeObjects(core, error)), 1 << 20)


def receive(core: FakeCore, body: bytes, kind: str = LINES, error: S3Error | None = None) -> Receipt:
    async def read() -> bytes:
        return body

    return asyncio.run(receiver(core, error).receive(SENDER, "POST /v1/ingest/app", read, kind, ""))


MANY = b"\n".join(b'{"x":"%b"}' % (b"y" * 1000) for _ in range(2_000))


def test_places_in_the_answer_are_those_in_the_request_over_all_batches() -> None:
    core = FakeCore()
    told = receive(core, MANY + b'\n{"id":"a"}\n{"id":"a"}')
    assert len(core.submitted) > 1
    assert (told.members, told.stored, told.duplicates) == (2_002, 2_001, [2_001])


def test_a_request_of_which_a_part_is_not_written_says_how_much_is() -> None:
    with pytest.raises(IngestIncomplete, match=r"events are durable .* send the whole request again"):
        receive(FakeCore([None, Unavailable("the queue is full")]), MANY)
    with pytest.raises(NoSpace):
        receive(FakeCore([NoSpace()]), b"{}")
    with pytest.raises(OutcomeUnknown):
        receive(FakeCore([OutcomeUnknown("poisoned")]), b"{}")


def test_large_events_are_objects_before_any_event_of_the_request_is_committed() -> None:
    core = FakeCore()
    assert receive(core, LARGE + b"\n{}\n" + LARGE).stored == 3
    assert core.order == ["object", "object", "commit"]


def test_where_a_large_event_cannot_be_kept_nothing_of_the_request_is() -> None:
    core = FakeCore()
    with pytest.raises(Unavailable, match="bucket strongroom-ingest does not take it: no locks"):
        receive(core, b"{}\n" + LARGE, error=S3Error("InvalidRequest", "no locks"))
    assert core.submitted == []


def test_what_cannot_be_taken_apart_is_recorded_with_its_reason() -> None:
    core = FakeCore()
    with pytest.raises(BodyInvalid):
        receive(core, b"[1,", "application/json")
    (intent,) = core.submitted
    assert intent.tail.op == "ingest.batch"
    assert intent.refused is not None
    assert (intent.refused.reason, intent.refused.denied) == ("body_invalid", False)


def test_a_source_has_so_many_requests_at_a_time_and_others_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "MAX_REQUESTS", 2)
    made = receiver(FakeCore())
    with (
        made.admitted("a", 1),
        made.admitted("a", 1),
        made.admitted("b", 1),
        pytest.raises(SourceBusy),
        made.admitted("a", 1),
    ):
        pass
    with made.admitted("a", 1), made.admitted("a", 1):
        pass
    assert made._requests == {}


def test_all_bodies_together_take_so_much_memory_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "MAX_BYTES", 100)
    made = receiver(FakeCore())
    with made.admitted("a", 60):
        with pytest.raises(IngestBusy), made.admitted("b", 41):
            pass
        with made.admitted("b", 40):
            pass
    with pytest.raises(IngestBusy), made.admitted("a", 101):
        pass
    assert made._bytes == 0
