"""Hundreds of questions over millions of records of mixed traffic, while more is written: each answer is the ledger's.

``make soak-ask`` runs it. ``SOAK_RECORDS`` says how many records there are before the first question (2,000,000); a
fifth as many come while it asks. ``SOAK_QUESTIONS`` says how many questions, and ``SOAK_SEED`` chooses others.

What was answered is held against one reading of the ledger's files when the vault is closed: settled segments as any
zstd reads them, line by line, and what has not settled as the feed gave it. That it is all of the ledger is seen from
the seqs and from the chain.
"""

from __future__ import annotations

import io
import os
import random
import sys
import tempfile
import time
from hashlib import sha256
from itertools import chain
from pathlib import Path
from threading import Semaphore, Thread
from typing import TYPE_CHECKING, Final

import msgspec
import pytest
import zstandard

from audit.config import load
from audit.init import prepare
from audit.node import Node
from tests.bench.fill import Calendar, fill, long_turns
from tests.doubles.operations import Operations
from tests.doubles.questions import answer, check, question

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.doubles.questions import Answer

RECORDS: Final = int(os.environ.get("SOAK_RECORDS", "2000000"))
QUESTIONS: Final = int(os.environ.get("SOAK_QUESTIONS", "300"))
SEED: Final = int(os.environ.get("SOAK_SEED", "1"))
#: Days that the records are of.
_DAYS: Final = 10
#: Pages of an answer that are asked for, and of one answer in so many: all that there are, up to a bound.
_PAGES: Final = 12
_WHOLE: Final = 25
_WHOLE_PAGES: Final = 400
#: Operations of one step of the filling.
_STEP: Final = 50_000
#: Questions between two lines of progress.
_TOLD: Final = 20

pytestmark = pytest.mark.timeout(3600 + RECORDS // 50)


@pytest.fixture
def root() -> Iterator[Path]:
    """Where the vault is to be, until the end: gigabytes, of which pytest would keep those of three runs."""
    with tempfile.TemporaryDirectory(prefix="strongroom-soak-") as name:
        yield Path(name) / "v"


def tell(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")


def filled(node: Node, operations: Operations) -> int:
    """Write what is to be there before the first question, and have the view read it; the number of operations."""
    number = 0
    while node.stores.current.end < RECORDS:
        with long_turns():
            fill(node, _STEP, operations, first=number, refusals=True)
        number += _STEP
        tell(f"{node.stores.current.end} records are written, {node.view.end} are in the view")
    node.asking.fresh(node.stores.current.end, 3600)
    return number


def asked_while_writing(node: Node, operations: Operations, number: int) -> list[Answer]:
    """Ask, and have a share of what is still to come written beside each question; the first of it has the number."""
    rng, share, go = random.Random(SEED), RECORDS // 5 // QUESTIONS + 1, Semaphore(0)
    times = [msgspec.json.decode(node.history.record(RECORDS * turn // 100))["time"] for turn in range(100)]
    answers: list[Answer] = []

    def write() -> None:
        for turn in range(QUESTIONS):
            go.acquire()
            fill(node, share, operations, first=number + turn * share, refusals=True)

    writer = Thread(target=write)
    writer.start()
    try:
        for turn in range(QUESTIONS):
            go.release()
            asked, pages = question(rng, times), _PAGES
            if turn % _WHOLE == 0:
                asked, pages = asked._replace(limit=1000), _WHOLE_PAGES
            answers.append(answer(node.asking, asked, pages))
            if turn % _TOLD == _TOLD - 1:
                tell(f"{turn + 1} questions, {sum(each.pages for each in answers)} pages; {node.view.end} in the view")
    finally:
        go.release(QUESTIONS)
        writer.join()
    return answers


def ledger(directory: Path, unsettled: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Every record of a closed ledger, each seen to follow the one before it.

    Args:
        directory: Of settled segments.
        unsettled: What had not settled at some time before.
    """
    seq, leaf = 0, sha256().hexdigest()
    later = (record for place, record in unsettled if place >= seq)  # as of when the settled ones have been read
    for data in chain(settled(directory), later):
        record = msgspec.json.decode(data)
        assert (record["seq"], record["prev"]) == (seq, leaf)
        yield seq, data
        seq, leaf = seq + 1, sha256(b"\0" + data).hexdigest()


def settled(directory: Path) -> Iterator[bytes]:
    for path in sorted(directory.glob("*.zst")):
        with (
            path.open("rb") as file,
            zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True) as plain,
        ):
            for line in io.BufferedReader(plain):
                yield line.removesuffix(b"\n")


def test_every_answer_over_millions_of_records_is_what_a_reading_of_the_ledger_finds(root: Path) -> None:
    prepare(root, profile="standard", site="site-a", node="node-1", anchor="", environ={})
    with Node.open(root, load(None, {}), Calendar(_DAYS, RECORDS * 6 // 5)) as node:
        operations = Operations(node, random.Random(SEED + 1), RECORDS // 10)
        answers = asked_while_writing(node, operations, filled(node, operations))
        files = node.view._parts.catalogue.files
        unsettled = list(node.history.read(node.stores.current.settled.end))
    directory = root / "streams" / node.identity.stream / "ledger"
    tell("the ledger is read")
    read = check(answers, ledger(directory, unsettled))
    handed = sum(len(each.seqs) for each in answers)
    tell(
        f"{read} records read, {len(files)} files in the view; {len(answers)} questions, of which"
        f" {sum(each.total > 0 for each in answers)} match something and {sum(each.ended for each in answers)} were"
        f" asked to the end; {sum(each.pages for each in answers)} pages, {sum(each.total for each in answers)} records"
        f" counted, {handed} of them handed out and compared"
    )
    assert read >= RECORDS * 6 // 5
    assert sum(file.rows for file in files) >= RECORDS
    assert len(answers) == QUESTIONS
    assert sum(each.total > 0 for each in answers) > QUESTIONS // 2
    assert sum(each.pages for each in answers) > QUESTIONS
    assert handed > QUESTIONS
