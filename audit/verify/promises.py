"""What a new version is owed, replayed from the records: the lock asked for, the bucket's default, strictness.

Checked, beside what :mod:`audit.verify.locks` says of locks that stand:

8. A version has the lock that its request asked for, and a legal hold where one was asked for. A multipart object has
   that of the request which began the upload.
9. Without one it has the default retention that its bucket had then, from the later of the record's two clocks on. A
   default also stands in for a lock that was over before its upload was completed.
10. In a strict bucket no version is made of a key that has one, and none is hidden by a delete marker.

A lock that is stronger than it had to be is no finding. Buckets and uploads that another stream made are not known
here; of those only what the record itself says is checked.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.verify.records import Event

_LATEST: Final = b"9999-12-31T23:59:59.999999999Z"
_MILLISECOND: Final = 1_000_000


class _Owed(NamedTuple):
    """A lock, as records write it; a mode and a date, or neither."""

    mode: bytes = b""
    until: bytes = b""
    hold: bool = False


class _Default(NamedTuple):
    mode: bytes
    days: int
    years: int

    def ends(self, start: bytes) -> bytes:
        """When it ends if it starts then; S3 shows milliseconds, and the start is rounded up to one."""
        moment = datetime.fromisoformat(start[:19].decode())
        fraction = -(-int(start[20:29]) // _MILLISECOND) * _MILLISECOND
        try:
            moment += timedelta(days=self.days, seconds=fraction // 10**9)
            if self.years and (moment.month, moment.day) == (2, 29) and not _leap(moment.year + self.years):
                moment = moment.replace(month=3, day=1)
            moment = moment.replace(year=moment.year + self.years)
        except (OverflowError, ValueError):  # beyond the year 9999
            return _LATEST
        return b"%b.%09dZ" % (moment.isoformat().encode(), fraction % 10**9)


class Promises:
    """The state of buckets and uploads that the records imply.

    Args:
        bad: Takes what is bad about an event.
    """

    def __init__(self, bad: Callable[[Event, str], None]) -> None:
        self._bad = bad
        self._defaults: dict[bytes, _Default | None] = {}
        self._strict: set[bytes] = set()
        self._uploads: dict[bytes, _Owed] = {}

    def apply(self, event: Event, *, current: bool) -> None:
        """Replay the next successful operation.

        Args:
            event: What it did.
            current: The key had a version that was not deleted, before it.
        """
        op, bucket = event.op, event.bucket
        if op == b"object.put":
            self._made(event, _asked(event))
        elif op == b"multipart.create":
            self._uploads[event.upload] = owed = _asked(event)
            self._compare(event, owed)
        elif op == b"multipart.complete":
            self._completed(event)
        elif op == b"multipart.abort":
            self._uploads.pop(event.upload, None)
        elif op == b"bucket.create":
            self._defaults[bucket] = None
            (self._strict.add if event.strict == b"true" else self._strict.discard)(bucket)
        elif op == b"bucket.lock.put" and bucket in self._defaults:
            self._defaults[bucket] = _default(event)
        if bucket in self._strict and event.version_id and current:
            if op in {b"object.put", b"multipart.complete"}:
                self._bad(event, "an object of a strict bucket was overwritten")
            elif op == b"object.delete" and event.marker == b"true" and not event.named:
                self._bad(event, "an object of a strict bucket was hidden by a delete marker")

    def _completed(self, event: Event) -> None:
        owed = self._uploads.pop(event.upload, None)
        if owed is None:
            return
        if self._defaults.get(event.bucket) is not None and owed.mode and owed.until <= event.late:
            owed = _Owed(hold=owed.hold)
        self._made(event, owed)

    def _made(self, event: Event, owed: _Owed) -> None:
        default = self._defaults.get(event.bucket)
        if default is not None and not owed.mode:
            owed = _Owed(default.mode, default.ends(event.late), owed.hold)
        self._compare(event, owed)

    def _compare(self, event: Event, owed: _Owed) -> None:
        if owed.mode and (event.mode != owed.mode or event.until < owed.until):
            has = f"{event.mode.decode()} until {event.until.decode()}" if event.mode else "none"
            self._bad(event, f"it was to have a {owed.mode.decode()} lock until {owed.until.decode()} and has {has}")
        if owed.hold and event.hold != b"true":
            self._bad(event, "it was to have a legal hold and has none")


def _asked(event: Event) -> _Owed:
    return _Owed(event.asked_mode[1:-1], event.asked_until[1:-1], event.asked_hold == b"true")


def _default(event: Event) -> _Default | None:
    mode = event.default_mode[1:-1]
    return _Default(mode, int(event.days or 0), int(event.years or 0)) if mode else None


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
