"""What committer and commit log count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from audit.journal import committer as committer_
from tests.doubles.memory import memory_directory
from tests.doubles.writer import Writer
from vault.errors import NoSpace, S3Error, Unavailable
from vault.record import ObjectRef
from vault.storage import room

if TYPE_CHECKING:
    from collections.abc import Iterator

NONE = {"queue_full": 0, "stopped": 0, "no_space": 0, "behind": 0, "fault": 0}


@pytest.fixture
def writer() -> Iterator[Writer]:
    """A writer that has not begun; what a test sends before :meth:`Writer.start` is decided in one go."""
    with memory_directory() as directory:
        made = Writer(directory)
        yield made
        if not made.committer._thread.ident:
            made.start()
        made.close()


def test_groups_and_their_records_are_counted_as_they_are_written(writer: Writer) -> None:
    answers = [writer.send("bucket.create", object=ObjectRef(f"b{number}")) for number in range(5)]
    assert writer.committer.waiting == 5
    writer.start()
    for answer in answers:
        answer.result(30)
    assert writer.committer.waiting == 0
    records, seconds = writer.log.group_records, writer.log.write_seconds
    assert (sum(records.counts), records.sum) == (1, 5)
    assert sum(seconds.counts) == 1
    assert seconds.sum > 0
    written = writer.log.group_bytes
    assert written > 0
    assert written % 4096 == 0
    assert writer.committer.turned_away == NONE


def test_refusals_are_counted_by_outcome_and_reason(writer: Writer) -> None:
    writer.start()
    writer.do("bucket.create", object=ObjectRef("b"))
    assert not writer.committer.refused
    writer.do("bucket.create", object=ObjectRef("b"))
    writer.do("object.delete", object=ObjectRef("b", "k"), refused=S3Error("AccessDenied", reason="policy"))
    writer.do("object.delete", object=ObjectRef("b", "k"), refused=S3Error("AccessDenied", reason="policy"))
    assert writer.committer.refused == {"failure:bucket_already_owned_by_you": 1, "denied:policy": 2}


def test_what_is_turned_away_is_counted_by_why(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer_, "MAX_QUEUE", 2)
    kept = [writer.send("bucket.create", object=ObjectRef(name)) for name in ("b1", "b2")]
    with pytest.raises(Unavailable):
        writer.send("bucket.create", object=ObjectRef("b3"))
    assert writer.committer.turned_away == NONE | {"queue_full": 1}
    monkeypatch.setattr(room, "free_bytes", lambda _: 0)
    writer.committer._reserve = 1 << 30
    writer.start()
    assert [type(answer.result(30)) for answer in kept] == [NoSpace, NoSpace]
    assert writer.committer.turned_away == NONE | {"queue_full": 1, "no_space": 2}
    monkeypatch.setattr(room, "LOOK_SECONDS", -1)
    monkeypatch.setattr(room, "free_bytes", lambda _: 1 << 40)
    monkeypatch.setattr(committer_, "decide", lambda *_: 1 // 0)
    assert isinstance(writer.send("bucket.create", object=ObjectRef("b4")).result(30), Unavailable)
    assert writer.committer.turned_away["fault"] == 1
    writer.committer.stop()
    with pytest.raises(Unavailable):
        writer.send("bucket.create", object=ObjectRef("b5"))
    assert writer.committer.turned_away == NONE | {"queue_full": 1, "stopped": 1, "no_space": 2, "fault": 1}
