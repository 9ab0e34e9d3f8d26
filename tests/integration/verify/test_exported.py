"""An exported log, whole and tampered with: exit code, first bad seq, and the place."""

from __future__ import annotations

import shutil
from copy import deepcopy
from typing import TYPE_CHECKING

import pytest

from tests.doubles.logbuilder import LogBuilder, write_tile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.verify.conftest import Museum, Verify

FILES = [
    "checkpoint",
    "tile/0/000", "tile/0/001", "tile/0/002.p/89", "tile/1/000.p/2",
    "tile/entries/000", "tile/entries/001", "tile/entries/002.p/89",
]  # fmt: skip


def test_a_whole_log_is_good(museum: Museum, verify: Verify) -> None:
    code, answer = verify(museum.export)
    assert (code, answer["result"], answer["size"]) == (0, "good", 601)
    assert answer["root"] == museum.log_root()
    assert answer["counts"]["object.put"] == 6
    assert sorted(str(path.relative_to(museum.export)) for path in museum.export.rglob("*") if path.is_file()) == FILES


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("part", range(6))
def test_a_flipped_bit_anywhere_is_found(museum: Museum, export: Path, verify: Verify, name: str, part: int) -> None:
    data = bytearray((export / name).read_bytes())
    data[(len(data) - 1) * part // 5] ^= 1 << part
    (export / name).write_bytes(data)
    code, answer = verify(export, "--vkey", museum.vkey)  # without a key nothing tells whether a signature is good
    assert code == 1
    assert {name, LogBuilder().origin} & {finding["place"].split(" entry ")[0] for finding in answer["findings"]}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-1]), id="cut"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes() + b"\0"), id="longer"),
        pytest.param(lambda path: path.write_bytes(bytes(path.stat().st_size)), id="zeroed"),
        pytest.param(lambda path: path.write_bytes(b""), id="emptied"),
        pytest.param(lambda path: path.unlink(), id="removed"),
        pytest.param(lambda path: (path.unlink(), path.mkdir()), id="a directory"),
    ],
)
def test_damaged_files_are_named(export: Path, verify: Verify, name: str, damage: Callable[[Path], object]) -> None:
    damage(export / name)
    code, answer = verify(export)
    assert code == 1
    assert name in {finding["place"].split(" entry ")[0] for finding in answer["findings"]}


@pytest.mark.parametrize(("one", "other"), [("tile/0/000", "tile/0/001"), ("tile/entries/000", "tile/entries/001")])
def test_swapped_files_are_found(export: Path, verify: Verify, one: str, other: str) -> None:
    (export / one).rename(export / "aside")
    (export / other).rename(export / one)
    (export / "aside").rename(export / other)
    code, answer = verify(export)
    assert (code, answer["first_bad"]["seq"]) == (1, 0)


@pytest.mark.parametrize("name", ["tile/0/003", "tile/0/000.p/256", "tile/0/junk", "tile/entries/003", "tile/2/000"])
def test_files_that_do_not_belong_among_the_tiles_are_named(export: Path, verify: Verify, name: str) -> None:
    (export / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(export / "tile/0/000", export / name)
    code, answer = verify(export)
    assert code == 1
    assert name in {finding["place"] for finding in answer["findings"]}


@pytest.mark.parametrize("level", [0, "entries"])
def test_older_partial_tiles_may_stay_and_must_be_right(
    museum: Museum, export: Path, verify: Verify, level: int | str
) -> None:
    if level == 0:
        data = b"".join(museum.log.leaves(5))
    else:
        records = [entry.bytes() for entry in museum.log.entries[:5]]
        data = b"".join(len(record).to_bytes(2, "big") + record for record in records)
    write_tile(export, level, 0, 5, data)
    assert verify(export)[0] == 0
    write_tile(export, level, 0, 5, data[:-1] + b"\0")
    code, answer = verify(export)
    assert (code, answer["first_bad"]["place"]) == (1, f"tile/{level}/000.p/5")


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(("seq", "end"), [(0, "000"), (2, "000"), (300, "001"), (590, "002.p/89")])
def test_a_record_that_was_changed_is_named_by_its_bundle(
    museum: Museum, export: Path, verify: Verify, seq: int, end: str
) -> None:
    bundle, entry = export / f"tile/entries/{end}", museum.log.entries[seq].bytes()
    flip(bundle, bundle.read_bytes().index(entry) + entry.index(b'"time":"2') + 26)  # a digit of its seconds
    code, answer = verify(export)
    assert (code, answer["first_bad"]["place"]) == (1, f"tile/entries/{end} entry {seq % 256}")
    assert f"it was changed: hash {seq % 256} of tile/0/{end}" in answer["first_bad"]["why"]


@pytest.mark.parametrize(("seq", "end"), [(2, "000"), (300, "001"), (590, "002.p/89")])
def test_a_tile_that_was_changed_is_named_with_the_record_that_it_contradicts(
    export: Path, verify: Verify, seq: int, end: str
) -> None:
    flip(export / f"tile/0/{end}", seq % 256 * 32)
    code, answer = verify(export)
    assert (code, answer["first_bad"]["place"]) == (1, f"tile/0/{end}")
    assert f"hash {seq % 256} is not that of tile/entries/{end} entry {seq % 256};" in answer["first_bad"]["why"]


@pytest.mark.parametrize("above", ["tile/1/000.p/2", "checkpoint"])
def test_a_changed_record_whose_tile_leads_nowhere_is_named_by_both_places(
    museum: Museum, export: Path, verify: Verify, above: str
) -> None:
    entry = museum.log.entries[2].bytes()
    flip(export / "tile/entries/000", (export / "tile/entries/000").read_bytes().index(entry) + 50)
    if above == "checkpoint":
        other = (export / above).read_text().split("\n")
        other[2] = other[2][:4] + "AAAA" + other[2][8:]  # its root
        (export / above).write_text("\n".join(other))
    else:
        (export / above).unlink()
    answer = verify(export)[1]
    told = [finding["why"] for finding in answer["findings"] if finding["place"] == "tile/0/000"]
    assert any("is not that of tile/entries/000 entry 2;" in why for why in told)


def test_a_record_of_a_data_directory_that_was_changed_is_named_with_its_tile(vault: Path, verify: Verify) -> None:
    tile = vault / "streams" / "site-a.node-1" / "tile" / "0" / "000"
    data = bytearray(tile.read_bytes())
    data[5 * 32] ^= 1
    tile.write_bytes(data)
    code, answer = verify(vault)
    assert (code, answer["first_bad"]["place"]) == (1, "streams/site-a.node-1/tile/0/000")
    assert "is not that of streams/site-a.node-1/ledger/" in answer["first_bad"]["why"]
    assert " record 5;" in answer["first_bad"]["why"]


def test_a_changed_record_is_the_first_bad_one_although_all_chain_on(
    museum: Museum, tmp_path: Path, verify: Verify
) -> None:
    log = _copy(museum.log)
    log.entries[300].fields["origin"]["ip"] = "203.0.113.9"
    log.write_export(tmp_path / "forged")
    code, answer = verify(tmp_path / "forged")
    assert (code, answer["first_bad"]["seq"]) == (1, 301)


def test_a_writer_with_another_leaf_prefix_fails(tmp_path: Path, verify: Verify) -> None:
    log = LogBuilder(leaf_prefix=b"")
    log.start()
    log.write_export(tmp_path / "log")
    assert verify(tmp_path / "log")[0] == 1


def test_findings_of_locks_are_reported(tmp_path: Path, verify: Verify) -> None:
    log = LogBuilder()
    log.start()
    log.on("object.delete", log.put("k", lock={"hold": True}))
    log.write_export(tmp_path / "log")
    code, answer = verify(tmp_path / "log")
    assert (code, answer["first_bad"]["seq"]) == (1, 5)


def test_unknown_operations_and_versions_are_named_states(tmp_path: Path, verify: Verify) -> None:
    log = LogBuilder()
    log.start()
    log.record("object.levitate")
    log.entries[-1].fields["op"] = "object.levitate"
    log.record("object.get")
    log.entries[-1].fields = {"v": 2, "seq": 5, "new": True}
    log.write_export(tmp_path / "log")
    code, answer = verify(tmp_path / "log")
    assert code == 0
    assert [state["place"] for state in answer["states"]] == ["object.levitate", "v2"]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 513])
def test_every_size_of_the_right_edge(museum: Museum, tmp_path: Path, verify: Verify, size: int) -> None:
    museum.log.write_export(tmp_path / "log", size)
    code, answer = verify(tmp_path / "log", "--vkey", museum.vkey)
    assert (code, answer["size"], answer["anchored"]) == (0, size, True)


def _copy(log: LogBuilder) -> LogBuilder:
    copy = LogBuilder()
    copy.entries = deepcopy(log.entries)
    return copy
