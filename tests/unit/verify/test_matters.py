"""What the verifier says of a writer whose gate did not know of matters, or told other things of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.doubles.logbuilder import LogBuilder, instant
from tests.unit.verify.test_locks import found, replay

if TYPE_CHECKING:
    from collections.abc import Callable

A, B = "a" * 16, "b" * 16


def opened(log: LogBuilder, matter: str = A, **query: Any) -> int:
    return log.record("matter.open", matter={"id": matter, "name": "n", "reason": "r", "owner": "o", "query": query})


def closed(log: LogBuilder, matter: str = A) -> int:
    return log.record("matter.close", matter={"id": matter, "reason": "settled"})


def deleted(**query: Any) -> Callable[[LogBuilder], object]:
    def build(log: LogBuilder) -> None:
        opened(log, **query)
        log.on("object.delete", log.put('k"\n\u00e9/1'))

    return build


@pytest.mark.parametrize(
    "query",
    [
        {"vault": True},
        {"bucket": "b"},
        {"bucket": "b", "prefix": 'k"'},
        {"bucket": "b", "prefix": 'k"\n\u00e9'},
        {"vault": True, "prefix": 'k"\n\u00e9/1'},
        {"vault": True, "actor": "p1"},
        {"vault": True, "since": instant(5)},
        {"vault": True, "since": instant(0), "before": instant(6)},
    ],
)
def test_a_version_that_a_matter_describes_was_not_to_go(query: dict[str, Any]) -> None:
    assert found(deleted(**query)) == [(6, f'the version was deleted while the matter "{A}" held it')]


@pytest.mark.parametrize(
    "query",
    [
        {"bucket": "c"},
        {"bucket": "b", "prefix": "k/"},
        {"bucket": "b", "prefix": 'k"\n\u00e9/12'},
        {"vault": True, "prefix": "\n"},
        {"vault": True, "actor": "p"},
        {"vault": True, "since": instant(6)},
        {"vault": True, "before": instant(5)},
    ],
)
def test_a_version_that_it_does_not_describe_may_go(query: dict[str, Any]) -> None:
    assert found(deleted(**query)) == []


def test_one_of_its_two_clocks_is_enough() -> None:
    def build(log: LogBuilder) -> None:
        opened(log, vault=True, since=instant(90))
        version = log.put("k")
        log.entries[-1].fields["clock"] = instant(100)  # later records go by it
        log.rechain()
        log.record("object.delete", head=later(log, version), object={"bucket": "b", "key": "k", "version_id": version})

    assert [why for _, why in found(build)] == [f'the version was deleted while the matter "{A}" held it']


def later(log: LogBuilder, version: str) -> dict[str, Any]:
    made = next(e.fields for e in log.entries if e.fields.get("version", {}).get("version_id") == version)
    return {"version": made["version"], "clock": instant(101)}


def test_it_may_go_before_the_opening_and_after_the_end_and_not_between() -> None:
    def build(log: LogBuilder) -> None:
        first, second, third = (log.put(key) for key in "xyz")
        log.on("object.delete", first)
        opened(log, bucket="b")
        log.on("object.delete", second)
        closed(log)
        log.on("object.delete", third)

    assert [seq for seq, _ in found(build)] == [9]


def test_releasing_one_of_three_keeps_the_lock() -> None:
    def build(log: LogBuilder) -> None:
        version = log.put("k")
        for matter in (A, B, "c" * 16):
            opened(log, matter, vault=True)
        closed(log, A)
        log.on("object.delete", version)

    assert found(build) == [(9, f'the version was deleted while the matter "{B}" held it')]


def test_a_null_version_was_not_to_be_replaced() -> None:
    def build(log: LogBuilder) -> None:
        log.put("k", null=True)
        opened(log, bucket="b")
        log.put("k", null=True, replaced=1)

    assert found(build) == [(6, f'the version was replaced while the matter "{A}" held it')]


def test_a_delete_marker_is_never_held() -> None:
    def build(log: LogBuilder) -> None:
        log.put("k")
        opened(log, bucket="b")
        marker = log.make("object.delete", "k", marker=True)
        log.on("object.delete", marker)

    assert found(build) == []


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (lambda log: (opened(log, vault=True), opened(log, vault=True)), f'the matter "{A}" was opened before'),
        (opened, "the matter it opens is neither of one bucket nor of the vault"),
        (
            lambda log: opened(log, bucket="b", vault=True),
            "the matter it opens is neither of one bucket nor of the vault",
        ),
        (closed, f'the matter "{A}" that it closes is not open'),
        (
            lambda log: (opened(log, vault=True), closed(log), closed(log)),
            f'the matter "{A}" that it closes is not open',
        ),
    ],
)
def test_a_matter_has_one_beginning_and_one_end(build: Callable[[LogBuilder], object], why: str) -> None:
    assert [said for _, said in found(build)] == [why]


@pytest.mark.parametrize(
    ("lock", "good"),
    [
        ({"hold": True, "matters": [A, B]}, True),
        ({"hold": True, "matters": [B, A]}, False),
        ({"hold": True, "matters": [A]}, False),
        ({"hold": True}, False),
        ({"hold": True, "matters": [A, B], "more": 1}, False),
    ],
)
def test_a_lock_names_the_matters_that_hold(lock: dict[str, Any], good: bool) -> None:  # noqa: FBT001 - a table's column
    def build(log: LogBuilder) -> None:
        opened(log, A, vault=True)
        opened(log, B, bucket="b")
        log.on("object.hold.put", log.put("k"), lock=lock, request={"hold": True})

    assert (found(build) == []) == good


def test_what_an_earlier_stream_opened_is_not_held_against_this_one() -> None:
    log = LogBuilder()
    log.start()
    closed(log, B)
    version = log.put("k")
    log.on("object.hold.put", version, lock={"hold": True, "matters": [A]}, request={"hold": True})
    assert replay(log, inherits=True).findings == []
    assert len(replay(log).findings) == 2
