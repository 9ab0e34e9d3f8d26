"""The story of one key: its versions, their locks, what put each lock there, and what was done and tried.

Versions come from the index, as the gate sees them; everything that explains them is a record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from audit.query import filter as filters_
from audit.query.records import Found
from vault.matters import holding
from vault.record import SUCCESS, decode
from vault.retention import from_ref
from vault.state import lookup
from vault.times import rfc3339

if TYPE_CHECKING:
    from audit.query.records import Asking
    from vault.ports import State
    from vault.record import Head, Tail
    from vault.state.other_rows import MatterRow
    from vault.state.rows import VersionRow

#: Versions that are shown, newest first.
MAX_VERSIONS: Final = 1000
#: Changes of a lock that are shown for a key, oldest first.
MAX_CHANGES: Final = 1000

#: Matters that are explained of those that hold a version.
MAX_TOLD: Final = 32

_LOCKING: Final = ("object.put", "multipart.complete", "object.retention.put", "object.hold.put")


class Why(msgspec.Struct, frozen=True):
    """One step on the way to a version's lock: record ``seq`` of ``stream`` made it what it says.

    ``matter`` is the id of the open matter that the record opened; mode, date and hold are none of its business then.
    """

    stream: str
    seq: int
    time: str
    actor: str
    because: str
    mode: str = ""
    until: str = ""
    hold: bool = False
    matter: str = ""


class Version(msgspec.Struct, frozen=True, omit_defaults=True):
    """A version or delete marker. ``locked`` says in words until when nobody may remove it; empty where it is free.

    ``matters`` are the ids of the open matters that hold it, the oldest first; :data:`MAX_TOLD` of them are explained.
    """

    version_id: str
    ordinal: int
    created: str
    size: int
    manifest: str
    marker: bool = False
    current: bool = False
    mode: str = ""
    until: str = ""
    hold: bool = False
    matters: tuple[str, ...] = ()
    locked: str = ""
    why: list[Why] = []


class Story(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key: ``history`` are the newest records that name it; ``next`` goes on with ``GET /v1/records``."""

    bucket: str
    key: str
    versions: list[Version]
    history: list[Found]
    snapshot: int
    next: str = ""
    more_versions: bool = False


def versions(state: State, asking: Asking, bucket: str, key: str) -> tuple[list[Version], bool]:
    """The versions of a key that are left, newest first, and whether there are more than are shown.

    Raises:
        ViewFailed: The view cannot be read; ask again.
        LedgerCorrupt: A record cannot be read.
    """
    reasons = _reasons(asking, bucket, key)
    found = lookup.key_row(state, bucket, key)
    current = found.current.ordinal if found is not None and found.current is not None else 0
    open_ = lookup.open_matters(state)
    told: dict[str, tuple[MatterRow, Why]] = {}
    shown: list[Version] = []
    for row in lookup.versions(state, bucket, key):
        if len(shown) == MAX_VERSIONS:
            return shown, True
        held = holding(open_, lookup.stored(bucket, key, row)) if open_ and not row.marker else ()
        for matter in held[:MAX_TOLD]:
            found_matter = lookup.matter(state, matter)
            if matter not in told and found_matter is not None:
                told[matter] = found_matter, _opened(asking, found_matter)
        by = [told[matter] for matter in held[:MAX_TOLD] if matter in told]
        shown.append(_version(row, current == row.ordinal, reasons.get(row.ordinal, []), held, by))
    return shown, False


def _opened(asking: Asking, matter: MatterRow) -> Why:
    """The record that opened a matter, as the reason of a lock."""
    found = asking.found(matter.seq)
    head, tail = decode(bytes(found.record))
    return Why(
        stream=found.stream,
        seq=found.seq,
        time=head.time,
        actor=tail.actor.person or tail.actor.id,
        because=f"the matter {matter.query.id} ({matter.name}) was opened, and describes it",
        matter=matter.query.id,
    )


def _version(
    row: VersionRow,
    current: bool,  # noqa: FBT001 - one caller, above
    why: list[Why],
    held: tuple[str, ...],
    matters: list[tuple[MatterRow, Why]],
) -> Version:
    until = rfc3339(row.until) if row.until else ""
    return Version(
        version_id="null" if row.null else row.version_id,
        ordinal=row.ordinal,
        created=rfc3339(row.created),
        size=row.size,
        manifest=row.manifest,
        marker=row.marker,
        current=current,
        mode=row.mode,
        until=until,
        hold=row.hold,
        matters=held,
        locked=_in_words(row.mode, until, [matter for matter, _ in matters], hold=row.hold),
        why=why + [because for _, because in matters],
    )


def _in_words(mode: str, until: str, matters: list[MatterRow], *, hold: bool) -> str:
    parts = []
    if mode == "COMPLIANCE":
        parts.append(f"by retention (COMPLIANCE) until {until}: nobody may shorten it")
    elif mode:
        parts.append(f"by retention (GOVERNANCE) until {until}, unless the bucket's owner bypasses it")
    if hold:
        parts.append("by a legal hold, until it is lifted")
    parts += [f"by the matter {matter.query.id} ({matter.name}), until it is released" for matter in matters]
    return "; and ".join(parts)


def _reasons(asking: Asking, bucket: str, key: str) -> dict[int, list[Why]]:
    """Every successful record that set or changed a lock, by the version's ordinal."""
    filters = [("bucket", bucket), ("key", key), ("outcome", SUCCESS), *(("op", op) for op in _LOCKING)]
    by_ordinal: dict[int, list[Why]] = {}
    for found in asking.matching(filters_.condition(filters), MAX_CHANGES):
        head, tail = decode(bytes(found.record))
        if head.version is None or head.version.marker:
            continue
        lock = from_ref(head.lock)
        because = _because(head, tail)
        if because:
            why = Why(
                stream=found.stream,
                seq=found.seq,
                time=head.time,
                actor=tail.actor.person or tail.actor.id,
                because=because,
                mode=lock.mode,
                until=rfc3339(lock.until) if lock.until else "",
                hold=lock.hold,
            )
            by_ordinal.setdefault(head.version.ordinal, []).append(why)
    return by_ordinal


def _because(head: Head, tail: Tail) -> str:
    asked = tail.request
    if tail.op == "object.retention.put":
        return "the retention was changed"
    if tail.op == "object.hold.put":
        return "the legal hold was set" if asked is not None and asked.hold else "the legal hold was lifted"
    if head.lock is None:
        return ""
    wanted = [
        "its upload asked for a retention" * (asked is not None and bool(asked.mode)),
        "its upload asked for a legal hold" * (asked is not None and bool(asked.hold)),
    ]
    if head.lock.mode and not wanted[0]:
        wanted[0] = "the bucket's default retention, or its upload's, applied"
    return " and ".join(filter(None, wanted))
