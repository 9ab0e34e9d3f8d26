"""What one may ask for: the filters of ``GET /v1/records``, judged as a whole, as a condition over the view. Pure.

Times are RFC 3339 with ``Z`` or an offset, or a day (``2026-11-27``: its beginning, UTC); ``from`` is inclusive, ``to``
exclusive. A name that is none of these is an error: a filter that was misspelt must not silently match everything.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.errors import AuditError
from audit.query.columns import TEXTS
from vault.record import DENIED, FAILURE, OPS, SUCCESS
from vault.state.rows import ordinal_of
from vault.times import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Of one value, in characters: an object's key has at most 1,024.
MAX_VALUE: Final = 1024
#: Values of a filter that may be repeated.
MAX_REPEATS: Final = 50

#: Filters that compare one column with one value, and what each means.
EXACT: Final = {
    "bucket": "Bucket, exactly.",
    "key": "Object key, exactly.",
    "actor": "Principal: its id, as records name it.",
    "person": "Person behind the principal, exactly.",
    "ip": "Address that the request came from, exactly.",
    "reason": "Reason of a refusal or failure, as records have it.",
    "stream": "Stream, exactly.",
    "source": "Source of another system's events, exactly.",
}
#: Filters that may be repeated: any of the values.
SEVERAL: Final = {
    "op": "Operation, or all of a family: object.delete, or object.*; may be repeated.",
    "outcome": "success, denied or failure; may be repeated.",
}
OTHERS: Final = {
    "prefix": "Object keys that begin with this.",
    "version_id": "Version id; needs bucket and key.",
    "from": "Not before this time: RFC 3339, or a day (UTC).",
    "to": "Before this time: RFC 3339, or a day (UTC).",
    "q": f"Text, upper or lower case, anywhere in one of: {', '.join(TEXTS)}.",
}
NAMES: Final = EXACT.keys() | SEVERAL.keys() | OTHERS.keys()

#: The last time that the view can hold (64 bits; in the year 2262): no record is of a later one.
_LAST_NS: Final = 2**63 - 2
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_OUTCOMES: Final = (SUCCESS, DENIED, FAILURE)


class QueryInvalid(AuditError):
    """A question that cannot be answered as it stands; says what is wrong with it."""

    code = "query-invalid"
    status = 400


class Condition(NamedTuple):
    """A condition over the view's columns.

    Attributes:
        sql: All of it but what is in ``named``.
        parameters: Of ``sql``.
        times: What it allows, in ns.
        named: The key that rows name, and its bucket if that was given; empty where no key was. The view looks them up.
    """

    sql: str
    parameters: tuple[object, ...]
    times: tuple[int, int]
    named: tuple[tuple[str, str], ...] = ()

    def within(self, term: str, value: object) -> Condition:
        """The same, narrowed by one term with one parameter."""
        return self._replace(sql=f"{self.sql} AND {term}", parameters=(*self.parameters, value))


def condition(filters: Iterable[tuple[str, str]]) -> Condition:
    """Make the condition.

    Args:
        filters: Names and values as a client sent them.

    Raises:
        QueryInvalid: One of them is unknown, stands twice, or has a value that it cannot have.
    """
    given = _gather(filters)
    times = (
        min(instant("from", given["from"][0]), _LAST_NS) if "from" in given else 0,
        min(instant("to", given["to"][0]) - 1, _LAST_NS) if "to" in given else _LAST_NS,
    )
    if times[1] < times[0]:
        raise QueryInvalid("`to` is not after `from`")
    terms: dict[str, tuple[str, list[object]]] = {name: (f'"{name}" = ?', [*given.get(name, ())]) for name in EXACT}
    terms["prefix"] = "starts_with(key, ?)", [*given.get("prefix", ())]
    terms["version_id"] = "ordinal = ?", [_ordinal(given)]
    terms["op"] = "op IN (SELECT unnest(?))", [_ops(given.get("op", ()))]
    terms["outcome"] = "outcome IN (SELECT unnest(?))", [_outcomes(given.get("outcome", ()))]
    anywhere = " OR ".join(f"contains(lower({name}), lower(?))" for name in TEXTS)
    terms["q"] = f"({anywhere})", [*given.get("q", ())] * len(TEXTS)
    terms["from"] = '"time" >= make_timestamp_ns(?)', [times[0]]
    terms["to"] = '"time" <= make_timestamp_ns(?)', [times[1]]
    by_key = [name for name in ("key", "bucket") if name in given] if "key" in given else []
    named = tuple((name, given[name][0]) for name in by_key)
    chosen = [terms[name] for name in given if name not in by_key]
    sql = " AND ".join(sql for sql, _ in chosen) or "true"
    return Condition(sql, tuple(value for _, values in chosen for value in values), times, named)


def _gather(filters: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    for name, value in filters:
        if name not in NAMES:
            raise QueryInvalid(f"there is no filter {name[:40]!r}; filters are {', '.join(sorted(NAMES))}")
        if not value or len(value) > MAX_VALUE:
            raise QueryInvalid(f"{name}: 1 to {MAX_VALUE} characters are needed")
        values = given.setdefault(name, [])
        values.append(value)
        if len(values) > (MAX_REPEATS if name in SEVERAL else 1):
            raise QueryInvalid(f"{name}: given more often than {MAX_REPEATS if name in SEVERAL else 1} times")
    return given


def _ordinal(given: dict[str, list[str]]) -> int:
    if "version_id" not in given:
        return 0
    if "bucket" not in given or "key" not in given:
        raise QueryInvalid("version_id: bucket and key are needed beside it")
    ordinal = ordinal_of(given["version_id"][0])
    if not ordinal:
        raise QueryInvalid("version_id: not a version id of this vault: 32 lowercase hexadecimal digits")
    return ordinal


def _outcomes(values: Iterable[str]) -> list[str]:
    for value in values:
        if value not in _OUTCOMES:
            raise QueryInvalid(f"outcome: {value[:40]!r} is none of {', '.join(_OUTCOMES)}")
    return list(values)


def _ops(values: Iterable[str]) -> list[str]:
    found: set[str] = set()
    for value in values:
        family = {op for op in OPS if op.startswith(value[:-1])} if value.endswith(".*") else {value} & OPS
        if not family:
            raise QueryInvalid(f"op: there is no operation {value[:40]!r}; operations are {', '.join(sorted(OPS))}")
        found |= family
    return sorted(found)


def instant(name: str, value: str) -> int:
    """Read a time as people write it, in ns since the epoch.

    Args:
        name: What it is the time of, for the error.
        value: RFC 3339 with ``Z`` or an offset, or a day (its beginning, UTC).

    Raises:
        QueryInvalid: It is none.
    """
    text = f"{value}T00:00:00Z" if _DAY.fullmatch(value) else value
    try:
        return parse_rfc3339(text.replace(" ", "+"))  # a plus sign that was not escaped in a URL arrives as a space
    except ValueError as error:
        example = rfc3339(1_795_000_000_000_000_000)[:19]
        raise QueryInvalid(f"{name}: {value[:40]!r} is no time; write {example}Z, {example}+08:00 or a day") from error
