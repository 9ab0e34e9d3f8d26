from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.query.filter import NAMES, Condition, QueryInvalid, condition
from vault.record import OPS
from vault.times import parse_rfc3339

VERSION = "00000007" + "ab" * 12
#: The last instant that the view's column has, one before its "infinity".
LAST_NS = 2**63 - 2


def test_no_filter_is_everything() -> None:
    assert condition([]) == Condition("true", (), (0, LAST_NS))


def test_values_are_parameters_and_never_part_of_the_statement() -> None:
    evil = "'; DROP TABLE rows_1; --"
    made = condition([("bucket", evil), ("q", evil), ("prefix", evil)])
    assert evil not in made.sql
    assert made.parameters.count(evil) == made.sql.count("?") == len(made.parameters)


def test_a_family_of_operations_is_all_of_them() -> None:
    (ops,) = condition([("op", "bucket.*"), ("op", "object.get")]).parameters
    assert ops == sorted({op for op in OPS if op.startswith("bucket.")} | {"object.get"})


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("2026-11-27", "2026-11-27T00:00:00Z"),
        ("2026-11-27T08:00:00+08:00", "2026-11-27T00:00:00Z"),
        ("2026-11-27T08:00:00 08:00", "2026-11-27T00:00:00Z"),  # a plus sign in a query, not escaped
        ("2026-11-27T00:00:00.000000001Z", "2026-11-27T00:00:00.000000001Z"),
    ],
)
def test_a_time_has_an_offset_or_is_a_day(value: str, instant: str) -> None:
    ns = parse_rfc3339(instant)
    assert condition([("from", value)]).times == (ns, LAST_NS)
    assert condition([("to", value)]).times == (0, ns - 1)


def test_a_time_after_all_that_the_view_can_hold_is_the_last_one_that_it_can() -> None:
    for name in ("from", "to"):
        made = condition([(name, "4376-09-29")])
        assert made.parameters == (LAST_NS,)
        assert made.times[name == "to"] == LAST_NS


def test_a_version_is_its_ordinal_under_its_key() -> None:
    made = condition([("bucket", "b"), ("key", "k"), ("version_id", VERSION)])
    assert 7 in made.parameters


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ([("buckt", "b")], "there is no filter 'buckt'"),
        ([("bucket", "")], "bucket: 1 to 1024 characters"),
        ([("bucket", "x" * 1025)], "bucket: 1 to 1024 characters"),
        ([("bucket", "a"), ("bucket", "b")], "bucket: given more often"),
        ([("op", "object.get")] * 51, "op: given more often than 50"),
        ([("op", "object.got")], "there is no operation 'object.got'"),
        ([("op", ".*")], "there is no operation"),
        ([("outcome", "ok")], "'ok' is none of success, denied, failure"),
        ([("from", "yesterday")], "from: 'yesterday' is no time"),
        ([("from", "2026-11-27T00:00:00")], "is no time"),  # whose midnight?
        ([("to", "2026-02-30")], "to: '2026-02-30' is no time"),
        ([("from", "2026-11-28"), ("to", "2026-11-28")], "`to` is not after `from`"),
        ([("version_id", VERSION)], "bucket and key are needed"),
        ([("bucket", "b"), ("key", "k"), ("version_id", "null")], "not a version id"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_says_why(filters: list[tuple[str, str]], said: str) -> None:
    with pytest.raises(QueryInvalid) as refused:
        condition(filters)
    assert said in str(refused.value)


@given(st.lists(st.tuples(st.sampled_from(sorted(NAMES)) | st.text(max_size=8), st.text(max_size=30)), max_size=6))
def test_anything_is_a_condition_or_refused(filters: list[tuple[str, str]]) -> None:
    try:
        made = condition(filters)
    except QueryInvalid:
        return
    assert made.sql.count("?") == len(made.parameters)
