from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.s3.conditions import byte_range, conditions, etags, http_date, http_time
from vault.service.context import ByteRange, Conditions


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("bytes=0-9", (0, 9)),
        ("bytes=5-", (5, None)),
        ("bytes=-3", (None, 3)),
        ("bytes=-0", (None, 0)),
        ("bytes=-", None),
        ("bytes=9-0", None),
        ("bytes=0-1,3-4", None),
        ("bytes=a-b", None),
        ("bytes=0-٣", None),
        ("items=0-1", None),
        ("bytes 0-1", None),
        ("bytes=" + "9" * 20 + "-", None),
    ],
)
def test_a_single_byte_range_is_read_and_the_rest_ignored(value: str | None, expected: ByteRange | None) -> None:
    assert byte_range(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("Sun, 22 Nov 2026 16:46:08 GMT", 1795365968),
        ("Sunday, 22-Nov-26 16:46:08 GMT", 1795365968),
        ("Sun Nov 22 16:46:08 2026", 1795365968),
        ("yesterday", None),
        ("", None),
    ],
)
def test_a_date_is_read_and_what_is_none_ignored(value: str | None, expected: int | None) -> None:
    assert http_date(value) == expected


def test_a_date_is_written_in_seconds() -> None:
    assert http_time(1795365968_999_999_999) == "Sun, 22 Nov 2026 16:46:08 GMT"


def test_etags_are_read_without_quotes() -> None:
    assert etags(None) == ()
    assert etags("*") == ("*",)
    assert etags('"a", W/"b",c') == ("a", "b", "c")


@given(st.text())
def test_any_text_is_read(value: str) -> None:
    byte_range(value)
    etags(value)
    assert http_date(value) is None or isinstance(http_date(value), int)


def test_all_conditions_are_read() -> None:
    assert conditions({}) == Conditions()
    assert conditions(
        {
            "if-match": '"a"',
            "if-none-match": "*",
            "if-modified-since": "Sun, 22 Nov 2026 16:46:08 GMT",
            "if-unmodified-since": "Sun, 22 Nov 2026 16:46:09 GMT",
        }
    ) == Conditions(("a",), ("*",), 1795365968, 1795365969)
