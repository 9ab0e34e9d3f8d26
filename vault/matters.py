"""Matters: legal holds by description, many for each version (DESIGN §5). Which versions an open matter holds. Pure.

**What it is.** A matter (a lawsuit, an inquiry) has an id, a name, a reason, an owner, and a *query*: one bucket, or
the whole vault where that is said; a key prefix; a time; who stored it. From the record that opens it to the record
that closes it, it holds every version that its query describes, those that are there and those that come. A version is
held as long as at least one open matter describes it, or its own S3 legal hold is on: S3 is shown their OR.

**Decided at the gate, never written out.** There may be tens of millions of versions, so opening writes one record and
no rows of versions. Bucket, key, times and actor of a version never change, so whether a matter holds it is a pure
function of the version and the matters that are open: :func:`holding`, asked wherever a lock is asked for
(``vault.state.lookup.lock_of``), judged by ``vault.retention`` like the S3 legal hold, with no bypass for anybody. A
delete costs one lookup and a comparison for each open matter, a put nothing. The ledger alone replays it: the verifier
(``audit.verify.matters``) and the eraser (``audit.matter_history``) follow ``matter.open`` and ``matter.close``
themselves.

**What follows.** A removal before a matter was opened stays what it was: the version was gone. Releasing one of three
matters leaves two. Closing is for good; the same hold again is a new matter. A matter holds in every bucket, also where
Object Lock is not enabled: there it keeps the null version from being overwritten. Delete markers are never held, they
hide no evidence when they go; making one is allowed, as under S3's legal hold. Retention is another thing, and changes
as it did. Who puts is not asked: a matter is never a reason to refuse new data.

**Time.** A version is of a time if either of the two clocks of its record is: a wall clock that is set wrong takes
nothing out of a matter.

**Left out on purpose**: adding single versions to a matter, or taking some out. A prefix that is a whole key describes
one key; two matters describe two. Exceptions would be rows for versions, and a way to free one silently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Matters that may be open at one time: each is compared with each version that is read, locked or removed.
MAX_OPEN: Final = 1000
#: Matters that one record names of those that hold a version; how many more there are, it counts.
MAX_NAMED: Final = 32


class OpenMatter(NamedTuple):
    """An open matter's id and query. An empty ``bucket`` is the whole vault, an empty ``actor`` anybody.

    ``since`` (inclusive) and ``before`` (exclusive) are in ns since the epoch; a ``before`` of 0 is no end.
    """

    id: str
    bucket: str = ""
    prefix: str = ""
    since: int = 0
    before: int = 0
    actor: str = ""


class MatterQuery(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A query as records write it: all that is named here must be so.

    ``bucket`` is exact; else ``vault`` says that the whole vault is meant. ``since`` (inclusive) and ``before``
    (exclusive) are RFC 3339; ``actor`` is the id of the principal who stored the version.
    """

    bucket: str = ""
    vault: bool = False
    prefix: str = ""
    since: str = ""
    before: str = ""
    actor: str = ""


class MatterRef(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A matter, in a record that opens, closes or shows it; in a close, ``reason`` is why it is closed."""

    id: str
    name: str = ""
    reason: str = ""
    owner: str = ""
    query: MatterQuery | None = None


class Stored(NamedTuple):
    """What of a version a query is about: name, the two times of the record that made it (ns), and who stored it."""

    bucket: str
    key: str
    created: int
    clock: int
    actor: str


def describes(matter: OpenMatter, version: Stored) -> bool:
    """Whether a matter's query describes a version."""
    return (
        matter.bucket in {"", version.bucket}
        and version.key.startswith(matter.prefix)
        and matter.actor in {"", version.actor}
        and (_within(matter, version.created) or _within(matter, version.clock))
    )


def _within(matter: OpenMatter, instant: int) -> bool:
    return matter.since <= instant and (not matter.before or instant < matter.before)


def holding(matters: Iterable[OpenMatter], version: Stored) -> tuple[str, ...]:
    """Ids of the matters that hold a version, the one that was opened first in front.

    Args:
        matters: The open ones, in the order in which they were opened.
        version: No delete marker.
    """
    return tuple(matter.id for matter in matters if describes(matter, version))
