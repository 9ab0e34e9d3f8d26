"""Replays what successful operations did to versions and their locks, from the records alone (DESIGN §5).

Checked, with the time of the record itself (the earlier of its two clocks, by which expiry is judged):

1. A version that is deleted, replaced or erased has no lock that stands: no legal hold, no COMPLIANCE retention that
   runs, no GOVERNANCE retention that runs unless the request bypassed it.
2. COMPLIANCE that runs is never shortened or taken off; GOVERNANCE that runs only with bypass.
3. A version is erased only after it was deleted, and deleted once.
4. The versions of a key form a chain: ordinals without gaps, each naming the manifest digest of the one before.
5. A bucket is deleted only when no version is left in it; one made again goes on with the chains of its keys. What is
   in a bucket was put there while it was.
6. An operation on a version names the key it is of; a lock has a mode and a date, or neither; setting the retention
   leaves the hold as it is, and the other way round.
7. An erasure is of a body that an earlier record stored; a part of a completed upload goes only with the version.

What a new version is owed (8 to 10) stands in ``promises``, what matters hold (11 to 13) in ``matters``.

Conventions: ``lock`` of a record is the version's lock after the operation; ``object.version_id`` in a delete means
that a version was removed, its absence that a delete marker was made or (without versioning) the null version removed;
``ref`` of an erasure is the position of the body (``lineage``).

An exported log may be of a stream that took another over (``strongroom recover``). Buckets made in that one have
versions this one does not know: those are counted as inherited and only what is known about them is checked.

Memory: some 600 bytes for each version. Not handled here: bytes of versions (``holdings``).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from audit.verify.matters import Matters
from audit.verify.promises import Promises
from audit.verify.report import Finding

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.verify.event import Event

_COMPLIANCE: Final = b"COMPLIANCE"
_MODES: Final = {mode: mode for mode in (b"", b"GOVERNANCE", _COMPLIANCE)}  # one object for each, not for each version


class _Chain:
    """The versions of one key: newest ordinal, manifest digest and version, and the null version."""

    __slots__ = ("manifest", "newest", "null", "ordinal")

    def __init__(self) -> None:
        self.ordinal, self.manifest = 0, b""
        self.newest: Version | None = None
        self.null: bytes | None = None


class Version:
    """One version: its key and lock, what matters go by, whether it was deleted, the seq of the record that made it."""

    __slots__ = ("actor", "at", "chain", "gone", "hold", "late", "mode", "seq", "until")

    def __init__(self, event: Event, chain: _Chain) -> None:
        self.chain = chain
        self.at, self.late, self.actor = 0, 0, b""
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


class _Bucket:
    """A bucket name: versions left in it, whether it was ever created in this stream, and whether it is there."""

    __slots__ = ("created", "live", "there")

    def __init__(self) -> None:
        self.live, self.created, self.there = 0, False, False


class Locks:
    """The state that the records imply.

    Args:
        place: Names the place of a record from its seq.

    Attributes:
        versions: Every version made in this stream, by version id.
        erased: Seqs whose bodies ``object.erased`` names, each with the seq of that record.
        inherits: An earlier stream is not here, and with it versions that this one may name.
        inherited: Operations on versions that another stream made.
        findings: What is bad.
    """

    def __init__(self, place: Callable[[int], str]) -> None:
        self._place = place
        self._chains: dict[bytes, _Chain] = {}
        self._buckets: defaultdict[bytes, _Bucket] = defaultdict(_Bucket)
        self.versions: dict[bytes, Version] = {}
        self.erased: dict[int, int] = {}
        self.inherits = False
        self.inherited = 0
        self._bodies = bytearray()  # a bit for each record: whether it stored something
        self._uploads: dict[bytes, dict[bytes, int]] = {}  # the latest part of each number
        self._part_of: dict[int, Version] = {}
        self.findings: list[Finding] = []
        self._promises = Promises(self._bad, self._current)
        self._matters = Matters(self._bad)
        self._steps: Final[dict[bytes, Callable[[Event], None]]] = {
            b"object.put": self._made,
            b"multipart.complete": self._made,
            b"object.delete": self._deleted,
            b"object.erased": self._erased,
            b"object.retention.put": self._retained,
            b"object.hold.put": self._held,
            b"multipart.part": self._part,
            b"multipart.abort": self._aborted,
            b"bucket.create": self._bucket_created,
            b"bucket.delete": self._bucket_deleted,
        }

    def apply(self, event: Event) -> None:
        """Replay the next successful operation."""
        if event.root:
            self._bodies.extend(bytes(max(0, event.seq // 8 + 1 - len(self._bodies))))
            self._bodies[event.seq // 8] |= 1 << event.seq % 8
        if bool(event.mode) != bool(event.until):
            self._bad(event, "its lock has a mode and no date, or a date and no mode")
        self._promises.apply(event)
        if event.matter:
            self._matters.apply(event, inherits=self.inherits)
        step = self._steps.get(event.op)
        if step is not None:
            step(event)

    def _current(self, event: Event) -> bool:
        """Whether the key of an operation has a version that is there and no delete marker."""
        chain = self._chains.get(event.bucket + event.key)
        return chain is not None and chain.newest is not None and not chain.newest.gone

    def _bad(self, event: Event, why: str) -> None:
        self.findings.append(Finding(event.seq, self._place(event.seq), why))

    def _bucket_created(self, event: Event) -> None:
        bucket = self._buckets[event.bucket]
        if bucket.there:
            self._bad(event, "the bucket was made before")
        bucket.created = bucket.there = True

    def _bucket_deleted(self, event: Event) -> None:
        bucket = self._buckets[event.bucket]
        if bucket.live > 0:
            self._bad(event, f"the bucket was deleted with {bucket.live} versions in it")
        if not (bucket.there or self.inherits):
            self._bad(event, "there was no such bucket")
        bucket.live, bucket.there = 0, False

    def _made(self, event: Event) -> None:
        if not event.version_id:
            return  # found by records
        name = event.bucket + event.key  # two JSON strings: where one ends is plain
        bucket, chain = self._buckets[event.bucket], self._chains.get(name)
        ordinal, prev = int(event.ordinal), event.prev_manifest
        if not (bucket.there or self.inherits):
            self._bad(event, "there was no such bucket")
        # A bucket that is made again goes on with the chains of its keys, which may be in a stream that is not here.
        known = chain is not None or (bucket.created and not self.inherits)
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
        version = self.versions[event.version_id] = chain.newest = Version(event, chain)
        self._matters.made(event, version)
        bucket.live += 1
        if event.op == b"multipart.complete" and event.upload in self._uploads:
            self._part_of |= dict.fromkeys(self._uploads.pop(event.upload).values(), version)

    def _part(self, event: Event) -> None:
        self._uploads.setdefault(event.upload, {})[event.part] = event.seq

    def _aborted(self, event: Event) -> None:
        self._uploads.pop(event.upload, None)

    def _replace_null(self, event: Event, chain: _Chain) -> None:
        if chain.null is None or int(chain.null[: len(chain.null) - 24], 16) != int(event.replaced):
            if not self.inherits:
                self._bad(event, f"it replaced version {int(event.replaced)}, which is not the key's null version")
            else:
                self.inherited += 1
            return
        self._remove(event, self.versions[chain.null], "replaced")
        chain.null = None

    def _deleted(self, event: Event) -> None:
        if not event.version_id:  # there was nothing to delete
            named, chain = self.versions.get(event.named[1:-1]), self._chains.get(event.bucket + event.key)
            if named is not None and not named.gone and named.chain is chain:
                self._bad(event, "it says that there was nothing to delete, and the version that it names is there")
            return
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
            if self.inherits:
                self.inherited += 1
            else:
                self._bad(event, "no record made the version it is about")
            return None
        named = event.named[1:-1]
        if version.chain is not self._chains.get(event.bucket + event.key) or named not in {
            b"", b"null", event.version_id
        }:  # fmt: skip
            self._bad(event, "it names one version and is about another")
            return None
        return version

    def _remove(self, event: Event, version: Version, how: str) -> None:
        if version.gone:
            self._bad(event, f"the version was {how} although it was deleted before")
            return
        lock = version.stands(event.at, bypass=event.bypass == b"true")
        if lock:
            self._bad(event, f"the version was {how} while {lock} stood")
        held = self._matters.holding(event, version)
        if held:
            self._bad(event, f"the version was {how} while the matter {held[0].decode()} held it")
        version.gone = True
        self._buckets[event.bucket].live -= 1

    def _erased(self, event: Event) -> None:
        seq = int(event.ref or -1)
        if not (0 <= seq < event.seq and self._stored(seq)):
            self._bad(event, "it erases what no record before it stored")
            return
        self.erased[seq] = event.seq
        part_of = self._part_of.get(seq)
        if part_of is not None and not part_of.gone:
            self._bad(event, "it erases a part of a version that is there")
        if not event.named:
            return  # a part, or an upload that was given up; if it was a version's body after all, finish() says so
        version = self.versions.get(event.named[1:-1])
        if version is None:
            if self.inherits:
                self.inherited += 1
            else:
                self._bad(event, "no record made the version it is about")
        elif version.seq != seq:
            self._bad(event, f"it erases the body of record {seq}, which did not make the version it names")
        elif not version.gone:
            lock = version.stands(event.at, bypass=False)
            self._bad(event, "the version was erased and never deleted" + (f", while {lock} stood" if lock else ""))

    def _stored(self, seq: int) -> bool:
        """Whether a record stored something; what an earlier stream did is not known where that is not here."""
        place = seq // 8
        return self.inherits or (place < len(self._bodies) and bool(self._bodies[place] >> seq % 8 & 1))

    def finish(self) -> None:
        """Judge what only the end of the records shows: bodies erased under versions that are still there."""
        told = {finding.seq for finding in self.findings}
        for version in self.versions.values() if self.erased else ():
            seq = self.erased.get(version.seq, -1)
            if seq >= 0 and not version.gone and seq not in told:
                why = f"it erases the version of record {version.seq}, which was never deleted"
                self.findings.append(Finding(seq, self._place(seq), why))

    def _changed(self, event: Event) -> Version | None:
        """The version whose lock an operation sets."""
        if not event.version_id:
            self._bad(event, "it sets a lock and does not say of which version")
            return None
        version = self._known(event)
        if version is not None and version.gone:
            self._bad(event, "it sets the lock of a version that was deleted before")
        if version is not None:
            self._matters.compare(event, version, inherits=self.inherits)
        return version

    def _retained(self, event: Event) -> None:
        version = self._changed(event)
        if version is None:
            return
        if (event.hold == b"true") != version.hold:
            self._bad(event, "it changed the legal hold, which is not its business")
        until = event.until
        waived = version.mode != _COMPLIANCE and event.bypass == b"true"
        weaker = until < version.until or not event.mode or (version.mode == _COMPLIANCE and event.mode != _COMPLIANCE)
        # A hold does not bar changing the retention below it, so only the retention is asked.
        if version.mode and version.until > event.at and weaker and not waived:
            self._bad(event, f"it weakened a {version.mode.decode()} lock that ran until {version.until.decode()}")
        version.mode, version.until = _MODES[event.mode], until

    def _held(self, event: Event) -> None:
        version = self._changed(event)
        if version is None:
            return
        if (event.mode, event.until) != (version.mode, version.until):
            self._bad(event, "it changed the retention, which is not its business")
        version.hold = event.hold == b"true"
