from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from vault.state.ingest import (
    GENERATION,
    LATE,
    OTHER_BYTES,
    Batch,
    Member,
    Plan,
    Seen,
    digest_key,
    event_key,
    plan,
)

SOURCE = "app"


def member(event_id: str = "", data: str = "x", sequence: int = -1) -> Member:
    digest = sha256(data.encode()).digest()
    key = event_key(SOURCE, event_id, sequence)
    return Member(f"{event_id}:{data}:{sequence}".encode(), key, digest_key(digest), sequence)


class Source:
    """Brings events one batch after the other, and remembers as the committer does."""

    def __init__(self) -> None:
        self.seen = Seen()
        self.highest = -1
        self.position = 0
        self.kept: list[tuple[int, Member]] = []

    def bring(self, *members: Member) -> Plan:
        made = plan(Batch(SOURCE, members, 0), self.highest, self.seen)
        self.seen.add(self.position, made.fresh)
        self.highest = made.highest
        for tail, _, _ in made.records:
            if tail:
                self.kept.append((self.position, next(each for each in members if each.tail == tail)))
            self.position += 1
        return made


def test_an_event_that_is_there_is_not_kept_again() -> None:
    source = Source()
    assert source.bring(member("a"), member("b")).outcome.stored == 2
    again = source.bring(member("a"), member("c"), member("b"))
    assert (again.outcome.stored, again.outcome.duplicates) == (1, [0, 2])


def test_a_repeat_inside_one_request_is_one() -> None:
    told = Source().bring(member("a"), member("a"), member("a", "other"), member("a", "other"), member("a")).outcome
    assert (told.stored, told.duplicates, told.conflicts) == (2, [1, 3, 4], [2])


def test_a_name_with_other_bytes_is_kept_and_marked_and_then_known_too() -> None:
    source = Source()
    source.bring(member("a", "one"))
    other = source.bring(member("a", "two"), member("a", "three"))
    assert [record[1] for record in other.records] == [OTHER_BYTES, OTHER_BYTES]
    assert other.outcome.conflicts == [0, 1]
    again = source.bring(member("a", "two"), member("a", "three"), member("a", "one"))
    assert (again.records, again.outcome.duplicates) == ([], [0, 1, 2])


def test_events_without_a_name_are_all_kept() -> None:
    assert Source().bring(member(), member(), member()).outcome.stored == 3


def test_sources_do_not_share_names() -> None:
    assert event_key("a", "x", -1) != event_key("b", "x", -1)
    assert event_key("a", "1", -1) != event_key("a", "", 1)


def test_numbers_that_do_not_come_are_told_before_the_one_that_did() -> None:
    source = Source()
    first = source.bring(member(sequence=100))
    assert first.outcome.gaps == []  # a source may begin anywhere
    made = source.bring(member(sequence=101), member(sequence=105), member(sequence=106), member(sequence=108))
    assert made.outcome.gaps == [(102, 104), (107, 107)]
    assert [record[2] for record in made.records] == [None, (102, 104), None, None, (107, 107), None]
    assert made.highest == 108


def test_a_number_that_comes_late_is_kept_and_marked_and_then_a_repeat() -> None:
    source = Source()
    source.bring(member(sequence=1), member(sequence=5))
    late = source.bring(member(sequence=3))
    assert (late.outcome.late, late.records[0][1], late.highest) == ([0], LATE, 5)
    assert source.bring(member(sequence=3)).outcome.duplicates == [0]
    assert source.bring(member(sequence=3, data="other")).outcome.conflicts == [0]


def test_repeats_are_recognised_within_at_least_one_generation_and_memory_within_two() -> None:
    seen = Seen()
    seen.add(GENERATION - 1, {1: b"10"})
    seen.add(GENERATION, {2: b"20"})
    seen.add(2 * GENERATION - 1, {3: b"30"})
    assert [seen.find(key) for key in (1, 2, 3)] == [b"10", b"20", b"30"]
    seen.add(2 * GENERATION, {4: b"40"})
    assert [seen.find(key) for key in (1, 2, 3, 4)] == [None, b"20", b"30", b"40"]
    seen.add(4 * GENERATION, {5: b"50"})
    assert [seen.find(key) for key in (2, 3, 4, 5)] == [None, None, None, b"50"]


EVENTS = st.lists(
    st.builds(member, st.sampled_from(["", "a", "b", "c"]), st.sampled_from("xyz"), st.sampled_from([-1, 1, 2, 3])),
    max_size=8,
)


@given(st.lists(EVENTS, max_size=4))
def test_whatever_was_brought_is_all_repeats_when_it_is_brought_again_before_and_after_a_start(
    requests: list[list[Member]],
) -> None:
    source = Source()
    for request in requests:
        source.bring(*request)
    named = [[each for each in request if each.key] for request in requests]
    for request in named:
        assert source.bring(*request).outcome.duplicates == list(range(len(request)))
    restarted = Source()
    for position, each in source.kept:
        if each.key:
            restarted.seen.recall(position, each.key, each.digest)
    for request in named:
        assert restarted.bring(*request).outcome.duplicates == list(range(len(request)))


@given(st.lists(st.builds(member, st.sampled_from("abcdefgh"), st.sampled_from("xy")), max_size=8), EVENTS)
def test_what_comes_of_events_does_not_change_where_a_numbered_one_is_among_them(
    events: list[Member], before: list[Member]
) -> None:
    source = Source()
    source.bring(*before)
    by_itself = plan(Batch(SOURCE, events, 0), -1, source.seen)
    number = member(data="numbered", sequence=9)
    followed = plan(Batch(SOURCE, [*events, number], 0), -1, source.seen)
    assert followed.records == [*by_itself.records, (number.tail, "", None)]
    assert followed.fresh == {**by_itself.fresh, number.key: number.digest}
    told, also = by_itself.outcome, followed.outcome
    assert (also.stored, also.duplicates, also.conflicts) == (told.stored + 1, told.duplicates, told.conflicts)
