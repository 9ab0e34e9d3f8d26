from __future__ import annotations

import errno
import hashlib
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from audit.journal import committer as committer_
from audit.journal.batch import HEAD_BYTES
from tests.doubles.memory import memory_directory
from tests.doubles.writer import SERVER, START, Outcome, Writer
from vault import durable
from vault.errors import DurabilityError, OutcomeUnknown, S3Error, Unavailable, VaultError
from vault.ports import Committed, Intent
from vault.record import ObjectRef, Origin, Storage, Tail, decode, encode_tail
from vault.state import rows
from vault.state.decide import decide
from vault.state.rows import VersionRow
from vault.times import DAY_NS, NS, parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

BYTES = Storage(1, "log", "d", "a" * 32, 0, 65_536, 4, "b" * 64)


@pytest.fixture
def writer() -> Iterator[Writer]:
    """A writer that has not begun; what a test sends before :meth:`Writer.start` is decided in one go."""
    with memory_directory() as directory:
        made = Writer(directory)
        yield made
        if not made.committer._thread.ident:
            made.start()
        made.close()


def ask(writer: Writer, count: int, body: bytes = b"") -> list[Future[Outcome]]:
    return [writer.send("bucket.create", body, object=ObjectRef(f"b{number}")) for number in range(count)]


def outcomes(answers: Sequence[Future[Outcome]]) -> list[Outcome]:
    return [answer.result(30) for answer in answers]


def never(outcome: Committed | VaultError) -> None:
    pytest.fail(f"answered with {outcome}")


def fail_writes(monkeypatch: pytest.MonkeyPatch, when: Callable[[int], bool]) -> None:
    """Let the write of a group fail at offsets for which ``when`` says so."""
    write = durable.append_group

    def failing(fd: int, buffers: Sequence[bytes], offset: int) -> None:
        if when(offset):
            raise DurabilityError("EIO")
        write(fd, buffers, offset)

    monkeypatch.setattr(durable, "append_group", failing)


# Order and chain


def test_records_chain_and_are_answered_once_they_are_durable(writer: Writer) -> None:
    seen: list[tuple[int, int]] = []
    answers: list[Committed | VaultError] = []

    def done(outcome: Committed | VaultError) -> None:
        answers.append(outcome)
        assert isinstance(outcome, Committed)
        seen.append((outcome.head.seq, writer.log.durable_end))

    for number in range(5):
        tail = Tail(op="bucket.create", actor=SERVER, origin=Origin("s3"), object=ObjectRef(f"b{number}"))
        writer.committer.submit([Intent(tail, encode_tail(tail))], [done])
    writer.start()
    writer.close()
    assert seen == [(number, 5) for number in range(5)]
    prev = hashlib.sha256().digest()
    for leaf, answer in zip(writer.committer.take_leaves()[1], answers, strict=True):
        assert isinstance(answer, Committed)
        assert answer.head.prev == prev.hex()
        assert answer.leaf == leaf
        prev = leaf


def test_what_was_decided_before_counts_within_one_group(writer: Writer) -> None:
    first = writer.send("bucket.create", object=ObjectRef("b"))
    again = writer.send("bucket.create", object=ObjectRef("b"))
    put = writer.send("object.put", b"data", object=ObjectRef("b", "k"), storage=BYTES)
    gone = writer.send("object.delete", object=ObjectRef("b", "k"))
    got = writer.send("object.get", object=ObjectRef("b", "k"))
    writer.start()
    heads = [outcome.head for outcome in outcomes([first, again, put, gone, got]) if isinstance(outcome, Committed)]
    assert [head.reason for head in heads] == ["", "bucket_already_owned_by_you", "", "", "no_such_key"]
    assert [head.seq for head in heads] == [0, 1, 2, 3, 4]
    assert writer.groups == [5]
    assert [json.loads(data)["prev"] for data in writer.records()[1:]] == [
        hashlib.sha256(b"\0" + data).hexdigest() for data in writer.records()[:-1]
    ]


def test_readers_see_rows_only_once_they_are_durable(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def look(_: int) -> bool:
        seen.append(writer.index.get(rows.bucket_key("b0")))
        return False

    fail_writes(monkeypatch, look)
    writer.start()
    ask(writer, 1)[0].result(30)
    assert seen[-1] is None
    assert writer.index.get(rows.bucket_key("b0")) is not None


def test_a_refusal_of_the_front_end_is_recorded_and_has_no_effect(writer: Writer) -> None:
    writer.start()
    refused = writer.do("object.put", b"body", object=ObjectRef("b", "k"), refused=S3Error("AccessDenied", reason="x"))
    assert (refused.head.outcome, refused.head.reason, refused.row) == ("denied", "x", None)
    assert writer.log._segments[0].body_length(0) == 0
    assert list(writer.index.scan(b"", b"n")) == []


def test_a_read_takes_a_lease_that_its_reader_gives_back(writer: Writer) -> None:
    writer.start()
    writer.do("bucket.create", object=ObjectRef("b"))
    put = writer.do("object.put", b"data", object=ObjectRef("b", "k"), storage=BYTES)
    got = writer.do("object.get", object=ObjectRef("b", "k"))
    assert isinstance(got.row, VersionRow)
    assert writer.leases.held(put.head.seq)
    got.release()
    assert not writer.leases.held(put.head.seq)
    writer.do("object.get", object=ObjectRef("b", "none"))
    assert not writer.leases.any_in(0, 99)


def test_an_advance_of_the_clock_counts_from_after_the_group_that_holds_its_account(writer: Writer) -> None:
    writer.clocks.now += DAY_NS
    state = writer.clock.status()
    told = writer.send("clock.status", clock_state=state)
    same_group = ask(writer, 1)[0]
    writer.start()
    clocks = [
        parse_rfc3339(outcome.head.clock) for outcome in outcomes([told, same_group]) if isinstance(outcome, Committed)
    ]
    assert clocks == [START, START]
    later = writer.do("bucket.head", object=ObjectRef("b0"))
    assert parse_rfc3339(later.head.clock) == START + sum(taken for _, taken in state.grants) == START + 900 * NS


# Groups


def test_a_group_ends_at_its_number_of_records(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer_, "MAX_GROUP_RECORDS", 10)
    answers = ask(writer, 25)
    writer.start()
    outcomes(answers)
    assert writer.groups == [10, 10, 5]


def test_a_group_ends_at_its_bytes_and_what_is_larger_goes_alone(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer_, "GROUP_BYTES", 30_000)
    answers = [*ask(writer, 4, b"x" * 10_000), *ask(writer, 1, b"x" * 60_000), *ask(writer, 2)]
    writer.start()
    outcomes(answers)
    assert writer.groups == [2, 2, 1, 2]


def test_a_group_always_fits_into_a_segment(writer: Writer) -> None:
    largest = writer.log.max_payload - 8 - HEAD_BYTES
    tail = Tail(op="bucket.create", actor=SERVER, origin=Origin("s3"), object=ObjectRef("b0"))
    answers = [*ask(writer, 30, b"x" * 11_000), *ask(writer, 1, b"x" * (largest - len(encode_tail(tail))))]
    writer.start()
    assert all(isinstance(outcome, Committed) for outcome in outcomes(answers))
    assert {item.path.stat().st_size for item in writer.log._segments} == {writer.log.segment_bytes}
    assert all(item.end_offset <= writer.log.segment_bytes for item in writer.log._segments)
    assert len(writer.records()) == 31


@pytest.mark.parametrize("agent", ["a" * 31_000, ""])
def test_what_is_too_big_for_a_record_or_a_group_is_refused_whole(writer: Writer, agent: str) -> None:
    small = Tail(op="bucket.create", actor=SERVER, origin=Origin("s3"), object=ObjectRef("b"))
    big = Tail(op="bucket.create", actor=SERVER, origin=Origin("s3", agent=agent), object=ObjectRef("b"))
    body = () if agent else (b"x" * writer.log.max_payload,)
    intents = [Intent(small, encode_tail(small)), Intent(big, encode_tail(big), body)]
    with pytest.raises(S3Error, match="too big"):
        writer.committer.submit(intents, [never, never])
    writer.start()
    writer.close()
    assert writer.records() == []


def test_a_full_queue_refuses_and_takes_none_of_what_came_together(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer_, "MAX_QUEUE", 3)
    answers = ask(writer, 2)
    tail = Tail(op="bucket.create", actor=SERVER, origin=Origin("s3"), object=ObjectRef("b"))
    with pytest.raises(Unavailable, match="too many operations"):
        writer.committer.submit([Intent(tail, encode_tail(tail))] * 2, [never, never])
    answers += ask(writer, 1)
    writer.start()
    assert len(outcomes(answers)) == 3
    ask(writer, 1)[0].result(30)


def test_stopping_decides_what_is_queued_and_refuses_the_rest(writer: Writer) -> None:
    answers = ask(writer, 20)
    writer.start()
    writer.committer.stop()
    assert all(isinstance(answer.result(0), Committed) for answer in answers)
    with pytest.raises(Unavailable, match="stopping"):
        ask(writer, 1)


# Failures


def test_a_failed_write_is_unknown_for_its_group_and_nothing_is_written_after(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer_, "MAX_GROUP_RECORDS", 3)
    fail_writes(monkeypatch, lambda offset: offset > 4096)
    answers = ask(writer, 8)
    writer.start()
    kinds = [type(outcome) for outcome in outcomes(answers)]
    assert kinds == [Committed] * 3 + [OutcomeUnknown] * 3 + [Unavailable] * 2
    writer.committer._thread.join()
    with pytest.raises(Unavailable, match="has stopped"):
        ask(writer, 1)
    assert [type(error) for error in writer.fatal] == [DurabilityError]
    assert writer.committer.poisoned is writer.fatal[0]
    assert len(writer.records()) == 3
    assert [writer.index.get(rows.bucket_key(f"b{number}")) is not None for number in range(8)] == [True] * 3 + [
        False
    ] * 5
    assert len(writer.committer.take_leaves()[1]) == 3


def test_a_read_in_a_group_that_failed_holds_no_lease(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    writer.start()
    writer.do("bucket.create", object=ObjectRef("b"))
    writer.do("object.put", b"data", object=ObjectRef("b", "k"), storage=BYTES)
    fail_writes(monkeypatch, lambda offset: True)
    assert isinstance(writer.send("object.get", object=ObjectRef("b", "k")).result(30), OutcomeUnknown)
    writer.committer._thread.join()
    assert not writer.leases.any_in(0, 99)


def test_a_segment_that_cannot_be_opened_leaves_everything_not_done(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_writes(monkeypatch, lambda offset: offset == 0)
    answers = ask(writer, 3)
    writer.start()
    assert [type(outcome) for outcome in outcomes(answers)] == [Unavailable] * 3
    writer.committer._thread.join()
    assert isinstance(writer.committer.poisoned, DurabilityError)


def test_without_room_nothing_is_done_and_the_writer_goes_on_when_there_is(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync = durable.fsync_file

    def full(fd: int) -> None:
        raise DurabilityError("fsync") from OSError(errno.ENOSPC, "No space left on device")

    writer.start()
    monkeypatch.setattr(durable, "fsync_file", full)
    assert [type(outcome) for outcome in outcomes(ask(writer, 3))] == [Unavailable] * 3
    assert list(writer.log.spares.iterdir()) == []
    monkeypatch.setattr(durable, "fsync_file", fsync)
    assert writer.do("bucket.create", object=ObjectRef("b0")).head.seq == 0
    assert writer.committer.poisoned is None


def test_leaves_that_nobody_takes_are_dropped_and_the_next_ones_say_where_they_begin(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer_, "MAX_LEAVES", 4)
    writer.start()
    for number in range(10):
        writer.do("bucket.create", object=ObjectRef(f"b{number}"))
    first, leaves = writer.committer.take_leaves()
    assert (first, len(leaves)) == (8, 2)
    assert leaves == [hashlib.sha256(b"\0" + record).digest() for record in writer.records()[8:]]
    writer.do("bucket.create", object=ObjectRef("later"))
    assert writer.committer.take_leaves()[0] == 10


def test_an_operation_that_trips_over_a_fault_is_not_done_and_the_others_are(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:

    def faulty(tail: Tail, *args: Any) -> Any:
        if tail.object == ObjectRef("b1"):
            raise OverflowError("int too big to convert")
        return decide(tail, *args)

    monkeypatch.setattr(committer_, "decide", faulty)
    answers = ask(writer, 3)
    writer.start()
    assert [type(outcome) for outcome in outcomes(answers)] == [Committed, Unavailable, Committed]
    assert [decode(data)[0].seq for data in writer.records()] == [0, 1]
    assert "could not be decided" in caplog.text


def test_a_callback_that_raises_leaves_the_others_an_answer(writer: Writer) -> None:
    def breaks(_: Committed | VaultError) -> None:
        raise RuntimeError("the loop is closed")

    tail = Tail(op="bucket.create", actor=SERVER, origin=Origin("s3"), object=ObjectRef("b"))
    writer.committer.submit([Intent(tail, encode_tail(tail))], [breaks])
    answers = ask(writer, 2)
    writer.start()
    assert [type(outcome) for outcome in outcomes(answers)] == [OutcomeUnknown] * 2
    writer.committer._thread.join()
    assert str(writer.fatal[0]) == "unexpected RuntimeError"


def test_many_threads_at_once_get_one_answer_each(writer: Writer) -> None:
    writer.start()
    answers: list[Future[Outcome]] = []
    threads = [threading.Thread(target=lambda: answers.extend(ask(writer, 50))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    committed = [outcome for outcome in outcomes(answers) if isinstance(outcome, Committed)]
    assert sorted(outcome.head.seq for outcome in committed) == list(range(400))
    assert sum(outcome.error is None for outcome in committed) == 50
    assert sum(writer.groups) == 400
