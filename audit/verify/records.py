"""Checks of records in their order, on their exact bytes (DESIGN §3).

For each record:

1. It begins with this stream, the next seq, and as ``prev`` the leaf hash of the record before.
2. The rest has the form of schema version 1: integers only, no duplicates, no whitespace, fields in order, at most
   32 KiB, UTF-8, an outcome of the three, an operation of the enumeration.
3. The clock has not gone backwards.
4. A version's id follows from its ordinal and manifest digest.
5. A version that the record made has the manifest digest that follows from the record.
6. The earlier of its two clocks, by which locks expire, is not a day ahead of the clock of the machine that verifies.
7. What it stored has a descriptor whose length fits its size.
8. An event of another system that it holds has the digest that stands beside it.

A record that was pruned is an empty line: its leaf hash comes from the tile, for which the root vouches, and what comes
after it must name that hash. A record of another ``v`` is hashed and counted; nothing else can be said of it. An
unknown ``op`` is counted.
Left to the caller: how runs of records join (``spine``), and what operations did to each other (``locks``).
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from time import gmtime, strftime, time
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.verify.event import event_of
from audit.verify.foreign import disagrees
from audit.verify.report import Finding
from audit.verify.schema import AFTER_PREV, HEAD, LINK, MAX_RECORD_BYTES, OPS, parse_strict, why_not
from audit.verify.tree import HASH_BYTES, TILE_WIDTH

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable

    from audit.verify.event import Event

#: What ``prev`` of the first record says: SHA-256 of nothing.
NO_PREV: Final = sha256(b"").hexdigest().encode()

#: Successful operations that change what later ones may do, or what must be kept.
_EVENTS: Final = frozenset(
    b"bucket.create bucket.delete bucket.lock.put "
    b"object.put object.delete object.erased object.retention.put object.hold.put "
    b"multipart.create multipart.part multipart.complete multipart.abort "
    b"matter.open matter.close principal.add principal.disable ledger.open ledger.stop ledger.recover "
    b"ledger.pruned".split()
)
_NAMES: Final = {op: op for op in OPS}  # one object for each name, so that runs travel light
_MAKES: Final = frozenset((b"object.put", b"multipart.complete"))
_STORES: Final = _MAKES | {b"multipart.create", b"multipart.part"}
#: Bytes that suite 1 adds to each chunk.
_TAG_BYTES: Final = 16
#: How far ahead of this machine's clock a record may be, in seconds: it may be wrong, and evidence waits for nobody.
_AHEAD_SECONDS: Final = 24 * 3600

_TIME, _CONTENT, _LOCK = (AFTER_PREV.groupindex[name] - 1 for name in ("time", "content", "lock"))
_EACH_NAMES: Final = ("time", "clock", "outcome", "op", "version_id", "ordinal", "manifest")
_EACH: Final = tuple(AFTER_PREV.groupindex[name] for name in _EACH_NAMES)


class Run(NamedTuple):
    """What checking records ``first`` and on has shown.

    Attributes:
        first: Seq of the first record.
        leaves: Their leaf hashes, 32 bytes each.
        prev: What the first record says is the one before, hex; empty where that record was pruned.
        clocks: Clock of the first and of the last record.
        events: What they did, in order.
        ops: The operation of each record: ``v2`` and so on of another version, empty where it is bad.
        findings: What is bad about them.
        broken: Reading stopped: whatever follows cannot be joined on.
        roots: Roots of full tiles, 32 bytes each, where the run starts and goes by tiles.
        gaps: Records of which only the leaf hash is there: first, end, and the clock of the next one that is there,
            empty where that is in another run.
    """

    first: int
    leaves: bytes
    prev: bytes
    clocks: tuple[bytes, bytes]
    events: list[Event]
    ops: list[bytes]
    findings: list[Finding]
    broken: bool = False
    roots: bytes = b""
    gaps: tuple[tuple[int, int, bytes], ...] = ()


class Checker:
    """Checks records fed to it in order of seq.

    Args:
        stream: The stream they must name, as a JSON string with its quotes.
        first: Seq of the first one.
        place: Names the place of a record from its seq.
    """

    def __init__(self, stream: bytes, first: int, place: Callable[[int], str]) -> None:
        self._head = b'{"v":1,"stream":' + stream.replace(b"%", b"%%") + b',"seq":%d,"prev":"%b",'
        self._first, self._seq, self._place = first, first, place
        self._now = strftime("%Y-%m-%dT%H:%M:%S", gmtime(time() + _AHEAD_SECONDS)).encode()
        self._before = self._prev = NO_PREV if first == 0 else b""
        self._first_clock = self._clock = b""
        self.leaves: list[bytes] = []
        self._events: list[Event] = []
        self._ops: list[bytes] = []
        self._gaps: list[tuple[int, int, bytes]] = []
        self.findings: list[Finding] = []

    def feed(self, records: Iterable[bytes], hashes: bytes = b"") -> None:
        """Check the next records.

        Args:
            records: Exact bytes, each without its line feed; none where one was pruned.
            hashes: The full tile of level 0 that holds their leaf hashes, where some were pruned.
        """
        form, fullmatch = self._head, AFTER_PREV.fullmatch
        for record in records:
            head = form % (self._seq, self._prev or self._first_prev(record))
            match = None
            if record.startswith(head) and len(record) <= MAX_RECORD_BYTES and (record.isascii() or _utf8(record)):
                match = fullmatch(record, len(head))
            if not record and hashes:
                self._take_hash(hashes)
                continue
            if match is None or match.lastgroup == "reserved":
                match = self._look_closer(record, head)
            if match is not None:
                self._check(match)
            leaf = sha256(b"\0" + record)
            self.leaves.append(leaf.digest())
            self._prev = leaf.hexdigest().encode()
            self._seq += 1

    def run(self, *, broken: bool = False) -> Run:
        """What was found.

        Args:
            broken: Reading stopped at something bad.

        Returns:
            The run of all records fed so far.
        """
        return Run(
            self._first,
            b"".join(self.leaves),
            self._before,
            (self._first_clock, self._clock),
            self._events,
            self._ops,
            self.findings,
            broken,
            gaps=tuple(self._gaps),
        )

    def bad(self, why: str) -> None:
        """Note that the record at hand is bad."""
        self.findings.append(Finding(self._seq, self._place(self._seq), why))

    def _take_hash(self, hashes: bytes) -> None:
        at = self._seq % TILE_WIDTH * HASH_BYTES
        leaf = hashes[at : at + HASH_BYTES]
        self.leaves.append(leaf)
        goes_on = bool(self._gaps) and self._gaps[-1][1] == self._seq
        first = self._gaps.pop()[0] if goes_on else self._seq
        self._gaps.append((first, self._seq + 1, b""))
        self._ops.append(b"")
        self._prev = leaf.hex().encode()
        self._seq += 1

    def _first_prev(self, record: bytes) -> bytes:
        """What the first record of a run says is before it; whether that is so, the caller finds out."""
        if not record:
            return b""  # pruned: it says nothing
        link = LINK.match(record)
        self._before = self._prev = link[1] if link else b"0" * 64
        return self._prev

    def _check(self, match: re.Match[bytes]) -> None:
        stamp, clock, outcome, op, version_id, ordinal, manifest = match.group(*_EACH)
        self._ops.append(_NAMES.get(op, op))
        if clock < self._clock:
            self.bad(f"its clock {clock.decode()} is before {self._clock.decode()} of the record before")
        elif not self._clock:
            self._first_clock = clock
        if self._gaps and self._gaps[-1][1] == self._seq:
            self._gaps[-1] = (*self._gaps[-1][:2], clock)
        self._clock = clock
        if clock > self._now < stamp:
            self.bad(f"its clocks are ahead: {clock.decode()}")
        if version_id is not None and version_id != _id_prefix(ordinal) + manifest[:24]:
            self.bad("its version id does not follow from ordinal and manifest")
        if op == b"ingest.event" and (why := disagrees(match)):
            self.bad(why)
        if outcome == b"success" and op in _EVENTS:
            found = match.groups(b"")
            made = event_of(self._seq, stamp, clock, found)
            self._events.append(made)
            if op in _STORES:
                self._check_stored(made)
            if op in _MAKES or (op == b"object.delete" and made.marker == b"true" and not made.named):
                self._check_made(made, (found[_TIME], found[_CONTENT], found[_LOCK]))

    def _check_stored(self, event: Event) -> None:
        if not event.root:
            self.bad("it stored something and does not say how that is kept")
        elif event.suite == b"1" and event.kind != b"parts" and event.op != b"multipart.create":
            size, chunk = int(event.size or -1), int(event.chunk)
            chunks = max(1, -(-size // chunk)) if chunk else 0
            if size < 0 or int(event.length) != size + _TAG_BYTES * chunks or not chunks:
                self.bad(f"{int(event.length)} bytes of ciphertext are not those of {size} bytes")

    def _check_made(self, event: Event, rest: tuple[bytes, bytes, bytes]) -> None:
        if not event.version_id:
            self.bad("it made a version and does not name it")
        elif manifest_digest(event, *rest) != event.manifest:
            self.bad("the manifest digest does not follow from the record")

    def _look_closer(self, record: bytes, expected: bytes) -> re.Match[bytes] | None:
        """Read a record that the fast path did not accept: say why, or find that it is good after all."""
        if not record.startswith(b'{"v":1,'):
            self._other_version(record)
            return None
        if not record.startswith(expected):
            self._wrong_head(record)
            self._ops.append(b"")
            return None
        why = why_not(record)
        match = None if why else AFTER_PREV.fullmatch(record, len(expected))
        if match is None:
            self.bad(why or "not in the form of the schema")
            self._ops.append(b"")
        return match

    def _wrong_head(self, record: bytes) -> None:
        head = HEAD.match(record)
        if head is None:
            self.bad(why_not(record))
        elif int(head[2]) != self._seq:
            self.bad(f"it says it is record {int(head[2])}")
        elif head[3] != self._prev:
            why = "it does not follow the record before: prev is not that one's leaf hash; one of the two was changed"
            self.bad(why)
        else:
            self.bad(f"it is of another stream, {head[1][:200].decode(errors='replace')}")

    def _other_version(self, record: bytes) -> None:
        value = parse_strict(record)
        if isinstance(value, str):
            self.bad(value)
            self._ops.append(b"")
            return
        version = value.get("v")
        if not isinstance(version, int) or isinstance(version, bool) or version <= 1:
            self.bad("no schema version")
        elif value.get("seq", self._seq) != self._seq:
            self.bad("its seq is not the next one")
        elif value.get("prev", self._prev.decode()) != self._prev.decode():
            self.bad("it does not follow the record before")
        self._ops.append(f"v{version}"[:20].encode())


@lru_cache(1024)
def _id_prefix(ordinal: bytes) -> bytes:
    return b"%08x" % int(ordinal)


def _utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def manifest_digest(event: Event, stamp: bytes, content: bytes, lock: bytes) -> bytes:
    """Recompute a version's manifest digest from the record that made it (ARCHITECTURE, Manifest).

    Args:
        event: What the record says.
        stamp: Its wall clock.
        content: Digest of the content document, empty where it has none.
        lock: The lock as it stands in the record, empty where it has none.

    Returns:
        Lowercase hex.
    """
    names = event.bucket, event.key or b'""', event.ordinal, stamp
    manifest = b'{"v":1,"bucket":%b,"key":%b,"ordinal":%b,"time":"%b"' % names
    if content:
        manifest += b',"content":"%b"' % content
    if lock:
        manifest += b',"lock":%b' % lock
    if event.marker == b"true":
        manifest += b',"marker":true'
    if event.null == b"true":
        manifest += b',"null":true'
    if event.prev_manifest:
        manifest += b',"prev":"%b"' % event.prev_manifest
    return sha256(manifest + b"}").hexdigest().encode()


def unknown_ops(ops: Iterable[bytes]) -> list[str]:
    """Operations and versions that this verifier does not know: of those records only hashes were checked."""
    return sorted(op.decode() for op in ops if op and op not in OPS)
