"""Which missing records a ``ledger.pruned`` excuses: exactly those, of whatever pattern, and only old ones."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from audit.verify.gaps import Gap, Pruning, judge

if TYPE_CHECKING:
    from collections.abc import Iterable

OLD, NOW = b"2026-11-01T00:00:00.000000000Z", b"2027-11-01T00:00:00.000000000Z"


def gaps_of(gone: Iterable[int], clock: bytes = OLD) -> list[Gap]:
    found: list[Gap] = []
    for seq in sorted(gone):
        if found and found[-1].end == seq:
            found[-1] = found[-1]._replace(end=seq + 1)
        else:
            found.append(Gap(seq, seq + 1, clock, "p"))
    return found


def pruning(gone: Iterable[int], first: int, end: int, at: bytes = NOW) -> Pruning:
    some = [seq for seq in gone if first <= seq < end]
    bits = bytearray((end - first) // 8)
    for seq in some:
        bits[(seq - first) // 8] |= 1 << (seq - first) % 8
    return Pruning(b"n", first, end, len(some), sha256(bits).hexdigest().encode(), at)


GONE = st.one_of(
    st.sets(st.integers(256, 1023), min_size=1, max_size=40),
    st.tuples(st.integers(256, 1023), st.integers(1, 700)).map(lambda span: set(range(span[0], min(sum(span), 1024)))),
)


@given(GONE, st.integers(256, 1023))
def test_exactly_what_was_pruned_is_excused(gone: set[int], one: int) -> None:
    said = [pruning(gone, 256, 512), pruning(gone, 512, 1024)]
    assert judge(gaps_of(gone), said) == ([], len(gone))
    more = gone ^ {one}  # one more, or one less, is missing: its segment excuses nothing
    first, end = (256, 512) if one < 512 else (512, 1024)
    left = sorted(seq for seq in more if first <= seq < end)
    findings, pruned = judge(gaps_of(more), said)
    assert bool(findings) == bool(left)
    assert left or pruned == len(more)


def test_what_was_not_old_enough_or_is_not_said_is_not_excused() -> None:
    gone = {300, 301, 400}
    for said in ([], [pruning(gone, 256, 512, OLD)]):
        assert [finding.seq for finding in judge(gaps_of(gone), said)[0]] == [300, 400]
    assert [finding.seq for finding in judge(gaps_of(gone, b""), [pruning(gone, 256, 512)])[0]] == [300, 400]
    assert judge(gaps_of(gone), [Pruning(b"n", 0, 1 << 60, 3, b"", NOW), Pruning(b"n", 5, 5, 3, b"", NOW)])[1] == 0


def test_what_is_left_of_a_gap_over_two_segments_is_named() -> None:
    gone = set(range(400, 600))
    findings, pruned = judge(gaps_of(gone), [pruning(gone, 256, 512)])
    assert (pruned, findings[0].why) == (112, "records 512 to 599 are missing before record 600")
    findings, pruned = judge(gaps_of(gone), [pruning(gone, 512, 768)])
    assert (pruned, findings[0].why) == (0, "records 400 to 599 are missing before record 600")
