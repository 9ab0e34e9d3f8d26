"""The view's life: built, written out, taken up again, and built again when it is not what it should be."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from unittest import mock

import duckdb
import msgspec
import pytest
from msgspec.structs import replace

from audit.query import statement
from audit.query.catalogue import Catalogue, File, load, merged, to_merge
from audit.query.engine import ViewFailed
from audit.query.filter import condition
from audit.query.statement import Sources
from audit.query.view import View
from tests.doubles.whole_node import commit
from vault.errors import DurabilityError, Unavailable
from vault.merkle import leaf_hash
from vault.policy import SYSTEM
from vault.record import Actor, ObjectRef, Origin, Tail

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from audit.node import Node

LOOK = Tail(op="bucket.list", actor=Actor(SYSTEM), origin=Origin("cli"), object=ObjectRef("b", key="k"))
EVERYTHING = condition([])
OF_KEY = condition([("bucket", "b"), ("key", "k")])


def another(node: Node, place: Path, file_rows: int = 20) -> View:
    return View(place, node.stores.strands, node.history, file_rows)


def write(node: Node, count: int) -> None:
    commit(node, [LOOK] * count)


def all_of(view: View) -> None:
    while view.step():
        pass


def seqs(view: View) -> list[int]:
    return [row[0] for row in view.select("position", EVERYTHING, "ORDER BY position")]


def test_every_row_carries_stream_seq_and_leaf_also_where_files_begin_and_end(node: Node, place: Path) -> None:
    view = another(node, place)
    for _ in range(5):
        write(node, 17)
        all_of(view)
    rows = view.select("stream, seq, leaf, op", EVERYTHING, "ORDER BY position")
    assert [(row[1], row[2]) for row in rows] == [
        (seq, leaf_hash(record)) for seq, record in node.history.read(0, view.end)
    ]
    assert {row[0] for row in rows} == {"site-a.node-1"}
    assert len(view._parts.catalogue.files) == 2


def test_the_files_can_be_read_by_others_as_hive_partitions(node: Node, place: Path) -> None:
    view = another(node, place)
    write(node, 40)
    all_of(view)
    write(node, 1)
    all_of(view)
    rows = duckdb.read_parquet(f"{place}/*/*.parquet", hive_partitioning=True).project("day, seq")
    found = rows.fetchall()
    assert sorted(seq for _, seq in found) == list(range(view._parts.catalogue.end))
    assert {str(day) for day, _ in found} == {path.name.removeprefix("day=") for path in place.glob("day=*")}


def test_a_start_takes_up_the_files_and_reads_only_what_follows(node: Node, place: Path) -> None:
    view = another(node, place)
    write(node, 40)
    all_of(view)
    write(node, 5)
    all_of(view)
    before, files = seqs(view), view._parts.catalogue
    assert files.files
    view.close()
    again = another(node, place)
    again.step()
    assert again._parts.catalogue == files
    assert seqs(again) == before


@pytest.mark.parametrize(
    "harm", ["cut", "zeros", "gone", "keys cut", "keys gone", "catalogue gone", "catalogue cut", "everything gone"]
)
def test_a_damaged_view_is_built_again(node: Node, place: Path, harm: str) -> None:
    view = another(node, place)
    write(node, 40)
    all_of(view)
    write(node, 1)
    all_of(view)
    before = seqs(view)
    view.close()
    (file,), (keys,) = place.glob("*/*.parquet"), place.glob("*/*.keys")
    catalogue = place / "catalogue.json"
    match harm:
        case "cut":
            file.write_bytes(file.read_bytes()[:100])
        case "zeros":
            file.write_bytes(bytes(file.stat().st_size))
        case "gone":
            file.unlink()
        case "keys cut":
            keys.write_bytes(keys.read_bytes()[:100])
        case "keys gone":
            keys.unlink()
        case "catalogue gone":
            catalogue.unlink()
        case "catalogue cut":
            catalogue.write_bytes(catalogue.read_bytes()[:20])
        case _:
            shutil.rmtree(place)
            place.mkdir()
    again = another(node, place)
    again.step()
    for asked in (EVERYTHING, OF_KEY):
        with suppress(ViewFailed):  # a file that is damaged inside is noticed when it is read
            again.select("position", asked)
        all_of(again)
    assert seqs(again) == before
    assert len(again.select("position", OF_KEY)) == 41


def test_a_view_that_is_built_again_keeps_no_rows_of_before(node: Node, place: Path) -> None:
    view = grown(node, place, 3)
    assert view._engine is not None
    tables = len(view._engine.execute("SELECT table_name FROM duckdb_tables()"))
    for _ in range(3):
        view.distrust("as if a file were damaged")
        all_of(view)
        all_of(view)
        assert len(view._engine.execute("SELECT table_name FROM duckdb_tables()")) <= tables
        assert seqs(view) == list(range(view.end))


def test_a_view_of_another_past_is_built_again(node: Node, place: Path, caplog: pytest.LogCaptureFixture) -> None:
    view = another(node, place)
    write(node, 40)
    all_of(view)
    view.close()
    told = load(place)
    (place / "catalogue.json").write_bytes(msgspec.json.encode(replace(told, leaf="00" * 32)))
    again = another(node, place)
    all_of(again)
    assert "tells of another past than the ledger: it is built again" in caplog.text
    assert load(place) == told
    assert seqs(again) == list(range(again.end))


def test_a_view_that_is_ahead_of_a_ledger_restored_from_backup_is_built_again(node: Node, place: Path) -> None:
    view = another(node, place)
    write(node, 40)
    all_of(view)
    view.close()
    (place / "catalogue.json").write_bytes(msgspec.json.encode(replace(load(place), end=10_000)))
    again = another(node, place)
    all_of(again)
    assert seqs(again) == list(range(node.stores.current.end))


def test_files_that_no_catalogue_names_are_swept(node: Node, place: Path) -> None:
    stray = place / "day=2020-01-01" / "0000000000000000-0000000000000009.parquet"
    stray.parent.mkdir()
    stray.write_bytes(b"x")
    another(node, place).step()
    assert not stray.exists()


def test_a_disk_that_fails_or_is_full_leaves_the_rows_in_memory_and_the_writer_alone(
    node: Node, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = another(node, place)
    view.step()
    write(node, 40)
    for error, expected in ((DurabilityError("EIO"), ViewFailed), (Unavailable("full"), Unavailable)):
        with monkeypatch.context() as patch:

            def fail(*_: object, error: Exception = error) -> None:
                raise error

            patch.setattr("audit.query.view.durable.fsync_file", fail)
            patch.setattr("audit.query.view.require_room", fail if isinstance(error, Unavailable) else lambda *_: None)
            with pytest.raises(expected) as failed:
                view.step()
            assert expected.retryable, failed  # the loop that steps tries again
        assert seqs(view) == list(range(view.end))
    write(node, 1)
    all_of(view)
    assert len(view._parts.catalogue.files) == 1
    assert seqs(view) == list(range(view.end))


def test_a_question_is_answered_from_what_it_saw_first_while_rows_move_to_files(node: Node, place: Path) -> None:
    view = another(node, place)
    write(node, 40)
    all_of(view)
    seen = view._parts
    for _ in range(2):
        write(node, 40)
        all_of(view)
    assert view._engine is not None
    sources = Sources(seen.tables, place, seen.catalogue.files)
    sql, parameters = statement.select(view._engine, sources, "count(*)", EVERYTHING)
    with pytest.raises(ViewFailed):  # two generations later its table is gone …
        view._engine.query(sql, parameters)
    assert len(seqs(view)) == view.end  # … and whoever asks looks again


def files_of(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.glob("day=*/*")}


def names(files: Iterable[File]) -> set[str]:
    return {name for file in files for name in (file.name, file.keys)}


def grown(node: Node, place: Path, files: int) -> View:
    view = another(node, place)
    for _ in range(files):
        write(node, 20)
        all_of(view)
    return view


def test_files_of_a_day_become_one_with_the_same_rows_in_order(node: Node, place: Path) -> None:
    view = grown(node, place, 9)
    before, old = seqs(view), view._parts.catalogue
    assert view.merge()
    assert not view.merge()
    there = view._parts.catalogue
    assert load(place) == there
    assert files_of(place) == names(there.files)
    (merged,) = there.files
    assert (there.end, there.leaf) == (old.end, old.leaf)
    assert (merged.day, merged.first, merged.last, merged.rows) == (old.files[0].day, 0, there.end - 1, there.end)
    assert seqs(view) == before
    in_file = duckdb.read_parquet(str(place / merged.name)).project("position, epoch_ns(time)").fetchall()
    assert [position for position, _ in in_file] == list(range(merged.rows))
    assert {merged.earliest, merged.latest} == {in_file[0][1], in_file[-1][1]}
    view.close()
    again = another(node, place)
    again.step()
    assert again._parts.catalogue == there


def test_a_question_whose_files_became_one_meanwhile_looks_again(node: Node, place: Path) -> None:
    view = grown(node, place, 9)
    expected, old = seqs(view), statement.select
    turns = iter([True, False])

    def late(*args: Any) -> tuple[str, list[object]]:
        made = old(*args)
        if next(turns):
            assert view.merge()
        return made

    with mock.patch("audit.query.view.statement.select", late):
        assert seqs(view) == expected
    assert next(turns, None) is None


def test_a_crash_before_merged_files_are_removed_leaves_no_row_twice(node: Node, place: Path) -> None:
    view = grown(node, place, 9)
    before = seqs(view)
    with mock.patch.object(type(place), "unlink", side_effect=OSError("died")), pytest.raises(ViewFailed):
        view.merge()
    named = names(load(place).files)
    assert files_of(place) > named
    again = another(node, place)
    again.step()
    assert seqs(again) == before
    assert files_of(place) == named


def test_a_crash_before_the_catalogue_leaves_the_files_as_they_were(node: Node, place: Path) -> None:
    view = grown(node, place, 9)
    before, files = seqs(view), view._parts.catalogue
    with mock.patch("audit.query.catalogue.save", side_effect=DurabilityError("died")), pytest.raises(ViewFailed):
        view.merge()
    assert seqs(view) == before
    again = another(node, place)
    again.step()
    assert again._parts.catalogue == files
    assert files_of(place) == names(files.files)


def test_a_view_is_not_built_again_while_files_become_one_but_after_it(
    node: Node, place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    view = grown(node, place, 9)
    assert view._engine is not None
    before, copy = seqs(view), view._engine.copy

    def broken_meanwhile(sql: str, parameters: Sequence[object]) -> None:
        copy(sql, parameters)
        view._broken = "as if a file were damaged"
        view.step()
        assert "built again" not in caplog.text

    with mock.patch.object(view._engine, "copy", broken_meanwhile):
        assert view.merge()
    all_of(view)
    assert "built again" in caplog.text
    assert seqs(view) == before
    assert files_of(place) == names(view._parts.catalogue.files)


SEVERAL = [
    ("a day that goes on", [("a", 100)] * 7, 0),
    ("eight of it", [("a", 100)] * 8, 8),
    ("more of it", [("a", 100)] * 11, 11),
    ("a day that is over", [("a", 100), ("a", 30), ("b", 100)], 2),
    ("one of a day", [("a", 100), ("b", 100)], 0),
    ("those that were merged stay", [("a", 800), ("a", 500), ("b", 100)], 0),
    ("beside one that was merged", [("a", 800), ("a", 100), ("a", 100), ("b", 100)], 2),
    ("no more than fit", [("a", 390)] * 5 + [("b", 100)], 4),
    ("a clock that was set back", [("a", 100), ("b", 100), ("a", 100), ("b", 100)], 2),
]


@pytest.mark.parametrize(("files", "count"), [case[1:] for case in SEVERAL], ids=[case[0] for case in SEVERAL])
def test_which_files_become_one(files: list[tuple[str, int]], count: int) -> None:
    there = [File(day, turn * 1000, turn * 1000 + 999, rows, turn, turn + 1) for turn, (day, rows) in enumerate(files)]
    chosen = to_merge(there, 100)
    assert len(chosen) == count
    assert len({file.day for file in chosen}) <= 1
    if chosen:
        after = Catalogue(files=tuple(there)).with_one(merged(chosen), chosen).files
        assert len(after) == len(files) - count + 1
        assert sum(file.rows for file in after) == sum(file.rows for file in there)
