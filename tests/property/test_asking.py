"""Every answer equals what a scan of the ledger finds, whatever is asked and however much is written meanwhile."""

from __future__ import annotations

import random
import re
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.query.records import Question
from tests.doubles.memory import memory_directory
from tests.doubles.whole_node import HERE, commit, make, open_node
from vault.policy import SYSTEM
from vault.record import Actor, ObjectRef, Origin, Tail

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from audit.node import Node

pytestmark = pytest.mark.timeout(300)

BUCKETS = ("trades", "mail", "a'b")
KEYS = ("2026/a.json", "2026/A.json", "2026/b\0c", "x%_y", "\U0001f600/é", "tab\there", 'q"uo\\te')
PERSONS = ("", "Ann Lee", "bob")
OPS = ("object.get", "object.head", "object.list", "bucket.list", "bucket.head", "object.read.failed")
MARK = Actor(SYSTEM, person="marker")


def some(rng: random.Random) -> Tail:
    """A record of the system's own: most name something that is not there, and become failures."""
    op = rng.choice(OPS)
    named = ObjectRef(rng.choice(BUCKETS), key=rng.choice(KEYS), prefix=rng.choice(("", "2026/")))
    actor = Actor(SYSTEM, person=rng.choice(PERSONS))
    origin = Origin("s3", ip=f"10.0.0.{rng.randrange(3)}", agent=rng.choice(("aws-cli/2", "Boto3/1")))
    return Tail(op=op, actor=actor, origin=origin, object=named, ref=rng.choice((-1, 3)))


@pytest.fixture(scope="module")
def vault() -> Iterator[Node]:
    with memory_directory() as directory:
        make(directory / "v")
        with open_node(directory / "v", file_rows=200) as node:
            rng = random.Random(7)
            for _ in range(12):
                commit(node, [some(rng) for _ in range(80)])
                node.asking.ask(MARK, HERE, Question([], "x", 1))
            stop = Event()
            assert len(node._view._parts.catalogue.files) >= 3
            writer = Thread(target=keep_writing, args=(node, stop))
            writer.start()
            try:
                yield node
            finally:
                stop.set()
                writer.join()


def keep_writing(node: Node, stop: Event) -> None:
    rng = random.Random(8)
    while not stop.wait(0.02):
        commit(node, [some(rng) for _ in range(5)])


def scan(node: Node, snapshot: int, filters: Sequence[tuple[str, str]]) -> list[int]:
    """Seqs that match, oldest first: read, decoded and compared one by one."""
    wanted: dict[str, set[str]] = {}
    for name, value in filters:
        wanted.setdefault(name, set()).add(value)
    return [seq for seq, data in node.history.read(0, snapshot) if matches(msgspec.json.decode(data), wanted)]


def matches(record: Any, wanted: dict[str, set[str]]) -> bool:
    named = record.get("object", {})
    fields = {
        "bucket": named.get("bucket", ""),
        "key": named.get("key", ""),
        "actor": record["actor"]["id"],
        "person": record["actor"].get("person", ""),
        "ip": record["origin"].get("ip", ""),
        "reason": record.get("reason", ""),
        "stream": record["stream"],
        "outcome": record["outcome"],
    }
    texts = [*(fields[name] for name in ("key", "bucket", "reason", "person")), named.get("prefix", "")]
    texts.append(record["origin"].get("agent", ""))
    return all(_one(name, values, record, fields, texts) for name, values in wanted.items())


def _one(name: str, values: set[str], record: Any, fields: dict[str, str], texts: list[str]) -> bool:
    value = min(values)
    if name == "op":
        return any(re.fullmatch(each.replace(".*", r"\..+"), record["op"]) for each in values)
    if name == "prefix":
        return fields["key"].startswith(value)
    if name == "q":
        return any(value.lower() in text.lower() for text in texts)
    if name in {"from", "to"}:
        return bool(record["time"] >= value if name == "from" else record["time"] < value)
    return fields[name] in values


def chosen(name: str, *values: str) -> st.SearchStrategy[list[tuple[str, str]]]:
    return st.sampled_from(values).map(lambda value: [(name, value)])


FILTERS = {
    "bucket": chosen("bucket", *BUCKETS, "none"),
    "key": chosen("key", *KEYS),
    "prefix": chosen("prefix", "2026/", "2026/b\0", "x%", "\U0001f600"),
    "person": chosen("person", "Ann Lee", "bob"),
    "actor": chosen("actor", SYSTEM, "p0"),
    "ip": chosen("ip", "10.0.0.0", "10.0.0.2"),
    "reason": chosen("reason", "no_such_bucket", "no_such_key"),
    "stream": chosen("stream", "site-a.node-1", "site-b.node-1"),
    "q": chosen("q", "a.JSON", "lee", "'", "%", "AWS"),
    "op": st.lists(st.sampled_from([*OPS, "object.*", "ledger.*"]), min_size=1, max_size=3).map(
        lambda ops: [("op", op) for op in ops]
    ),
    "outcome": st.lists(st.sampled_from(["success", "denied", "failure"]), min_size=1, max_size=2).map(
        lambda all_: [("outcome", each) for each in all_]
    ),
}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_every_answer_is_what_a_scan_of_the_ledger_finds(vault: Node, data: st.DataObject) -> None:
    names = data.draw(st.sets(st.sampled_from(sorted(FILTERS)), max_size=3), label="filters")
    filters = [pair for name in sorted(names) for pair in data.draw(FILTERS[name], label=name)]
    times = sorted(
        msgspec.json.decode(vault.history.record(data.draw(st.integers(0, 900), label="time of")))["time"]
        for _ in range(2)
    )
    if data.draw(st.booleans(), label="of a time"):
        filters += [("from", times[0]), ("to", times[1])] if times[0] < times[1] else [("from", times[0])]
    order = data.draw(st.sampled_from(["asc", "desc"]), label="order")
    limit = data.draw(st.sampled_from([1, 7, 100, 1000]), label="limit")
    asked = Question(filters, "x", limit, order, total=True)
    page = vault.asking.ask(MARK, HERE, asked)
    expected = scan(vault, page.snapshot, filters)
    assert page.total == len(expected)
    found = [each.seq for each in page.records]
    for _ in range(8):
        if not page.next:
            assert found == (expected if order == "asc" else expected[::-1])
            return
        page = vault.asking.ask(MARK, HERE, asked._replace(cursor=page.next))
        assert len(page.records) <= limit
        found += [each.seq for each in page.records]
    assert found == (expected if order == "asc" else expected[::-1])[: len(found)]


def test_what_is_handed_out_is_the_records_exact_bytes(vault: Node) -> None:
    page = vault.asking.ask(MARK, HERE, Question([], "x", 1000))
    assert len(page.records) == min(1000, page.snapshot)
    sent = msgspec.json.decode(msgspec.json.encode(page), type=type(page))
    for each in sent.records:
        assert bytes(each.record) == vault.history.record(each.seq)


def test_a_question_is_recorded_before_it_is_answered_and_is_in_the_next_answer(vault: Node) -> None:
    first = vault.asking.ask(MARK, HERE, Question([("op", "record.query")], "GET /v1/records?op=record.query"))
    then = vault.asking.ask(MARK, HERE, Question([("op", "record.query")], "x", order="desc", limit=5))
    texts = [msgspec.json.decode(each.record)["request"]["http"] for each in then.records]
    assert "GET /v1/records?op=record.query" in texts
    assert first.snapshot < then.snapshot
