"""Every answer equals what a scan of the ledger finds, whatever is asked and however much is written meanwhile.

``make soak-ask`` asks the same of two million records.
"""

from __future__ import annotations

import random
from threading import Event, Thread
from typing import TYPE_CHECKING

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.query.records import Question
from tests.bench.fill import fill
from tests.doubles.memory import memory_directory
from tests.doubles.operations import Operations
from tests.doubles.questions import MARK, answer, check, question
from tests.doubles.whole_node import HERE, make, open_node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audit.node import Node

pytestmark = pytest.mark.timeout(300)

#: Plain keys of the load: few, so that most have several versions.
KEYS = 200


@pytest.fixture(scope="module")
def vault() -> Iterator[Node]:
    with memory_directory() as directory:
        make(directory / "v")
        with open_node(directory / "v", file_rows=200) as node:
            operations = Operations(node, random.Random(7), KEYS)
            for first in range(0, 3_200, 80):
                fill(node, 80, operations, first=first, refusals=True)
                node.asking.ask(MARK, HERE, Question([], "x", 1))
            stop = Event()
            assert (
                sum(file.rows for file in node.view._parts.catalogue.files) >= 8 * 300
            )  # eight files, or what became of them
            writer = Thread(target=keep_writing, args=(node, operations, stop))
            writer.start()
            try:
                yield node
            finally:
                stop.set()
                writer.join()
            assert node.view._parts.catalogue.files[0].rows >= 4 * 200  # several became one


def keep_writing(node: Node, operations: Operations, stop: Event) -> None:
    number = 3_200
    while True:
        fill(node, 5, operations, first=number, refusals=True)
        node.view.merge()
        number += 5
        if stop.wait(0.05):
            return


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rng=st.randoms(use_true_random=False))
def test_every_answer_is_what_a_scan_of_the_ledger_finds(vault: Node, rng: random.Random) -> None:
    times = [msgspec.json.decode(vault.history.record(seq))["time"] for seq in range(0, 900, 100)]
    found = answer(vault.asking, question(rng, times), 9)
    assert check([found], vault.history.read(0)) >= found.snapshot


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
