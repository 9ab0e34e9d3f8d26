"""Which records are of which version: its trail, and what removed it.

A record that names a version is of that one's trail alone, and so is what was done for the upload that became it. What
names only the key (a refusal before any version was looked up) is of every version's, and so is a marker, which hides
all of them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final, cast

from audit.query.filter import QueryInvalid, condition
from vault.record import SUCCESS, decode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from audit.query.filter import Condition
    from audit.query.records import Asking
    from vault.record import Head, Tail

#: Records of one production, and steps of all its trails: whoever verifies one holds its records in memory.
MAX_RECORDS: Final = 2_000_000

_UPLOAD: Final = "multipart."
_REMOVES: Final = (("op", "object.put"), ("op", "multipart.complete"), ("op", "object.delete"), ("outcome", SUCCESS))


def require_few(count: int) -> None:
    """Check a number of records, before anything is done with them.

    Raises:
        QueryInvalid: It is more than :data:`MAX_RECORDS`.
    """
    if count > MAX_RECORDS:
        raise QueryInvalid(
            f"that is more than {MAX_RECORDS} records: ask for less time, for a prefix, or with --only-matching"
        )


def trails(asking: Asking, named: Condition, versions: Sequence[tuple[int, str, int]]) -> list[list[int]]:
    """The trail of each version, of records before the snapshot.

    Args:
        asking: Caught up with the snapshot.
        named: What records may be of them: bucket, prefix, snapshot.
        versions: Position, key and ordinal of each.

    Returns:
        Positions for each version, ascending.

    Raises:
        QueryInvalid: They are more than :data:`MAX_RECORDS` in all.
        ViewFailed: The view cannot be read; ask again.
        LedgerCorrupt: A record cannot be read.
    """
    rows = _rows(asking, named, {key for _, key, _ in versions})
    own: dict[tuple[str, int], list[int]] = {(key, ordinal): [] for _, key, ordinal in versions}
    shared: dict[str, list[int]] = defaultdict(list)
    uploads: dict[str, list[int]] = defaultdict(list)
    became: dict[tuple[str, int], str] = {}
    for position, key, ordinal, op, outcome in rows:
        if op.startswith(_UPLOAD) and outcome == SUCCESS:
            upload = _upload(asking, position)
            uploads[upload].append(position)
            if ordinal:
                became[key, ordinal] = upload
        elif (key, ordinal) in own:
            own[key, ordinal].append(position)
        elif not ordinal or (op == "object.delete" and _hides(asking, position)):
            shared[key].append(position)
    found = [
        (own[key, ordinal], uploads.get(became.get((key, ordinal), ""), []), shared[key])
        for _, key, ordinal in versions
    ]
    require_few(sum(len(part) for parts in found for part in parts))
    return [sorted(position for part in parts for position in part) for parts in found]


def removals(asking: Asking, bucket: str, gone: set[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """What removed versions that are not there any more, however late: a deletion, or what took a null one's place.

    Args:
        asking: Caught up with what the index was asked.
        bucket: Of all of them.
        gone: Key and ordinal of each.

    Returns:
        The position of the record, for each that has one.

    Raises:
        QueryInvalid: More than :data:`MAX_RECORDS` records could have.
        ViewFailed: The view cannot be read; ask again.
        LedgerCorrupt: A record cannot be read.
    """
    found: dict[tuple[str, int], int] = {}
    changes = condition([*_REMOVES, ("bucket", bucket)])
    for position, key, ordinal, op, _ in _rows(asking, changes, {key for key, _ in gone}):
        if (key, ordinal) in gone and op == "object.delete":
            found[key, ordinal] = position
        else:
            version = _decoded(asking, position)[0].version
            if version is not None and (key, version.replaced) in gone:
                found[key, version.replaced] = position
    return found


def _rows(asking: Asking, named: Condition, keys: Iterable[str]) -> list[tuple[int, str, int, str, str]]:
    of_keys = named.within("key IN (SELECT unnest(?::VARCHAR[]))", sorted(keys))
    chosen = "position, key, ordinal, op, outcome"
    rows = asking.select(chosen, of_keys, f"ORDER BY position LIMIT {MAX_RECORDS + 1}")
    require_few(len(rows))
    return cast("list[tuple[int, str, int, str, str]]", rows)


def _decoded(asking: Asking, position: int) -> tuple[Head, Tail]:
    return decode(bytes(asking.found(position).record))


def _upload(asking: Asking, position: int) -> str:
    """The upload that a record names; the view leaves it out."""
    named = _decoded(asking, position)[1].object
    return named.upload_id if named is not None else ""


def _hides(asking: Asking, position: int) -> bool:
    """Whether a deletion made a marker, which hides all versions of its key."""
    head, tail = _decoded(asking, position)
    return head.version is not None and head.version.marker and tail.object is not None and not tail.object.version_id
