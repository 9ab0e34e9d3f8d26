"""A relay's topics without a cluster: every first record, every bound, and bytes of whoever wrote them."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.verify import checkpoints, cursors, relay_topics, relayed, topic
from audit.verify.anchor import load as load_outside
from audit.verify.report import Bad, as_text
from tests.doubles.logbuilder import LogBuilder
from tests.doubles.topics import KEY, MemoryTopics, built, cursor, topics_with, verified, written

if TYPE_CHECKING:
    from pathlib import Path


LOG = built(600)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("log") / "export"
    LOG.write_export(root)
    return root


def test_what_was_bad_before_reading_stopped_is_bad_all_the_same() -> None:
    class Stops(MemoryTopics):
        def read(self, part: topic.Part) -> Any:
            yield from super().read(part)
            if part.topic.endswith("records"):
                raise topic.silent(part, "broker down")

    topics = Stops()
    topics.messages = written(LOG).messages
    topics.add("checkpoints", KEY, LOG.checkpoint(300).replace(LOG.vault.encode(), b"fedcba9876543210"))
    del topics.messages["strongroom.records", 0][7]
    report = verified(topics)
    assert "nothing came for" in report.unchecked
    assert [finding.place for finding in report.findings] == ["strongroom.checkpoints[0] offset 0"]
    assert report.notes[-1] == "strongroom.records[0] offset 7: records 7 to 7 are missing before it"


def test_cursors_say_how_far_it_goes_and_what_the_last_record_was() -> None:
    for following, leaf, bad in ((600, None, 0), (599, None, 0), (0, None, 0), (601, "00" * 32, 1), (5, "00" * 32, 1)):
        topics = written(LOG)
        changed = {"leaf": leaf} if leaf else {}
        topics.messages["strongroom.cursors", 0] = [(KEY, cursor(LOG, min(following, 600), next=following, **changed))]
        assert len(verified(topics).findings) == bad, following
    topics = written(LOG)
    topics.begins["strongroom.records", 0] = 300
    topics.messages["strongroom.cursors", 0] = [(KEY, cursor(LOG, 300))]
    assert verified(topics_with(topics, 300)).findings == []
    topics.messages["strongroom.cursors", 0] = [(KEY, cursor(LOG, 300, leaf="00" * 32))]
    assert [finding.seq for finding in verified(topics).findings] == [299]


def test_a_transaction_that_stays_open_excuses_nothing_but_what_it_hides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic, "OPEN_SECONDS", 0.2)
    topics = written(LOG)
    topics.hidden["strongroom.records", 0] = 50
    report = verified(topics)
    assert report.findings == []
    assert report.unchecked.startswith(
        "a transaction that does not end hides what comes from strongroom.records[0] off"
    )


def test_a_repeat_from_too_far_back_is_compared_with_the_log_alone(
    export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay_topics, "LEAVES_KEPT", 100)
    for record, bad in ((LOG.entries[3].bytes(), 0), (LOG.entries[3].bytes().replace(b"p1", b"p2"), 1)):
        topics, again = written(LOG), written(LOG)
        for each in (topics, again):
            each.add("records", KEY, record)
        report = verified(topics)
        assert (report.findings, "record 3 stands again, too far behind" in report.unchecked) == ([], True)
        report = verified(again, export)
        assert (len(report.findings), report.unchecked, report.counts["repeats"]) == (bad, "", 1 - bad)


def test_floods_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_topics, "MAX_FOUND", 50)
    for kind in ("records", "checkpoints"):
        topics = written(LOG)
        topics.add(kind, KEY, *[b"x"] * 1000)
        report = verified(topics)
        assert any(finding.why.startswith("more than 50 things are bad") for finding in report.findings)
        assert len(report.findings) < 60 + topics.batch
    monkeypatch.setattr(cursors, "MAX_STREAMS", 20)
    monkeypatch.setattr(relay_topics, "MAX_STREAMS", 20)
    for kind in ("records", "checkpoints", "cursors"):
        topics = written(LOG)
        for number in range(30):
            other = LogBuilder(stream=f"n{number}")
            other.start()
            value = {
                "records": other.entries[0].bytes(),
                "checkpoints": other.checkpoint(),
                "cursors": cursor(other, 4),
            }
            topics.add(kind, b"n%d" % number, value[kind])
        assert any(finding.why == "more than 20 streams" for finding in verified(topics).findings), kind


def test_of_many_checkpoints_the_largest_is_always_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_topics, "MAX_KEPT", 3)
    sizes = (100, 200, 300, 400, 500, 600)
    report = verified(written(LOG, sizes))
    assert (report.counts["checkpoints"], report.findings) == (4, [])
    assert any("of 6 checkpoints only 3, and the largest" in note for note in report.notes)
    other = deepcopy(LOG)
    other.entries[3].fields["actor"]["id"] = "p2"
    topics = written(LOG, sizes[:5])
    topics.add("checkpoints", KEY, other.checkpoint(600))
    assert len(verified(topics).findings) == 1


def test_checkpoints_that_contradict_one_another_are_found_without_a_tree() -> None:
    other = deepcopy(LOG)
    other.entries[3].fields["actor"]["id"] = "p2"
    topics = written(LOG, (400, 500))
    topics.begins["strongroom.records", 0] = 300
    topics.add("checkpoints", KEY, *[other.checkpoint(400)] * 9)
    findings = verified(topics).findings
    assert findings[0].why.startswith("another root at size 400 than in strongroom.checkpoints[0] offset")
    topics = written(LOG)
    topics.add("checkpoints", KEY, *[other.checkpoint(400)] * 9)
    assert [finding.why[:41] for finding in verified(topics).findings] == [
        *["its root at size 400 is not the root of th"[:41]] * 3,
        "6 more checkpoints disagree with the reco",
    ]


def test_both_checks_of_signatures_agree(tmp_path: Path) -> None:
    (tmp_path / "vkey").write_text(LOG.vkey())
    outside = load_outside([str(tmp_path / "vkey")], [], "kafka://x")
    topics = written(LOG, (600,))
    report = verified(topics, outside=outside)
    assert (report.findings, report.logs[0].anchored) == ([], 600)
    flipped = bytearray(LOG.checkpoint(300))
    flipped[-20] ^= 1
    topics = written(LOG, (600,))
    topics.add("checkpoints", KEY, bytes(flipped))
    assert len(verified(topics, outside=outside).findings) == 1
    check = checkpoints.quick()
    assert not check(b"\0" * 31, b"", b"")
    assert not check(b"\0" * 32, b"\0" * 64, b"")


def test_what_the_caller_brings_for_another_log_is_refused(tmp_path: Path) -> None:
    other = LogBuilder(stream="n2")
    other.start()
    (tmp_path / "vkey").write_text(other.vkey())
    (tmp_path / "saved").write_bytes(other.checkpoint())
    outside = load_outside([str(tmp_path / "vkey")], [str(tmp_path / "saved")], "kafka://x")
    assert len(verified(written(LOG), outside=outside).findings) == 2
    other.write_export(tmp_path / "log")
    assert (
        "stream n2, of which that is, has neither cursor nor checkpoint here"
        in verified(written(LOG), tmp_path / "log").unchecked
    )


NO_CURSORS = [
    *(b"", b"x", b"[]", b"{}", b'{"v":1}', b'{"v":true}', b"9" * 5000),
    *(cursor(LOG, 5, **changed) for changed in ({"next": True}, {"next": 1 << 70}, {"origin": "x"}, {"leaf": 3})),
    *(cursor(LOG, 5, leaf=""), cursor(LOG, 0, leaf="00" * 32)),
]


@pytest.mark.parametrize("value", NO_CURSORS)
def test_what_is_no_cursor_is_refused(value: bytes) -> None:
    with pytest.raises(Bad):
        cursors.parse_cursor(KEY, value, "here")


def test_a_record_of_another_version_is_hashed_and_said_to_be() -> None:
    log = built(300)
    log.entries[100].fields |= {"v": 2, "new": {"x": 1}}
    log.rechain()
    report = verified(written(log, (100, 300)))
    assert (report.findings, report.logs[0].size) == ([], 300)
    assert [state.place for state in report.states] == ["v2"]


MESSAGES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from([entry.bytes() for entry in LOG.entries[:40]]),
    st.sampled_from([LOG.checkpoint(size) for size in (0, 1, 20, 40)]),
    st.sampled_from([cursor(LOG, size) for size in (0, 1, 20, 40)]),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(MESSAGES))
    for _ in range(draw(st.integers(0, 3))):
        if data:
            at = draw(st.integers(0, len(data) - 1))
            data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=3))
    return bytes(data)


KEYS = st.sampled_from([KEY, KEY, KEY, b"", b"\xff", b"n2", b'"%d'])
KINDS = st.sampled_from(["records", "checkpoints", "cursors"])


@settings(deadline=None)
@given(st.lists(st.tuples(KINDS, KEYS, damaged(), st.integers(0, 1)), max_size=12), st.sampled_from([0, 1, 2, 3]))
def test_bytes_of_whoever_wrote_them_give_a_verdict(
    export: Path, strange: list[tuple[str, bytes, bytes, int]], kind_of_target: int
) -> None:
    topics = MemoryTopics(partitions=2)
    if kind_of_target & 1:
        topics.add("records", KEY, *(entry.bytes() for entry in LOG.entries[:40]))
        topics.add("cursors", KEY, cursor(LOG, 40))
    for kind, key, value, partition in strange:
        topics.add(kind, key, value, partition=partition if kind == "records" else 0)
    report = verified(topics, *([export] if kind_of_target & 2 else []))
    assert report.exit_code(require_anchor=False) in {0, 1, 2}
    assert relayed.Head(b"").why


def test_the_text_says_what_is_not_known() -> None:
    topics = written(LOG, (600,))
    topics.begins["strongroom.records", 0] = 300
    text = as_text(verified(topics), require_anchor=False)
    assert text.isascii()
    assert "  600 records, no root known\n  no checkpoint\n" in text
    assert (
        "state: head removed: strongroom.records[0] site-a.node-1: 300 records before record 300 are no longer" in text
    )


def test_a_stream_of_which_retention_left_nothing_is_a_state_beside_one_that_is_there() -> None:
    other = LogBuilder(stream="n2")
    other.start()
    topics = MemoryTopics(partitions=2)
    topics.add("records", KEY, *(entry.bytes() for entry in LOG.entries))
    topics.add("cursors", KEY, cursor(LOG, LOG.size))
    topics.add("records", b"n2", *(entry.bytes() for entry in other.entries), partition=1)
    topics.add("cursors", b"n2", cursor(other, 4, partition=1))
    topics.begins["strongroom.records", 1] = 4
    report = verified(topics)
    assert (report.exit_code(require_anchor=False), [state.name for state in report.states]) == (0, ["all removed"])
    topics.begins["strongroom.records", 1] = 0
    topics.messages["strongroom.records", 1] = []
    assert "records 0 to 3 are not there: the tail is lost" in verified(topics).findings[0].why
