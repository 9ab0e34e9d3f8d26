"""Batches of foreign events at the committer: in order with all else, whole or not at all, and the verifier agrees."""

from __future__ import annotations

import json
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest

from audit.ingest.events import Sender, batches, prepare
from audit.verify.records import Checker
from tests.doubles.memory import memory_directory
from tests.doubles.writer import SERVER, Outcome, Writer
from vault.errors import NoSpace, OutcomeUnknown
from vault.foreign import IngestRef
from vault.ports import Committed, Intent
from vault.record import Actor, Origin, PrincipalRef, Tail, encode_tail
from vault.state.ingest import Member
from vault.state.ingest import Outcome as Told
from vault.state.other_rows import SourceRow
from vault.state.rows import source_key
from vault.storage.room import FreeSpace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit.journal.log import CommitLog


@pytest.fixture
def writer() -> Iterator[Writer]:
    with memory_directory() as directory:
        made = Writer(directory)
        yield made
        made.close()


def send(writer: Writer, *events: bytes, actor: Actor = SERVER, source: str = "app") -> list[Future[Outcome]]:
    sender = Sender(actor, Origin("audit"), source, "json")
    tail = Tail(op="ingest.batch", actor=actor, origin=sender.origin, ingest=IngestRef(source, "json"))
    encoded = encode_tail(tail)
    members = [each for each in prepare(sender, events) if isinstance(each, Member)]
    assert len(members) == len(events)
    made = list(batches(source, members, len(encoded), writer.log.max_payload))
    answers: list[Future[Outcome]] = [Future() for _ in made]
    writer.committer.submit(
        [Intent(tail, encoded, batch=batch) for batch in made], [answer.set_result for answer in answers]
    )
    return answers


def told(answers: list[Future[Outcome]]) -> Told:
    (outcome,) = [answer.result(30) for answer in answers]
    assert isinstance(outcome, Committed)
    assert outcome.batch is not None
    return outcome.batch


def verified(writer: Writer) -> list[Any]:
    """All records, which the verifier found good."""
    records = writer.records()
    checker = Checker(b'"site-a.node-1"', 0, str)
    checker.feed(records)
    assert [each.why for each in checker.run().findings if "ahead" not in each.why] == []
    return [json.loads(record) for record in records]


def test_events_of_one_request_are_one_group_of_records_in_order(writer: Writer) -> None:
    writer.start()
    outcome = told(send(writer, b'{"id":"a"}', b"\xff", b'{"id":"b"}'))
    assert (outcome.first, outcome.last, outcome.stored) == (0, 2, 3)
    records = verified(writer)
    assert [record["ingest"].get("event", record["ingest"].get("base64")) for record in records] == [
        '{"id":"a"}',
        "/w==",
        '{"id":"b"}',
    ]
    assert writer.groups == [3]
    assert writer.index.applied == 3


def test_batches_stand_between_other_operations_as_they_were_sent(writer: Writer) -> None:
    before = writer.send("bucket.list")
    batch = send(writer, b'{"id":"a"}', b'{"id":"b"}')
    after = writer.send("bucket.list")
    again = send(writer, b'{"id":"b"}', b'{"id":"c"}')
    writer.start()
    assert before.result(30).head.seq == 0  # type: ignore[union-attr]
    assert told(batch).last == 2
    assert after.result(30).head.seq == 3  # type: ignore[union-attr]
    assert told(again).duplicates == [0]
    assert [record["op"] for record in verified(writer)] == [
        "bucket.list", "ingest.event", "ingest.event", "bucket.list", "ingest.event", "ingest.batch",
    ]  # fmt: skip
    assert writer.groups == [6]


def test_a_request_that_brings_nothing_new_is_a_record_too(writer: Writer) -> None:
    writer.start()
    told(send(writer, b'{"id":"a"}'))
    assert told(send(writer, b'{"id":"a"}')).stored == 0
    assert told(send(writer)).stored == 0
    first, repeat, empty = verified(writer)
    assert first["op"] == "ingest.event"
    assert (repeat["op"], repeat["ingest"]["members"], repeat["ingest"]["duplicates"]) == ("ingest.batch", 1, 1)
    assert (empty["op"], "members" in empty["ingest"]) == ("ingest.batch", False)


def test_a_sources_highest_number_is_a_row_and_gaps_go_on_from_it(writer: Writer) -> None:
    writer.start()
    told(send(writer, b'{"seq":5}', b'{"seq":6}'))
    assert writer.index.get(source_key("app")) == SourceRow("app", 6)
    assert told(send(writer, b'{"seq":9}')).gaps == [(7, 8)]
    assert told(send(writer, b'{"seq":1}', source="other")).gaps == []
    assert writer.index.get(source_key("app")) == SourceRow("app", 9)
    gaps = [record["ingest"]["missing"] for record in verified(writer) if record["op"] == "ingest.gap"]
    assert gaps == [[7, 8]]


def test_who_may_not_bring_events_has_one_record_and_no_event(writer: Writer) -> None:
    writer.start()
    for name, role in (("reader", "reader"), ("root", "root")):
        writer.do("principal.add", principal=PrincipalRef(name, name, name, (role,)))
        (outcome,) = [each.result(30) for each in send(writer, b'{"id":"a"}', actor=Actor(name))]
        assert isinstance(outcome, Committed)
        assert outcome.error is not None
    records = verified(writer)
    assert [record["op"] for record in records] == ["principal.add", "ingest.batch"] * 2
    assert {record["outcome"] for record in records if record["op"] == "ingest.batch"} == {"denied"}
    assert told(send(writer, b'{"id":"a"}')).duplicates == []


def test_without_room_on_the_disk_nothing_of_it_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    with memory_directory() as directory:
        writer = Writer(directory, reserve_bytes=300)
        space = [199]
        monkeypatch.setattr(FreeSpace, "bytes", lambda _: space[0])
        writer.start()
        (outcome,) = [each.result(30) for each in send(writer, b'{"id":"a"}')]
        assert isinstance(outcome, NoSpace)
        space[0] = 200
        assert told(send(writer, b'{"id":"a"}')).stored == 1
        writer.close()


def test_a_batch_whose_write_fails_is_unknown_as_a_whole(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: CommitLog, *__: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr("tests.doubles.writer.WatchedLog.append", fail)
    writer.start()
    (outcome,) = [each.result(30) for each in send(writer, b'{"id":"a"}', b'{"id":"b"}')]
    assert isinstance(outcome, OutcomeUnknown)
    assert len(writer.fatal) == 1


def test_a_request_of_many_batches_is_in_order_over_groups_and_segments(writer: Writer) -> None:
    events = [b'{"id":"%d","x":"%b"}' % (number, b"y" * 300) for number in range(600)]
    answers = send(writer, *events)
    assert len(answers) > 3  # the double's segments are short
    writer.start()
    assert all(isinstance(each.result(30), Committed) for each in answers)
    kept = [record["ingest"]["event"].encode() for record in verified(writer)]
    assert kept == events
    assert len(writer.groups) > 1
