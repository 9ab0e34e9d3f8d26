"""A topic made from a vault of which records were pruned: their gaps are excused, and no other."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from audit.verify.anchor import Outside
from audit.verify.outside_log import load
from audit.verify.relay_topics import Target, verify_topics
from audit.verify.report import Report
from tests.doubles.aged_vault import lived
from tests.doubles.memory import memory_directory
from tests.doubles.topics import MemoryTopics
from tests.integration.served import command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(180)
KEY = b"site-a.node-1"


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """A stopped vault of which something was pruned, and its log beside it."""
    with memory_directory() as directory:
        vault = lived(directory / "v")
        vault.prune()
        vault.close()
        done = command("log", "export", KEY.decode(), directory / "export", "--data", directory / "v")
        assert done.returncode == 0, done.stderr
        yield directory / "v"


def relayed(root: Path) -> list[bytes]:
    """The records that a relay finds there."""
    bundles = sorted(path for path in (root.with_name("export") / "tile/entries").rglob("*") if path.is_file())
    found = []
    for bundle in bundles:
        data = bundle.read_bytes()
        while data:
            end = 2 + int.from_bytes(data[:2], "big")
            found.append(data[2:end])
            data = data[end:]
    return [record for record in found if record]


def judged(root: Path, records: list[bytes], *, logged: bool) -> Report:
    note = (root.with_name("export") / "checkpoint").read_bytes()
    origin, size, _ = note.decode().split("\n", 2)
    topics, report = MemoryTopics(), Report("topics")
    topics.add("records", KEY, *records)
    topics.add("checkpoints", KEY, note)
    cursor = {"v": 1, "origin": origin, "partition": 0, "next": int(size)}
    leaf = sha256(b"\0" + records[-1]).hexdigest()
    topics.add("cursors", KEY, json.dumps({**cursor, "leaf": leaf}, separators=(",", ":")).encode())
    logs = load([str(root.with_name("export"))] if logged else [], "", [], report)
    verify_topics(Target(topics, "strongroom", logs), Outside([], []), report, lambda _: None)
    return report


@pytest.mark.parametrize("logged", [False, True])
def test_what_was_pruned_is_excused_and_the_log_has_its_hashes(root: Path, *, logged: bool) -> None:
    records = relayed(root)
    report = judged(root, records, logged=logged)
    assert report.findings == []
    (state,) = report.states
    missing = report.logs[0].size - len(records)
    assert missing > 0
    assert (state.name, state.detail.split(" ")[0]) == ("pruned", str(missing))
    assert (bool(report.logs[0].root), report.anchored) == (logged, logged)


@pytest.mark.parametrize("logged", [False, True])
def test_one_record_more_that_is_missing_is_found(root: Path, *, logged: bool) -> None:
    records = relayed(root)
    at = next(index for index, record in enumerate(records) if b'"op":"object.head"' in record)
    seq = json.loads(records[at])["seq"]
    report = judged(root, records[:at] + records[at + 1 :], logged=logged)
    assert report.exit_code(require_anchor=False) == 1
    assert report.ordered()[0].seq in range(seq + 1)


def test_a_pruning_that_is_not_there_excuses_nothing(root: Path) -> None:
    records = relayed(root)
    first = next(index for index, record in enumerate(records) if b'"op":"ledger.pruned"' in record)
    report = judged(root, records[:first], logged=False)
    assert any("missing before record" in finding.why for finding in report.findings)
