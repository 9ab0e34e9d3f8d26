"""The listing engine against a model that looks at every key."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from tests.doubles.ledger import MemoryState
from vault.record import Storage
from vault.service.listing import Query, Slice, list_objects, list_uploads, list_versions
from vault.state import rows
from vault.state.rows import KeyRow, UploadRow, VersionRow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vault.state.rows import Row

#: Characters that sort, escape and delimit in all the ways there are.
ALPHABET = "ab/\0\x01\x7fü\U0010ffff"
names = st.text(ALPHABET, min_size=1, max_size=6)
prefixes = st.text(ALPHABET, max_size=3)
delimiters = st.sampled_from(["", "/", "a", "\0", "//", "ü"])
STORAGE = Storage(1, "log", "d", "s", 1, 1, 1, "r")


def version(ordinal: int, *, marker: bool) -> VersionRow:
    return VersionRow(ordinal, rows.version_id(ordinal, f"{ordinal:064x}"), ordinal, 0, 0, 0, "", "", marker=marker)


@st.composite
def stored(draw: st.DrawFn) -> tuple[MemoryState, dict[str, list[VersionRow]]]:
    """Keys with their versions, newest first, in a bucket whose neighbours are called much the same."""
    state = MemoryState()
    model: dict[str, list[VersionRow]] = {}
    for bucket in ("b", "b-c", "a"):
        for key in draw(st.lists(names, unique=True, max_size=12)):
            ordinals = draw(st.lists(st.integers(1, 300), unique=True, max_size=4))
            versions = [version(ordinal, marker=draw(st.booleans())) for ordinal in sorted(ordinals, reverse=True)]
            current = versions[0] if versions else None
            state.put([(rows.key_key(bucket, key), KeyRow(300, "", current))])
            state.put([(rows.version_key(bucket, key, row.ordinal), row) for row in versions])
            if bucket == "b":
                model[key] = versions
    return state, model


def rolled(name: str, prefix: str, delimiter: str) -> str | None:
    place = name.find(delimiter, len(prefix)) if delimiter else -1
    return name[: place + len(delimiter)] if place >= 0 else None


def expected(keys: list[str], query: Query) -> list[tuple[str, bool]]:
    """Every name that a listing shows, in order, with whether it is a common prefix; computed the slow way."""
    found: list[tuple[str, bool]] = []
    for name in sorted(keys, key=str.encode):
        if not name.startswith(query.prefix) or name.encode() <= query.after.encode():
            continue
        prefix = rolled(name, query.prefix, query.delimiter)
        if prefix is not None and prefix == query.after:
            continue
        entry = (prefix, True) if prefix is not None else (name, False)
        if not found or found[-1] != entry:
            found.append(entry)
    return found


def shown(page: Slice[VersionRow]) -> list[tuple[str, bool]]:
    """What a page shows, in order."""
    return sorted(
        [(name, False) for name, _ in page.entries] + [(name, True) for name in page.prefixes],
        key=lambda each: each[0].encode(),
    )


@given(stored(), prefixes, delimiters, st.one_of(st.just(""), names), st.integers(0, 30))
def test_a_page_is_what_the_model_shows(
    data: tuple[MemoryState, dict[str, list[VersionRow]]], prefix: str, delimiter: str, after: str, size: int
) -> None:
    state, model = data
    query = Query("b", prefix, delimiter, after, size)
    visible = [key for key, versions in model.items() if versions and not versions[0].marker]
    names = expected(visible, query)
    page = list_objects(state, query)
    assert shown(page) == names[:size]
    assert all(row is model[name][0] for name, row in page.entries)
    assert page.truncated == (0 < size < len(names))


@given(stored(), prefixes, delimiters, st.integers(1, 4))
def test_pages_one_after_the_other_are_the_whole_listing(
    data: tuple[MemoryState, dict[str, list[VersionRow]]], prefix: str, delimiter: str, size: int
) -> None:
    state, _ = data
    whole = list_objects(state, Query("b", prefix, delimiter, "", 1000))
    collected, after, truncated = [], "", True
    while truncated:
        page = list_objects(state, Query("b", prefix, delimiter, after, size))
        collected += shown(page)
        after, truncated = page.last, page.truncated
    assert collected == shown(whole)


@given(stored(), prefixes, delimiters, st.integers(1, 4))
def test_pages_of_versions_are_all_versions_newest_first(
    data: tuple[MemoryState, dict[str, list[VersionRow]]], prefix: str, delimiter: str, size: int
) -> None:
    state, model = data
    collected: list[tuple[str, int, bool]] = []
    prefixes: list[str] = []
    after, after_version, truncated = "", "", True
    while truncated:
        page = list_versions(state, Query("b", prefix, delimiter, after, size), after_version)
        collected += [(name, row.ordinal, latest) for name, (row, latest) in page.entries]
        prefixes += page.prefixes
        ends_in_version = bool(page.entries) and page.entries[-1][0] == page.last
        after, truncated = page.last, page.truncated
        after_version = page.entries[-1][1][0].version_id if ends_in_version else ""
    kept = [key for key in model if model[key] and key.startswith(prefix)]
    assert collected == [
        (key, row.ordinal, row is model[key][0])
        for key in sorted(kept, key=str.encode)
        if rolled(key, prefix, delimiter) is None
        for row in model[key]
    ]
    assert prefixes == sorted({name for key in kept if (name := rolled(key, prefix, delimiter))}, key=str.encode)


@given(st.lists(st.tuples(names, st.integers(0, 3)), max_size=15, unique=True), delimiters, st.integers(1, 4))
def test_pages_of_uploads_are_all_uploads(found: list[tuple[str, int]], delimiter: str, size: int) -> None:
    state = MemoryState()
    for key, number in found:
        upload_id = f"{number:032x}"
        row = UploadRow(upload_id, "b", key, 0, 0, "ada", "", STORAGE)
        state.put([(rows.upload_key("b", key, upload_id), row)])
    collected: list[tuple[str, str]] = []
    after, after_upload, truncated = "", "", True
    while truncated:
        page = list_uploads(state, Query("b", "", delimiter, after, size), after_upload)
        collected += [(name, row.upload_id) for name, row in page.entries]
        ends_in_upload = bool(page.entries) and page.entries[-1][0] == page.last
        after, truncated = page.last, page.truncated
        after_upload = page.entries[-1][1].upload_id if ends_in_upload else ""
    assert collected == [
        (key, f"{number:032x}")
        for key, number in sorted(found, key=lambda each: (each[0].encode(), each[1]))
        if rolled(key, "", delimiter) is None
    ]


def test_a_common_prefix_costs_one_step_however_many_keys_are_below_it() -> None:
    class Counting(MemoryState):
        steps = 0

        def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, Row]]:
            for key in list(islice(self.rows.irange(start, end, (True, False)), 5)):
                self.steps += 1
                yield key, self.rows[key]

    state = Counting()
    for place in ("x", "y", "z"):
        for number in range(1000):
            key = f"{place}/{number:04}"
            state.put([(rows.key_key("b", key), KeyRow(1, "", version(1, marker=False)))])
    page = list_objects(state, Query("b", "", "/", "", 1000))
    assert page.prefixes == ["x/", "y/", "z/"]
    assert state.steps == 3
    assert list_objects(state, Query("b", "", "/", "x/", 1)).prefixes == ["y/"]
