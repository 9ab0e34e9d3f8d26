"""Replays matters, legal holds by description, from the records alone (DESIGN §5; ARCHITECTURE, Matters).

11. A version that an open matter describes is not deleted or replaced, whoever asks. A matter describes a version if
    bucket, key prefix and actor are those of the version, and one of the two clocks of the record that made the
    version is within its time. Delete markers are never held.
12. A matter is opened once and closed once, after it was opened, and says what it holds.
13. A change of a lock names the matters that hold the version: the first 32, and how many there are more.

Prefixes are compared as they are written: a string has one form in a record, and no escape begins within another.
A matter that an earlier stream opened, which is not here, is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.verify.event import Event
    from audit.verify.locks import Version

#: How many matters a lock names.
_NAMED: Final = 32
_DIGITS_ONLY: Final = b"-:T.Z"


class _Query(NamedTuple):
    bucket: bytes
    prefix: bytes
    since: int
    before: int
    actor: bytes


def instant(stamp: bytes) -> int:
    """A time as records write it, as a number of the same order; 0 for none."""
    return int(stamp.translate(None, _DIGITS_ONLY) or 0)


class Matters:
    """The matters that the records imply.

    Args:
        bad: Takes what is bad about an event.
    """

    def __init__(self, bad: Callable[[Event, str], None]) -> None:
        self._bad = bad
        self._open: dict[bytes, _Query] = {}
        self._seen: set[bytes] = set()
        self._actors: dict[bytes, bytes] = {}  # one object for each, not for each version

    def made(self, event: Event, version: Version) -> None:
        """Note of a version what matters go by; nothing of a delete marker, which is never held."""
        if event.marker == b"true":
            return
        version.at = instant(event.at)
        version.late = version.at if event.late == event.at else instant(event.late)
        version.actor = self._actors.setdefault(event.actor, event.actor)

    def apply(self, event: Event, *, inherits: bool) -> None:
        """Replay the opening or the end of a matter; ``inherits`` says that an earlier stream is not here."""
        if event.op == b"matter.open":
            if event.matter in self._seen:
                self._bad(event, f"the matter {event.matter.decode()} was opened before")
            if bool(event.of_bucket) == (event.of_vault == b"true"):
                self._bad(event, "the matter it opens is neither of one bucket nor of the vault")
            since, before = instant(event.since), instant(event.before)
            self._seen.add(event.matter)
            self._open[event.matter] = _Query(event.of_bucket, event.of_prefix[:-1], since, before, event.of_actor)
        elif event.op == b"matter.close":
            known = self._open.pop(event.matter, None) is not None
            if not known and (event.matter in self._seen or not inherits):
                self._bad(event, f"the matter {event.matter.decode()} that it closes is not open")

    def holding(self, event: Event, version: Version) -> list[bytes]:
        """Ids of the matters that hold a version, in the order in which they were opened.

        Args:
            event: Names the version's bucket and key.
            version: The version.
        """
        if not self._open or not version.actor:
            return []
        return [
            matter
            for matter, query in self._open.items()
            if query.bucket in {b"", event.bucket}
            and event.key.startswith(query.prefix)
            and query.actor in {b"", version.actor}
            and any(query.since <= at and (not query.before or at < query.before) for at in (version.at, version.late))
        ]

    def compare(self, event: Event, version: Version, *, inherits: bool) -> None:
        """Check what the lock of an event says of the matters that hold the version."""
        if inherits:
            return
        held = self.holding(event, version)
        said = event.matters.split(b",") if event.matters else []
        if said != held[:_NAMED] or int(event.more or 0) != max(0, len(held) - _NAMED):
            self._bad(event, f"its lock names {_listed(said)} and {_listed(held)} held the version")


def _listed(matters: list[bytes]) -> str:
    return "matters " + ", ".join(matter.decode() for matter in matters[:_NAMED]) if matters else "no matter"
