"""What somebody does to what was pruned who can write to the disk of a stopped vault, and what the verifier finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from audit.ledger.segment import FRAME_RECORDS, encode_segment
from tests.doubles.aged_vault import AgedVault, checked, lived, named
from tests.doubles.memory import memory_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def root() -> Iterator[Path]:
    with memory_directory() as directory:
        yield directory / "v"


def pruned_vault(root: Path) -> list[bytes]:
    """A stopped vault of which something was pruned; what its first segment holds now."""
    vault = lived(root)
    vault.prune()
    _, end = vault.node.stores.settled.spans[0]
    lines = [record for _, record in vault.node.stores.settled.iterate(0, end)]
    vault.close()
    return lines


def write_segment(root: Path, lines: list[bytes]) -> None:
    path = root / "streams" / "site-a.node-1" / "ledger" / f"{0:016d}-{len(lines):016d}.ndjson.zst"
    assert path.exists()
    frames = (lines[at : at + FRAME_RECORDS] for at in range(0, len(lines), FRAME_RECORDS))
    path.write_bytes(encode_segment(frames)[0])


def test_one_record_more_that_is_gone_is_found(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = pruned_vault(root)
    at = next(at for at, line in enumerate(lines) if line and named(line) == ("object.head", "locked"))
    lines[at] = b""
    write_segment(root, lines)
    code, report = checked(root, capsys)
    assert code == 1
    (finding,) = report["findings"]
    assert "are gone, and others were to be pruned" in finding["why"]


def test_the_record_of_a_version_that_is_gone_is_found_with_what_hung_on_it(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = pruned_vault(root)
    lines[next(at for at, line in enumerate(lines) if line and named(line)[0] == "object.put")] = b""
    write_segment(root, lines)
    code, report = checked(root, capsys)
    assert code == 1
    assert len(report["findings"]) > 1


def test_what_no_record_names_is_not_pruned_but_missing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault = lived(root)
    _, end = vault.node.stores.settled.spans[0]
    lines = [record for _, record in vault.node.stores.settled.iterate(0, end)]
    vault.close()
    at = next(at for at, line in enumerate(lines) if named(line)[0] == "object.head")
    write_segment(root, [*lines[:at], b"", *lines[at + 1 :]])
    code, report = checked(root, capsys)
    assert code == 1
    (finding,) = report["findings"]
    assert (finding["seq"], finding["why"]) == (at, "the record is gone, and no ledger.pruned record names it")


def test_a_pruning_before_its_time_is_found(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vault.retention.MIN_RECORD_DAYS", 0)
    vault = AgedVault(root)
    vault.look("none", 200)
    vault.settle()
    vault.pruner._days = 180
    vault.age(183)
    assert vault.prune() > 150
    vault.close()
    code, report = checked(root, capsys)
    assert code == 1
    (finding,) = report["findings"]
    assert "was pruned, less than 184 days after it was made" in finding["why"]


@pytest.mark.parametrize("what", ["missing", "another"])
def test_a_hash_of_what_is_gone_cannot_be_removed_or_changed(
    root: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    lines = pruned_vault(root)
    tile = root / "streams" / "site-a.node-1" / "tile" / "0" / "000"
    hashes = bytearray(tile.read_bytes())
    at = next(at for at, line in enumerate(lines) if not line)
    hashes[at * 32] ^= 1
    tile.unlink()
    if what == "another":
        tile.write_bytes(hashes)
    code, report = checked(root, capsys)
    assert code == 1
    assert report["findings"]


def test_a_segment_that_is_whole_again_is_no_fault(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vault = lived(root)
    before = [record for _, record in vault.node.stores.settled.iterate(0, vault.node.stores.settled.spans[0][1])]
    vault.prune()
    vault.close()
    write_segment(root, before)
    code, report = checked(root, capsys)
    assert (code, report["findings"]) == (0, [])
    assert [state["name"] for state in report["states"]] == ["pruned", "pruning unfinished"]
