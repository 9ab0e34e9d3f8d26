"""Replays what successful operations did to versions and their locks, from the records alone (DESIGN §5).

Checked, with the time of the record itself (the earlier of its two clocks, by which expiry is judged):

1. A version that is deleted, replaced or erased has no lock that stands: no legal hold, no COMPLIANCE retention that
   runs, no GOVERNANCE retention that runs unless the request bypassed it.
2. COMPLIANCE that runs is never shortened or taken off; GOVERNANCE that runs only with bypass.
3. A version is erased only after it was deleted, and deleted once.
4. The versions of a key form a chain: ordinals without gaps, each naming the manifest digest of the one before.
5. A bucket is deleted only when no version is left in it; one made again goes on with the chains of its keys.

Conventions: ``lock`` of a record is the version's lock after the operation; ``object.version_id`` in a delete means
that a version was removed, its absence that a delete marker was made or (without versioning) the null version removed;
``ref`` of an erasure is the position of the body (``lineage``).

An exported log may be of a stream that took another over (``strongroom recover``). Buckets made in that one have
versions this one does not know: those are counted as inherited and only what is known about them is checked.

Memory: about half a kilobyte for each version. Not handled here: bytes of versions (``holdings``).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from audit.verify.report import Finding

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.verify.records import Event

_COMPLIANCE: Final = b"COMPLIANCE"
_MODES: Final = {mode: mode for mode in (b"", b"GOVERNANCE", _COMPLIANCE)}  # one object for each, not for each version


class Version:
    """One version: its lock, whether it was deleted, and the seq of the record that made it."""

    __slots__ = ("gone", "hold", "mode", "seq", "until")

    def __init__(self, event: Event) -> None:
        self.mode, self.until = _MODES[event.mode], event.until
        self.hold = event.hold == b"true"
        self.seq, self.gone = event.seq, False

    def stands(self, at: bytes, *, bypass: bool) -> str:
        """Say which lock stands at an instant, empty if none does. Times compare as they are written."""
        if self.hold:
            return "its legal hold"
        if self.mode and self.until > at and not (bypass and self.mode != _COMPLIANCE):
            return f"its {self.mode.decode()} lock until {self.until.decode()}"
        return ""


class _Chain:
    """The versions of one key: newest ordinal and manifest digest, and the null version."""

    __slots__ = ("manifest", "null", "ordinal")

    def __init__(self) -> None:
        self.ordinal, self.manifest = 0, b""
        self.null: bytes | None = None


class _Bucket:
    """A bucket name: versions left in it, and whether it was created in this stream."""

    __slots__ = ("created", "live")

    def __init__(self) -> None:
        self.live, self.created = 0, False


class Locks:
    """The state that the records imply.

    Args:
        place: Names the place of a record from its seq.

    Attributes:
        versions: Every version made in this stream, by version id.
        erased: Seqs whose bodies ``object.erased`` names.
        inherited: Operations on versions that another stream made.
        findings: What is bad.
    """

    def __init__(self, place: Callable[[int], str]) -> None:
        self._place = place
        self._chains: dict[bytes, _Chain] = {}
        self._buckets: defaultdict[bytes, _Bucket] = defaultdict(_Bucket)
        self.versions: dict[bytes, Version] = {}
        self.erased: set[int] = set()
        self.inherited = 0
        self.findings: list[Finding] = []
        self._steps: Final[dict[bytes, Callable[[Event], None]]] = {
            b"object.put": self._made,
            b"multipart.complete": self._made,
            b"object.delete": self._deleted,
            b"object.erased": self._erased,
            b"object.retention.put": self._retained,
            b"object.hold.put": self._held,
            b"bucket.create": self._bucket_created,
            b"bucket.delete": self._bucket_deleted,
        }

    def apply(self, event: Event) -> None:
        """Replay the next successful operation."""
        step = self._steps.get(event.op)
        if step is not None:
            step(event)

    def _bad(self, event: Event, why: str) -> None:
        self.findings.append(Finding(event.seq, self._place(event.seq), why))

    def _bucket_created(self, event: Event) -> None:
        self._buckets[event.bucket].created = True

    def _bucket_deleted(self, event: Event) -> None:
        bucket = self._buckets[event.bucket]
        if bucket.live > 0:
            self._bad(event, f"the bucket was deleted with {bucket.live} versions in it")
        bucket.live = 0

    def _made(self, event: Event) -> None:
        if not event.version_id:
            return  # found by records
        name = event.bucket + event.key  # two JSON strings: where one ends is plain
        bucket, chain = self._buckets[event.bucket], self._chains.get(name)
        ordinal, prev = int(event.ordinal), event.prev_manifest
        known = chain is not None or bucket.created
        if chain is None:
            chain = self._chains[name] = _Chain()
        if known and (ordinal, prev) != (chain.ordinal + 1, chain.manifest):
            self._bad(event, f"version {ordinal} does not follow version {chain.ordinal} of its key")
        if int(event.replaced or 0):
            self._replace_null(event, chain)
        elif event.null == b"true" and chain.null is not None:
            self._bad(event, "it made a null version and does not say which one it replaced")
        chain.ordinal, chain.manifest = ordinal, event.manifest
        if event.null == b"true":
            chain.null = event.version_id
        if event.version_id in self.versions:
            self._bad(event, "the version was made before")
        self.versions[event.version_id] = Version(event)
        bucket.live += 1

    def _replace_null(self, event: Event, chain: _Chain) -> None:
        if chain.null is None or int(chain.null[: len(chain.null) - 24], 16) != int(event.replaced):
            if self._buckets[event.bucket].created:
                self._bad(event, f"it replaced version {int(event.replaced)}, which is not the key's null version")
            else:
                self.inherited += 1
            return
        self._remove(event, self.versions[chain.null], "replaced")
        chain.null = None

    def _deleted(self, event: Event) -> None:
        if not event.version_id:
            return  # there was nothing to delete
        if event.marker == b"true" and not event.named:
            self._made(event)
            return
        version = self._known(event)
        if version is None:
            return
        self._remove(event, version, "deleted")
        chain = self._chains.get(event.bucket + event.key)
        if chain is not None and chain.null == event.version_id:
            chain.null = None

    def _known(self, event: Event) -> Version | None:
        version = self.versions.get(event.version_id)
        if version is None:
            if self._buckets[event.bucket].created:
                self._bad(event, "no record made the version it is about")
            else:
                self.inherited += 1
        return version

    def _remove(self, event: Event, version: Version, how: str) -> None:
        if version.gone:
            self._bad(event, f"the version was {how} although it was deleted before")
            return
        lock = version.stands(event.at, bypass=event.bypass == b"true")
        if lock:
            self._bad(event, f"the version was {how} while {lock} stood")
        version.gone = True
        self._buckets[event.bucket].live -= 1

    def _erased(self, event: Event) -> None:
        seq = int(event.ref or -1)
        self.erased.add(seq)
        if not event.named:
            return  # a part, or an upload that was given up; if it was a version's body after all, finish() says so
        version = self.versions.get(event.named[1:-1])
        if version is None:
            self._known(event)
        elif version.seq != seq:
            self._bad(event, f"it erases the body of record {seq}, which did not make the version it names")
        elif not version.gone:
            lock = version.stands(event.at, bypass=False)
            self._bad(event, "the version was erased and never deleted" + (f", while {lock} stood" if lock else ""))

    def finish(self) -> None:
        """Judge what only the end of the records shows: bodies erased under versions that are still there."""
        for version in self.versions.values() if self.erased else ():
            if version.seq in self.erased and not version.gone:
                self.findings.append(Finding(version.seq, self._place(version.seq), "erased and never deleted"))

    def _retained(self, event: Event) -> None:
        version = self._known(event) if event.version_id else None
        if version is None:
            return
        if version.gone:
            self._bad(event, "it sets the lock of a version that was deleted before")
        until = event.until
        waived = version.mode != _COMPLIANCE and event.bypass == b"true"
        weaker = until < version.until or not event.mode or (version.mode == _COMPLIANCE and event.mode != _COMPLIANCE)
        # A hold does not bar changing the retention below it, so only the retention is asked.
        if version.mode and version.until > event.at and weaker and not waived:
            self._bad(event, f"it weakened a {version.mode.decode()} lock that ran until {version.until.decode()}")
        version.mode, version.until = _MODES[event.mode], until

    def _held(self, event: Event) -> None:
        version = self._known(event) if event.version_id else None
        if version is None:
            return
        if version.gone:
            self._bad(event, "it sets the hold of a version that was deleted before")
        version.hold = event.hold == b"true"
