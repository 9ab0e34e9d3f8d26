from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.times import DAY_NS, MAX_NS, NS, parse_rfc3339, rfc3339

instants = st.integers(0, MAX_NS)


@given(instants)
def test_what_is_written_reads_back_to_the_nanosecond(ns: int) -> None:
    text = rfc3339(ns)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", text)
    assert parse_rfc3339(text) == ns


@given(instants, instants)
def test_text_orders_as_instants_do(one: int, other: int) -> None:
    assert (rfc3339(one) < rfc3339(other)) == (one < other)


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)), st.integers(-1439, 1439))  # noqa: DTZ001
def test_offsets_mean_what_the_standard_library_says(local: datetime, offset: int) -> None:
    zone = f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
    text = local.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0") + f".{local.microsecond:06}{zone}"
    moment = datetime.fromisoformat(text).astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    assert parse_rfc3339(text) == (moment.days * 86_400 + moment.seconds) * NS + moment.microseconds * 1000


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T01:00:00.5+01:00", NS // 2),
        ("1970-01-02T00:00:00.000000001Z", DAY_NS + 1),
        ("2038-01-19T03:14:08Z", 2**31 * NS),
        ("9999-12-31T23:59:59.999999999Z", MAX_NS),
    ],
)
def test_known_instants(text: str, ns: int) -> None:
    assert parse_rfc3339(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-22",
        "2026-11-22T16:46:08",
        "2026-11-22 16:46:08Z",
        "2026-11-22T16:46:08.Z",
        "2026-11-22T16:46:08.1234567890Z",
        "2026-11-22T16:46:08+0100",
        "2026-11-22T16:46:08+24:00",
        "2026-11-22T16:46:08+01:60",
        "2026-13-22T16:46:08Z",
        "2026-02-29T16:46:08Z",
        "2026-11-22T24:00:00Z",
        "0000-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999999Z",
        "1970-01-01T00:30:00+01:00",
        "9999-12-31T23:59:59-00:01",
        "٢٠٢٦-11-22T16:46:08Z",
        "2026-11-22T16:46:08Z\n",
        "-026-11-22T16:46:08Z",
        f"2026-11-22T16:46:08.{9 * chr(0x661)}Z",
        "2026-11-22T16:46:08.12345678 Z",
        "2026-11-22T16:46:08.+12345678Z",
        "2026-13-22T16:46:08.000000000Z",
        "1969-12-31T23:59:59.000000000Z",
    ],
)
def test_what_is_no_such_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"instant|month|day|hour|year"):
        parse_rfc3339(text)


@given(st.text(max_size=40) | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,12})?(Z|[+-]\d\d:\d\d)?"))
def test_any_text_is_an_instant_that_can_be_written_or_a_value_error(text: str) -> None:
    try:
        ns = parse_rfc3339(text)
    except ValueError:
        return
    assert parse_rfc3339(rfc3339(ns)) == ns
