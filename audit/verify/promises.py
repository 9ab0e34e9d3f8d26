"""What a new version is owed, replayed from the records: the lock asked for, the bucket's default, strictness.

Checked, beside what :mod:`audit.verify.locks` says of locks that stand:

8. A version has the lock that its request asked for, and a legal hold where one was asked for. A multipart object has
   that of the request which began the upload. A lock or a hold that is set later is set as it was asked for.
9. Without one it has the default retention that its bucket had then, from the later of the record's two clocks on. A
   default also stands in for a lock that was over before its upload was completed.
10. In a strict bucket no version is made of a key that has one, and none is hidden, or removed without being named.

A new version's lock that lasts longer than it had to is no finding. Buckets and uploads that another stream made are
not known here; of those only what the records at hand say is checked.
"""

from __future__ import annotations

from calendar import isleap
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.verify.event import Event

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
        fraction = -(-int(start[20:29]) // _MILLISECOND) * _MILLISECOND
        try:
            moment = datetime.fromisoformat(start[:19].decode())
            moment += timedelta(days=self.days, seconds=fraction // 10**9)
            if self.years and (moment.month, moment.day) == (2, 29) and not isleap(moment.year + self.years):
                moment = moment.replace(month=3, day=1)
            moment = moment.replace(year=moment.year + self.years)
        except (OverflowError, ValueError):  # beyond the year 9999; or the clock's date is none
            return _LATEST
        return b"%b.%09dZ" % (moment.isoformat().encode(), fraction % 10**9)


#: What is not known of a bucket that another stream made, until its configuration is set in this one.
_UNKNOWN: Final = _Default(b"", 0, 0)


class Promises:
    """The state of buckets and uploads that the records imply.

    Args:
        bad: Takes what is bad about an event.
        current: Whether the key of an event had a version that was not deleted, before it.
    """

    def __init__(self, bad: Callable[[Event, str], None], current: Callable[[Event], bool]) -> None:
        self._bad = bad
        self._current = current
        self._defaults: dict[bytes, _Default | None] = {}
        self._strict: set[bytes] = set()
        self._uploads: dict[bytes, _Owed] = {}
        self._steps: Final[dict[bytes, Callable[[Event], None]]] = {
            b"object.put": self._put,
            b"object.retention.put": self._changed,
            b"object.hold.put": self._changed,
            b"multipart.create": self._begun,
            b"multipart.complete": self._completed,
            b"multipart.abort": self._aborted,
            b"bucket.create": self._bucket_created,
            b"bucket.lock.put": self._bucket_set,
        }

    def apply(self, event: Event) -> None:
        """Replay the next successful operation."""
        step = self._steps.get(event.op)
        if step is not None:
            step(event)
        if event.bucket in self._strict and event.version_id and self._current(event):
            if event.op in {b"object.put", b"multipart.complete"}:
                self._bad(event, "an object of a strict bucket was overwritten")
            elif event.op == b"object.delete" and not event.named:
                self._bad(event, "an object of a strict bucket was hidden or removed by its name alone")

    def _bucket_created(self, event: Event) -> None:
        self._defaults[event.bucket] = None
        (self._strict.add if event.strict == b"true" else self._strict.discard)(event.bucket)

    def _bucket_set(self, event: Event) -> None:
        mode = event.default_mode[1:-1]
        self._defaults[event.bucket] = _Default(mode, int(event.days or 0), int(event.years or 0)) if mode else None

    def _put(self, event: Event) -> None:
        self._made(event, _asked(event))

    def _begun(self, event: Event) -> None:
        self._uploads[event.upload] = owed = _asked(event)
        self._compare(event, owed)

    def _aborted(self, event: Event) -> None:
        self._uploads.pop(event.upload, None)

    def _changed(self, event: Event) -> None:
        """A lock was set on a version that is there: to just what was asked for."""
        asked = _asked(event)
        if event.op == b"object.hold.put":
            if event.asked_hold and asked.hold != (event.hold == b"true"):
                self._bad(event, "the legal hold is not as it was asked for")
        elif asked.mode and (asked.mode, asked.until) != (event.mode, event.until):
            self._bad(event, "the retention is not as it was asked for")

    def _completed(self, event: Event) -> None:
        owed = self._uploads.pop(event.upload, None)
        if owed is None:
            return
        # Only a bucket that is known to have no default keeps a lock that is over.
        if self._defaults.get(event.bucket, _UNKNOWN) is not None and owed.mode and owed.until <= event.late:
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
