"""The listing engine: names in order under a prefix, rolled up at a delimiter. Pure over the state.

A common prefix costs one step however many keys are below it: the scan begins again behind all of them. What is hidden
(keys whose current version is a delete marker) is walked over one by one, as nothing in the index tells it apart.

Entries go on *after* a name. Where that name is itself a common prefix of this listing, everything below it counts as
listed; any other name stands for itself, so a page that begins inside a common prefix shows that prefix.

Not handled here: tokens and what is shown of an entry (``vault.service.pages``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from vault.state import lookup, rows
from vault.state.rows import KeyRow, UploadRow, VersionRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vault.ports import State
    from vault.state.rows import Row

#: Sorts behind everything that stands under one key: ordinals and upload ids.
_AFTER_KEY: Final = b"\xff" * 9

Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class Query:
    """What is listed.

    Attributes:
        bucket: The bucket.
        prefix: Names begin with it; may be empty.
        delimiter: Names are rolled up behind its first place after the prefix; empty for never.
        after: Name to go on after; empty from the beginning.
        size: Entries and common prefixes together, at most.
    """

    bucket: str
    prefix: str
    delimiter: str
    after: str
    size: int


@dataclass(slots=True)
class Slice(Generic[Entry]):
    """A page: ``entries`` and ``prefixes`` in order; ``last`` is the name of whichever came last."""

    entries: list[tuple[str, Entry]] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    truncated: bool = False
    last: str = ""


def list_objects(state: State, query: Query) -> Slice[VersionRow]:
    """The current versions of the keys that have one."""
    return _slice(_walk(state, b"k", query, _start(b"k", query), _current), query.size)


def list_versions(state: State, query: Query, after_version: str = "") -> Slice[tuple[VersionRow, bool]]:
    """All versions and delete markers, newest first within a key, with whether each is the latest of its key.

    Args:
        state: The durable view.
        query: ``after`` names a key of which nothing more is listed, unless ``after_version`` is given.
        after_version: A version of the key ``after`` (an id, or ``null``): its older versions follow first.

    Raises:
        S3Error: InvalidArgument where ``after_version`` can be no version id.
    """
    start = _start(b"v", query)
    latest_of = ""
    if after_version:
        row = lookup.version_by_id(state, query.bucket, query.after, after_version)
        ordinal = row.ordinal if row is not None else rows.ordinal_of(after_version)
        if ordinal:
            start = rows.version_key(query.bucket, query.after, ordinal) + b"\0"
            found = lookup.key_row(state, query.bucket, query.after)
            # The latest was shown on an earlier page, unless it is no longer there.
            latest_of = query.after if found and found.current and found.current.ordinal >= ordinal else ""

    def entries() -> Iterator[tuple[str, tuple[VersionRow, bool] | None]]:
        previous = latest_of
        for name, row in _walk(state, b"v", query, start, _version):
            yield name, None if row is None else (row, name != previous)
            previous = name

    return _slice(entries(), query.size)


def list_uploads(state: State, query: Query, after_upload: str = "") -> Slice[UploadRow]:
    """Uploads under way, by key and id.

    Args:
        state: The durable view.
        query: ``after`` names a key of which nothing more is listed, unless ``after_upload`` is given.
        after_upload: An upload id: uploads of the key ``after`` with later ids follow first.
    """
    start = _start(b"u", query)
    if after_upload:
        start = rows.upload_key(query.bucket, query.after, after_upload) + b"\0"
    return _slice(_walk(state, b"u", query, start, _upload), query.size)


def _current(row: Row) -> VersionRow | None:
    if isinstance(row, KeyRow) and row.current is not None and not row.current.marker:
        return row.current
    return None


def _version(row: Row) -> VersionRow | None:
    return row if isinstance(row, VersionRow) else None


def _upload(row: Row) -> UploadRow | None:
    return row if isinstance(row, UploadRow) else None


def _rolled_up(name: str, query: Query) -> str:
    """The common prefix that a name is rolled up into, or an empty string."""
    if not query.delimiter or not name.startswith(query.prefix):
        return ""
    place = name.find(query.delimiter, len(query.prefix))
    return name[: place + len(query.delimiter)] if place >= 0 else ""


def _start(kind: bytes, query: Query) -> bytes:
    """Where a listing begins that goes on after a name."""
    if not query.after:
        return b""
    if _rolled_up(query.after, query) == query.after:
        return _behind(rows.listing_prefix(kind, query.bucket, query.after))
    return rows.listing_prefix(kind, query.bucket, query.after) + b"\0\0" + _AFTER_KEY


def _behind(prefix: bytes) -> bytes:
    """The least key that is greater than all that begin with ``prefix``, which holds a byte below 0xff."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,))


def _walk(
    state: State, kind: bytes, query: Query, start: bytes, shown: Callable[[Row], Entry | None]
) -> Iterator[tuple[str, Entry | None]]:
    """Names with their entries, and common prefixes without one, in order."""
    base = rows.listing_prefix(kind, query.bucket, query.prefix)
    start, end = max(start, base), _behind(base)
    while start < end:
        for where, row in state.scan(start, end):
            entry = shown(row)
            if entry is None:
                continue
            name = rows.name_in(where)
            prefix = _rolled_up(name, query)
            if prefix:
                yield prefix, None
                start = _behind(rows.listing_prefix(kind, query.bucket, prefix))
                break
            yield name, entry
        else:
            return


def _slice(found: Iterator[tuple[str, Entry | None]], size: int) -> Slice[Entry]:
    page: Slice[Entry] = Slice()
    if size <= 0:  # S3 says that nothing follows where nothing was asked for
        return page
    for name, entry in found:
        if len(page.entries) + len(page.prefixes) == size:
            page.truncated = True
            break
        page.last = name
        if entry is None:
            page.prefixes.append(name)
        else:
            page.entries.append((name, entry))
    return page
