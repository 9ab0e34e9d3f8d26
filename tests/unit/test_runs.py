"""Runs of records come back as they were sent, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import ControlFailed
from audit.runs import NOTHING, Run


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_a_run_comes_back_as_it_was_sent(records: list[bytes]) -> None:
    run = Run.of(records)
    assert run.records() == records
    assert Run.decode(run.encode(), len(records)) == run


def test_what_stands_between_records_is_not_theirs() -> None:
    run = Run(Run.of([b"", b""]).offsets, Run.of([b"12", b"345"]).lengths, b"..12|345")._replace()
    run.offsets[:] = Run.of([b"12", b"12345678"]).offsets
    run.offsets[0], run.offsets[1] = 2, 5
    assert Run.decode(run.encode(), 2).records() == [b"12", b"345"]


def test_nothing_is_a_run_too() -> None:
    assert NOTHING.records() == []
    assert Run.decode(b"", 0) == NOTHING


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_bytes_than_a_run_has_are_refused(count: int) -> None:
    payload = Run.of([b"one", b"two"]).encode()
    with pytest.raises(ControlFailed):
        Run.decode(payload[:-1] if count == 2 else payload[: 8 * count - 1], count)


@given(st.binary(max_size=100), st.integers(0, 12))
def test_any_bytes_are_a_run_or_refused(payload: bytes, count: int) -> None:
    try:
        records = Run.decode(payload, count).records()
    except ControlFailed:
        return
    assert len(records) == count
