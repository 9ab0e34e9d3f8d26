"""Questions about records at random, their answers page by page, and what one pass over the ledger says of all of them.

The pass shares nothing with what it judges: it decodes every record, and compares its fields with what was asked. It
answers hundreds of questions at once, because what a field's value says to each of them is looked up the second time.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec

from audit.query.records import Question
from tests.doubles.operations import ACTORS, BUCKETS, KEYS, OPS, PERSONS, SOURCES
from tests.doubles.whole_node import HERE
from vault.policy import SYSTEM
from vault.record import Actor

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Sequence

    from audit.query.records import Asking

    _Wanted = dict[str, set[str]]

MARK: Final = Actor(SYSTEM, person="marker")
#: What may be asked for by each filter; some of it is nowhere.
VALUES: Final = {
    "actor": (*ACTORS, SYSTEM, "p0"),
    "bucket": (*BUCKETS, "none"),
    "ip": ("10.0.0.0", "10.0.0.2"),
    "key": (*KEYS, "2026/0000007"),
    "op": (*OPS, "object.*", "ledger.*", "ingest.*"),
    "outcome": ("success", "denied", "failure"),
    "person": (*PERSONS[1:], "marker"),
    "prefix": ("2026/", "a.json", "2026/00001", "2026/b\0", "x%", "\U0001f600"),
    "q": ("a.JSON", "lee", "'", "%", "AWS", "00123", "\u00c9"),
    "reason": ("no_such_bucket", "no_such_key", "policy", "retention"),
    "source": SOURCES,
    "stream": ("site-a.node-1", "site-b.node-1"),
}
_REPEATS: Final = {"op": 3, "outcome": 2}
#: Values of a field whose meaning to all questions is remembered.
_REMEMBERED: Final = 100_000


def question(rng: random.Random, times: Sequence[str]) -> Question:
    """A question of up to three filters, often of a time, too.

    Args:
        rng: Chooses.
        times: Times of records, some of which become bounds.
    """
    names = sorted(rng.sample(sorted(VALUES), rng.randrange(4)))
    filters = [(name, each) for name in names for each in rng.sample(VALUES[name], rng.randint(1, _most(name)))]
    if rng.random() < 0.2:
        filters = [
            ("bucket", BUCKETS[0]),
            ("key", rng.choice(KEYS)),
            ("version_id", f"{rng.randint(1, 9):08x}{0:024x}"),
        ]
    if rng.random() < 0.5:
        first, last = sorted(each[: rng.choice((10, 30))] for each in rng.sample(times, 2))
        filters += [("from", first), ("to", last)] if first < last else [("from", first)]
    return Question(filters, "x", rng.choice((1, 7, 100, 1000)), rng.choice(("asc", "desc")), total=True)


def _most(name: str) -> int:
    return _REPEATS.get(name, 1)


@dataclass(slots=True)
class Answer:
    """What was answered: the total, and seqs and leaf hashes of what was handed out; ``ended`` after the last page."""

    asked: Question
    snapshot: int
    total: int
    pages: int = 0
    seqs: list[int] = field(default_factory=list)
    leaves: list[str] = field(default_factory=list)
    ended: bool = False


def answer(asking: Asking, asked: Question, most: int) -> Answer:
    """Ask, and turn at most so many pages, each of which must be one of this answer, with records as they are."""
    page = asking.ask(MARK, HERE, asked)
    assert page.total is not None
    got = Answer(asked, page.snapshot, page.total)
    while True:
        assert page.snapshot == got.snapshot
        assert page.total == got.total
        assert len(page.records) == asked.limit or (len(page.records) < asked.limit and not page.next)
        for each in page.records:
            assert sha256(b"\0" + bytes(each.record)).hexdigest() == each.leaf
        got.pages += 1
        got.seqs += [each.seq for each in page.records]
        got.leaves += [each.leaf for each in page.records]
        got.ended = not page.next
        if got.ended or got.pages == most:
            return got
        page = asking.ask(MARK, HERE, asked._replace(cursor=page.next))


def check(answers: Sequence[Answer], records: Iterable[tuple[int, bytes]]) -> int:
    """Read records once, from the first on, and see that every answer is what they say.

    Returns:
        How many were read.

    Raises:
        AssertionError: An answer has another total, a record too many or too few, twice, out of order or altered.
    """
    expected = _Expected(answers)
    leaves = {seq: leaf for each in answers for seq, leaf in zip(each.seqs, each.leaves, strict=True)}
    read = 0
    for seq, data in records:
        expected.add(seq, msgspec.json.decode(data))
        leaf = leaves.pop(seq, "")
        assert not leaf or leaf == sha256(b"\0" + data).hexdigest(), f"record {seq} was handed out otherwise"
        read += 1
    for got, total, seqs in zip(answers, expected.totals, expected.seqs, strict=True):
        named = f"{got.asked} of {got.snapshot}"
        assert got.total == total, named
        assert got.seqs == (list(seqs) if got.asked.order == "asc" else list(seqs)[::-1]), named
        assert got.ended == (len(got.seqs) == total), named
    return read


class _Expected:
    """What records say of questions: how many match each, and of these as many seqs as were handed out."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        wanted: list[_Wanted] = []
        for each in answers:
            wanted.append({"snapshot": {f"{each.snapshot:020d}"}})
            for name, value in each.asked.filters:
                wanted[-1].setdefault(name, set()).add(value)
        self.totals = [0] * len(answers)
        self.seqs: list[deque[int]] = [
            deque(maxlen=len(each.seqs)) if each.asked.order == "desc" else deque() for each in answers
        ]
        self._first = [len(each.seqs) if each.asked.order == "asc" else None for each in answers]
        names = (*_FIELDS, "op", "prefix", "q", "version_id")
        self._bits = {name: _Bits(wanted, name, _MEANS.get(name, _is_one_of)) for name in names}
        self._bounds = {name: _Bounds(wanted, name) for name in ("from", "to", "snapshot")}

    def add(self, seq: int, record: Any) -> None:
        """Count a record for all questions that it answers."""
        fields = {name: of(record) for name, of in _FIELDS.items()}
        named = record.get("object", {})
        bits = self._bounds["from"](record["time"]) & self._bounds["to"](record["time"])
        bits &= self._bounds["snapshot"](f"{seq:020d}") & self._bits["op"][record["op"]]
        bits &= self._bits["prefix"][fields["key"]] & self._bits["version_id"][_ordinal(record)]
        for name, value in fields.items():
            bits &= self._bits[name][value]
        anywhere = 0
        for text in (fields["key"], fields["bucket"], fields["reason"], fields["person"], named.get("prefix", "")):
            anywhere |= self._bits["q"][text]
        bits &= anywhere | self._bits["q"][record["origin"].get("agent", "")]
        while bits:
            number = bits.bit_length() - 1
            bits ^= 1 << number
            self.totals[number] += 1
            first = self._first[number]
            if first is None or len(self.seqs[number]) < first:
                self.seqs[number].append(seq)


class _Bits(dict[str, int]):
    """For each value of a field the questions that it answers, a bit each; who does not ask for the field takes all."""

    def __init__(self, wanted: Sequence[_Wanted], name: str, means: Callable[[str, set[str]], bool]) -> None:
        super().__init__()
        self._asking = [(1 << number, each[name]) for number, each in enumerate(wanted) if name in each]
        self._others = (1 << len(wanted)) - 1 - sum(bit for bit, _ in self._asking)
        self._means = means

    def __missing__(self, value: str) -> int:
        if len(self) >= _REMEMBERED:
            self.clear()
        self[value] = bits = self._others | sum(bit for bit, values in self._asking if self._means(value, values))
        return bits


class _Bounds:
    """The same for what is compared with a bound: all values between two neighbouring bounds mean the same."""

    def __init__(self, wanted: Sequence[_Wanted], name: str) -> None:
        self._bounds = ["", *sorted({bound for each in wanted for bound in each.get(name, ())})]
        self._bits = _Bits(wanted, name, _not_before if name == "from" else _before)

    def __call__(self, value: str) -> int:
        return self._bits[self._bounds[bisect_right(self._bounds, value) - 1]]


def _is_one_of(value: str, wanted: set[str]) -> bool:
    return value in wanted


def _of_family(value: str, wanted: set[str]) -> bool:
    return any(re.fullmatch(each.replace(".*", r"\..+"), value) for each in wanted)


def _begins(value: str, wanted: set[str]) -> bool:
    return value.startswith(min(wanted))


def _holds(value: str, wanted: set[str]) -> bool:
    return min(wanted).lower() in value.lower()


def _not_before(value: str, wanted: set[str]) -> bool:
    return value >= min(wanted)


def _before(value: str, wanted: set[str]) -> bool:
    return value < min(wanted)


def _has_ordinal(value: str, wanted: set[str]) -> bool:
    return value == min(wanted)[:8]


def _ordinal(record: Any) -> str:
    return f"{record.get('version', {}).get('ordinal', 0):08x}"


_MEANS: Final = {"op": _of_family, "prefix": _begins, "q": _holds, "version_id": _has_ordinal}
_FIELDS: Final[dict[str, Callable[[Any], str]]] = {
    "bucket": lambda record: record.get("object", {}).get("bucket", ""),
    "key": lambda record: record.get("object", {}).get("key", ""),
    "actor": lambda record: record["actor"]["id"],
    "person": lambda record: record["actor"].get("person", ""),
    "ip": lambda record: record["origin"].get("ip", ""),
    "reason": lambda record: record.get("reason", ""),
    "stream": lambda record: record["stream"],
    "outcome": lambda record: record["outcome"],
    "source": lambda record: record.get("ingest", {}).get("source", ""),
}
