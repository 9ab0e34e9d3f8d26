"""A relay's topics against a log elsewhere: every first record, every size, and who is to blame."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import pytest

from tests.doubles.logbuilder import mth
from tests.doubles.topics import built, topics_with, verified, written

if TYPE_CHECKING:
    from pathlib import Path

LOG = built(600)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("log") / "export"
    LOG.write_export(root)
    return root


@pytest.mark.parametrize("first", [0, 1, 2, 255, 256, 257, 300, 511, 512, 513, 598, 599])
def test_whatever_is_left_is_proven_by_the_logs_tiles(export: Path, first: int) -> None:
    topics = written(LOG, (first, first + 1, 599, 600))
    topics.begins["strongroom.records", 0] = first
    report = verified(topics, export)
    assert (report.findings, report.unchecked) == ([], "")
    assert (report.logs[0].root, report.logs[0].anchored) == (mth(LOG.leaves()).hex(), 600)
    assert [state.name for state in report.states] == (["head removed"] if first else [])
    alone = verified(topics_with(topics, first))
    assert (alone.findings, alone.unchecked, alone.anchored) == ([], "", False)
    assert bool(alone.logs[0].root) == (first == 0)


@pytest.mark.parametrize("first", [0, 256, 300])
@pytest.mark.parametrize("size", [299, 300, 301, 512, 555, 600])
def test_a_log_may_be_shorter_or_longer_than_the_topic(tmp_path: Path, first: int, size: int) -> None:
    LOG.write_export(tmp_path, size)
    shorter = deepcopy(LOG)
    del shorter.entries[555:]
    topics = written(shorter)
    topics.begins["strongroom.records", 0] = first
    report = verified(topics, tmp_path)
    assert (report.findings, report.unchecked) == ([], "")
    vouched = min(size, 555)
    assert report.logs[0].anchored == (vouched if vouched > first else -1)
    assert ("behind" in {state.name for state in report.states}) == (size > 555)
    assert bool(report.logs[0].root) == (size >= first)


@pytest.mark.parametrize("first", [0, 1, 300])
@pytest.mark.parametrize("seq", [300, 301, 511, 512, 598, 599])
def test_the_log_names_every_record_that_was_changed(export: Path, first: int, seq: int) -> None:
    forged = deepcopy(LOG)
    forged.entries[seq].fields["actor"]["id"] = "p2"
    forged.rechain(seq)
    topics = written(forged)
    topics.begins["strongroom.records", 0] = first
    report = verified(topics, export)
    assert report.ordered()[0].seq == seq
    assert "the log has another record here" in report.ordered()[0].why


@pytest.mark.parametrize(
    ("path", "seq", "named"),
    [
        ("tile/0/000", 100, "tile/0/000"),
        ("tile/0/001", 300, "tile/0/001"),
        ("tile/0/002.p/88", 100, "checkpoint"),
        ("tile/1/000.p/2", 100, "checkpoint"),
        ("checkpoint", 100, "checkpoint"),
    ],
)
def test_a_log_that_is_bad_itself_is_named(tmp_path: Path, path: str, seq: int, named: str) -> None:
    LOG.write_export(tmp_path)
    data = bytearray((tmp_path / path).read_bytes())
    at = data.index(b"\n600\n") + 6 if path == "checkpoint" else 40
    data[at] ^= 1
    (tmp_path / path).write_bytes(data)
    forged = deepcopy(LOG)
    forged.entries[seq].fields["actor"]["id"] = "p2"  # the tile of its leaves is read
    forged.rechain(seq)
    topics = written(forged)
    topics.closed = True  # it need not come to that
    assert [finding.place for finding in verified(topics, tmp_path).findings] == [f"{tmp_path}/{named}"]
