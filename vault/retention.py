"""The one gate: every rule that decides whether data may be removed or its protection weakened.

Pure functions over a lock and the two clocks. Whatever could weaken or remove data asks here and nowhere else
(DESIGN §1): S3 deletes, overwrites of a null version, retention and default changes, the eraser, compaction, and the
pruning of records.

Clock rule (DESIGN §5): a retention starts from the *later* of wall and compliance clock, its expiry is judged by
the *earlier*. COMPLIANCE is impossible to shorten, for everyone. Sources: S3 Object Lock semantics
(specification of PutObjectRetention, DeleteObject), 17 CFR 240.17a-4(f)(2)(i)(B).

Not handled here: who may ask (``vault.policy``), and preconditions (``vault.state.decide``).
"""

from __future__ import annotations

from calendar import isleap
from datetime import MAXYEAR, UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from vault.errors import S3Error
from vault.matters import MAX_NAMED
from vault.record import DefaultRetention, LockRef
from vault.times import DAY_NS, MAX_NS, NS, Now, parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable

GOVERNANCE: Final = "GOVERNANCE"
COMPLIANCE: Final = "COMPLIANCE"
MODES: Final = frozenset({GOVERNANCE, COMPLIANCE})
#: S3's bounds of a default retention.
MAX_DAYS: Final = 36_500
MAX_YEARS: Final = 100
#: No record is pruned sooner, in days (DESIGN §4): six months, rounded up (GB/T 22239 8.1.5.4 c; Cybersecurity Law of
#: the PRC, article 21).
MIN_RECORD_DAYS: Final = 184

_MILLISECOND: Final = NS // 1_000

PROTECTED: Final = "Access Denied because object protected by object lock."


class Lock(NamedTuple):
    """A version's lock. ``until`` in ns since the epoch; without ``mode`` there is no retention.

    ``matters`` are the ids of the open matters that hold it at this point of the sequence (``vault.matters``).
    """

    mode: str = ""
    until: int = 0
    hold: bool = False
    matters: tuple[str, ...] = ()

    def ref(self) -> LockRef | None:
        """As it stands in a record; None where there is no lock at all."""
        return _ref(self)


@lru_cache(maxsize=256)  # of a batch all members have the same
def _ref(lock: Lock) -> LockRef | None:
    if not lock.mode and not lock.hold and not lock.matters:
        return None
    until, more = rfc3339(lock.until) if lock.mode else "", max(0, len(lock.matters) - MAX_NAMED)
    return LockRef(lock.mode, until, lock.hold, lock.matters[:MAX_NAMED], more)


def from_ref(ref: LockRef | None) -> Lock:
    """Read a version's own lock out of a record: not the matters, which were only true of that moment.

    Raises:
        ValueError: Its date is no date.
    """
    if ref is None:
        return Lock()
    return Lock(ref.mode, parse_rfc3339(ref.until) if ref.mode else 0, ref.hold)


def started(now: Now) -> int:
    """The instant from which a new retention counts: the later of the two clocks."""
    return max(now)


def active(lock: Lock, now: Now) -> bool:
    """Whether the retention has not expired: judged by the earlier of the two clocks."""
    return bool(lock.mode) and lock.until > min(now)


def _refuse(reason: str) -> S3Error:
    return S3Error("AccessDenied", PROTECTED, reason=reason)


def decide_removal(lock: Lock, now: Now, *, bypass: bool) -> None:
    """May this version be removed (deleted by id, or replaced as the null version)?

    Args:
        lock: Its lock as of this point of the sequence.
        now: The record's own clocks.
        bypass: The caller asked to bypass GOVERNANCE *and* may.

    Raises:
        S3Error: AccessDenied; ``reason`` is legal_hold or retention.
    """
    if lock.hold or lock.matters:
        raise _refuse("legal_hold")
    if not active(lock, now):
        return
    if lock.mode == GOVERNANCE and bypass:
        return
    raise _refuse("retention")


def decide_erasure(lock: Lock, now: Now, *, bypassed: bool) -> None:
    """May the bytes of a removed version be destroyed?

    The eraser asks with the lock, and the matters, as the ledger has them at the removal. ``bypassed`` says that the
    ledger holds a successful removal with a granted bypass; COMPLIANCE and holds are judged again regardless.

    Raises:
        S3Error: AccessDenied; the bytes stay.
    """
    decide_removal(lock, now, bypass=bypassed)


def decide_pruning(made: int, days: int, locks: Iterable[Lock], now: Now) -> None:
    """May the bytes of a record be destroyed, and only its hash be kept?

    Args:
        made: When it was made, by the later of its two clocks; ns since the epoch.
        days: For how long records are kept; fewer than :data:`MIN_RECORD_DAYS` count as these.
        locks: Of every version that it names or may be about, with the matters that hold them.
        now: The two clocks.

    Raises:
        S3Error: AccessDenied; ``reason`` is record_age, legal_hold or retention. The bytes stay.
    """
    if made + max(days, MIN_RECORD_DAYS) * DAY_NS > min(now):
        raise _refuse("record_age")
    for lock in locks:
        if lock.hold or lock.matters:
            raise _refuse("legal_hold")
        if active(lock, now):
            raise _refuse("retention")


def decide_retention(lock: Lock, new: Lock | None, now: Now, *, bypass: bool) -> Lock:
    """May this version's retention be set to ``new``?

    Args:
        lock: The lock as it is.
        new: Mode and date asked for; None removes the retention. Its ``hold`` is ignored.
        now: The record's own clocks.
        bypass: The caller asked to bypass GOVERNANCE *and* may.

    Returns:
        The lock as it will be; the hold is untouched, and matters hold what they held.

    Raises:
        S3Error: InvalidArgument for a date that is not in the future, AccessDenied for what would weaken.
    """
    if new is not None and new.until <= started(now):
        raise S3Error(
            "InvalidArgument",
            "The retain until date must be in the future!",
            ArgumentName="RetainUntilDate",
            ArgumentValue=rfc3339(new.until),
        )
    weaker = new is None or new.mode != lock.mode or new.until < lock.until
    if active(lock, now) and weaker and (lock.mode == COMPLIANCE or not bypass):
        # COMPLIANCE may only be lengthened. GOVERNANCE -> COMPLIANCE is a change of mode: S3 asks for the bypass.
        raise _refuse("retention")
    return lock._replace(mode=new.mode, until=new.until) if new is not None else lock._replace(mode="", until=0)


def at_creation(asked: LockRef | None, default: DefaultRetention | None, now: Now) -> Lock:
    """The lock a new version gets: what was asked for, else the bucket's default from the object's creation.

    A legal hold alone does not switch the default off.

    Raises:
        S3Error: InvalidArgument where the date asked for is not in the future.
    """
    hold = asked is not None and asked.hold
    if asked is not None and asked.mode:
        lock = from_ref(asked)
        if lock.until <= started(now):
            raise S3Error(
                "InvalidArgument",
                "The retain until date must be in the future!",
                ArgumentName="x-amz-object-lock-retain-until-date",
                ArgumentValue=asked.until,
            )
        return lock
    if default is None:
        return Lock(hold=hold)
    return Lock(default.mode, default_until(default, now), hold)


def default_until(default: DefaultRetention, now: Now) -> int:
    """When a default retention that starts now ends, in ns; years are calendar years, 29 February becomes 1 March.

    Rounded up to the millisecond, which is what S3 shows of it: a client may set again the date that it read.
    """
    start = min(-(-started(now) // _MILLISECOND) * _MILLISECOND, MAX_NS)
    if default.days:
        return min(start + default.days * DAY_NS, MAX_NS)
    seconds, fraction = divmod(start, NS)
    moment = datetime.fromtimestamp(seconds, UTC)
    year = moment.year + default.years
    if year > MAXYEAR:
        return MAX_NS
    if moment.month == 2 and moment.day == 29 and not isleap(year):
        moment = moment.replace(month=3, day=1)
    return int(moment.replace(year=year).timestamp()) * NS + fraction


def check_default(default: DefaultRetention) -> None:
    """Is this a default retention at all?

    Raises:
        S3Error: MalformedXML or InvalidRetentionPeriod.
    """
    if default.mode not in MODES or bool(default.days) == bool(default.years):
        raise S3Error("MalformedXML")
    if not 0 <= default.days <= MAX_DAYS or not 0 <= default.years <= MAX_YEARS:
        raise S3Error("InvalidRetentionPeriod", "Default retention period must be a positive integer value.")
