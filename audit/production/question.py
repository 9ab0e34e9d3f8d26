"""What a production is asked for, and what it is then found to consist of. All of it follows from one snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from audit.production.trail import require_few, trails
from audit.query.filter import Condition, QueryInvalid, condition
from vault.record import SUCCESS
from vault.times import rfc3339

if TYPE_CHECKING:
    from audit.query.records import Asking

#: Of a reason, in characters.
MAX_REASON: Final = 500
#: Versions of one production.
MAX_VERSIONS: Final = 1_000_000

_MAKES: Final = (("op", "object.put"), ("op", "multipart.complete"), ("outcome", SUCCESS))


class Question(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is asked for: the versions stored in a bucket in a time, and why.

    Attributes:
        reason: For the chain of custody: the matter, the request's number.
        bucket: The bucket.
        prefix: Keys begin with it.
        since: Stored not before this time (RFC 3339 or a day).
        until: Stored before this time.
        only_matching: Leave out the records that are not in the trail of such a version. That none was left out
            cannot be checked then.
    """

    reason: str
    bucket: str
    prefix: str = ""
    since: str = ""
    until: str = ""
    only_matching: bool = False


class Found(NamedTuple):
    """What it consists of, by position; ascending.

    Attributes:
        versions: Records that stored a version that is asked for.
        trails: The records of each one's trail.
        first: First record of the period that is asked for.
        end: One more than the last one.
    """

    versions: list[int]
    trails: list[list[int]]
    first: int
    end: int

    def carried(self, *, only_matching: bool) -> set[int]:
        """Every record that goes in: those of the period and one on either side, or only the trails."""
        chosen = {position for trail in self.trails for position in trail}
        if not only_matching:
            chosen.update(range(max(self.first - 1, 0), self.end + 1))
        return chosen


def judged(asked: Question) -> Question:
    """Judge a question before anything is done.

    Returns:
        The same, its times as records write them.

    Raises:
        QueryInvalid: Something is wrong with it.
    """
    if not asked.reason.strip() or len(asked.reason) > MAX_REASON or not asked.reason.isprintable():
        raise QueryInvalid(f"reason: 1 to {MAX_REASON} printable characters are needed")
    earliest, latest = _versions(asked).times
    since = rfc3339(earliest) if asked.since else ""
    until = rfc3339(latest + 1) if asked.until else ""
    return msgspec.structs.replace(asked, since=since, until=until)


def find(asking: Asking, asked: Question, snapshot: int) -> Found:
    """Find what a production consists of.

    Args:
        asking: Caught up with the snapshot.
        asked: Judged.
        snapshot: Only records before this position count.

    Raises:
        QueryInvalid: It is more than :data:`MAX_VERSIONS`, or than :data:`~audit.production.trail.MAX_RECORDS`.
        ViewFailed: The view cannot be read; ask again.
        LedgerCorrupt: A record cannot be read.
    """
    first, end = _range(asking, asked, snapshot)
    if not asked.only_matching:
        require_few(end - first)
    chosen = _versions(asked).within("position < ?", snapshot)
    rows = asking.select("position, key, ordinal", chosen, f"ORDER BY position LIMIT {MAX_VERSIONS + 1}")
    if len(rows) > MAX_VERSIONS:
        raise QueryInvalid(f"that is more than {MAX_VERSIONS} versions: ask for less time, or for a prefix")
    named = condition(_scope(asked)).within("position < ?", snapshot)
    found = Found([row[0] for row in rows], trails(asking, named, rows), first, end)
    require_few(len(found.carried(only_matching=asked.only_matching)))
    return found


def _range(asking: Asking, asked: Question, snapshot: int) -> tuple[int, int]:
    """The records of the period: from the first to the last of them, whatever lies between.

    Both edges can be seen: the record before the first one bears a time before the period, and the one after the last a
    time after it. Where the wall clock was set back or forward there, the range is wider for it.
    """
    everything = condition([]).within("position < ?", snapshot)
    before = everything.within('"time" < make_timestamp_ns(?)', condition(_times(asked)).times[0])
    of_time = condition(_times(asked)).within("position < ?", snapshot)
    first, end = 0, snapshot
    if asked.since or asked.until:
        ((least, most),) = asking.select("min(position), max(position)", of_time, "")
        if least is None:  # none: the place where it would be
            ((last,),) = asking.select("max(position)", before, "")
            least, most = (0, -1) if last is None else (last + 1, last)
        first, end = (least if asked.since else 0), (most + 1 if asked.until else snapshot)
    while asked.since and first and asking.time(first - 1) >= asked.since:
        first -= 1
    while asked.until and end < snapshot and asking.time(end) < asked.until:
        end += 1
    return first, max(first, end)


def _versions(asked: Question) -> Condition:
    return condition([*_MAKES, *_scope(asked), *_times(asked)])


def _scope(asked: Question) -> list[tuple[str, str]]:
    return [("bucket", asked.bucket)] + [("prefix", asked.prefix)] * bool(asked.prefix)


def _times(asked: Question) -> list[tuple[str, str]]:
    return [("from", asked.since)] * bool(asked.since) + [("to", asked.until)] * bool(asked.until)
