"""The eraser: the second step of erasure, and the only place that issues tokens (DESIGN §6).

A removal makes bytes invisible; here they go, when all of this holds:

 1. The removal lies below the last anchored checkpoint: no start can take it back, and a takeover only with a ledger
    that has lost records under it.
 2. Nobody reads them.
 3. The ledger, not the index, says what they are and that they were removed (``audit.evidence``).
 4. The gate allows it under the lock that the ledger tells (``vault.retention``).

Then, in this order: blobs; and as soon as the bodies have left the commit log, which on a quiet vault may take days,
bodies in packs, domain keys that nothing names any more, and the record ``object.erased`` (its ``ref`` is the position
of the body), which takes the row out of the index. Every step finds done what was done before, so after a crash the
next pass does it all again and ends in one record.

A domain key goes when neither index nor ledger knows of bytes under it that were not erased, after its month is over.
It is retired before they are looked through: from then on nobody takes it, and while somebody holds it, for a body that
is being received and that neither knows of, it stays. Keys of what has no retention stay. That search reads everything,
so it takes place when no other bytes wait, and takes a tenth of the time at most.

What the index calls ``seq`` is a position (``audit.strand``).

Not handled here: media remanence and backups (no claim is made), and the thread.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from itertools import count, islice
from threading import Event
from typing import TYPE_CHECKING, Final

from audit import evidence
from audit.commit import commit_all
from audit.crash import crash_point
from audit.errors import AuditError, LedgerCorrupt
from audit.strand import History, holding
from vault.crypto.keyring import UNLOCKED, month_of
from vault.errors import S3Error, Unavailable
from vault.policy import SYSTEM
from vault.record import Actor, ObjectRef, Origin, Tail, decode
from vault.retention import decide_erasure
from vault.state import lookup
from vault.state.rows import GarbageRow, PartRow, UploadRow, VersionRow
from vault.storage.packs import body_name
from vault.storage.token import blob_name, domain_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from audit.evidence import Removed
    from audit.stores import Stores
    from vault.crypto.keyring import Keyring
    from vault.ports import Journal
    from vault.record import Storage
    from vault.times import Now

_log: Final = logging.getLogger(__name__)

#: Rows of one pass, which may read far back: bounds its memory, and how much one crash makes it repeat.
MAX_ROWS: Final = 10_000
#: Seconds of rest for each second of a pass, which may have to read far back in the ledger.
REST: Final = 9.0


@dataclass(frozen=True, slots=True)
class _Token:
    """Leave to destroy what one removal made invisible. Made in this module only: see :class:`ErasureToken`."""

    seq: int
    storage: Storage | None
    by: int
    checkpoint: int
    names: frozenset[str]

    def covers(self, name: str) -> bool:
        """See :class:`vault.storage.token.ErasureToken`."""
        return name in self.names


class ErasureRefused(AuditError):
    """The index calls a body garbage, and the ledger or the gate says that it must stay: one of them is wrong."""

    code = "erasure-refused"

    def __init__(self, seq: int, reason: str) -> None:
        super().__init__(f"the body of record {seq} is not erased, though the index calls it garbage: {reason}")


class LockStands(ErasureRefused):
    """The gate says so, of the lock that the ledger tells and the clocks as they are."""


@dataclass(frozen=True, slots=True)
class _Erasure:
    """One row's bytes: bodies by position and where each is kept, those of all parts of ``upload`` with them."""

    row: GarbageRow
    upload: str
    bodies: dict[int, Storage]
    token: _Token


class Eraser:
    """Erases what any stream of a vault stored. Not thread-safe: one thread calls :meth:`step`.

    Args:
        stores: The index proposes what is garbage; the streams' commit logs say which bodies have left them.
        keyring: Domain keys.
        journal: Takes the records.
        now: The two clocks.
        published: Position up to which records are under the last anchored and published checkpoint.
        rest: See :data:`REST`.

    Attributes:
        backlog: Bodies that were removed and not erased, as of the last pass that saw all of them.
        erased: Bodies erased by this process.
        locked: By position of the body, which lock stood at the last look; asked again.
        stopping: Set by whoever wants the pass at hand to end early; nothing is lost.
        refused: By position of the body, why it was not erased although the index says it is garbage; not tried again
            by this process. Something is wrong with the index, or with the ledger.
    """

    def __init__(
        self,
        *,
        stores: Stores,
        keyring: Keyring,
        journal: Journal,
        now: Callable[[], Now],
        published: Callable[[], int],
        rest: float = REST,
    ) -> None:
        self.backlog = self.erased = 0
        self.refused: dict[int, str] = {}
        self.locked: dict[int, str] = {}
        self.stopping = Event()
        self._stores = stores
        self._index = stores.index
        self._history = History(stores.strands)
        self._keyring = keyring
        self._journal = journal
        self._now = now
        self._published = published
        self._rest = rest
        self._waiting: dict[int, list[int]] = {}
        self._rest_until = self._keys_rest_until = 0.0
        self._suspects = {domain.id for domain in keyring.domains}

    def step(self) -> bool:
        """Erase what may go, at most :data:`MAX_ROWS` rows. Blocks on disk and on the journal.

        Returns:
            Whether anything was erased; then there may be more.

        Raises:
            LedgerCorrupt: A record that matters cannot be read; nothing of this pass was destroyed.
            Unavailable: The journal takes no records or the disk is full; the next call goes on.
            VaultError: A store failed.
        """
        started = time.monotonic()
        if started < self._rest_until:
            return False
        try:
            return self._pass(self._published())
        finally:
            ended = time.monotonic()
            self._rest_until = ended + self._rest * (ended - started)

    def _pass(self, checkpoint: int) -> bool:
        seen = count()
        proposed = (row for _, row in self._index.scan(b"e", b"f") if isinstance(row, GarbageRow))
        ready = (row for row, _ in zip(proposed, seen, strict=False) if row.by < checkpoint and self._due(row))
        rows = list(islice(ready, MAX_ROWS))
        if len(rows) < MAX_ROWS:
            self.backlog = next(seen)
        erasures = self._judge(rows, checkpoint) if rows else []
        if erasures:
            crash_point("erase.judged")
            self._remove_blobs(erasures)
            crash_point("erase.blobs")
            whole = [erasure for erasure in erasures if self._settled(erasure)]
            if whole:
                self._destroy(whole)
                self._record(whole)
        return bool(erasures)

    def _due(self, row: GarbageRow) -> bool:
        """Whether there is something to do about a row: its blobs at once, everything when all bodies have settled."""
        large = row.storage is not None and row.storage.kind != "log"
        waiting = self._waiting.get(row.seq, () if large else (row.seq,))
        # Leases are asked last: they take longest, and most rows wait for their bodies.
        return (
            all(map(self._in_packs, waiting)) and row.seq not in self.refused and not self._stores.leases.held(row.seq)
        )

    def _in_packs(self, seq: int) -> bool:
        """Whether a body has left the commit log."""
        strand = holding(self._stores.strands, seq)
        return seq - strand.base < strand.log.first_seq

    def _settled(self, erasure: _Erasure) -> bool:
        """Whether all its bodies have left the commit log; else it waits for those that have not."""
        waiting = [seq for seq in erasure.bodies if not self._in_packs(seq)]
        if waiting:
            self._waiting[erasure.row.seq] = waiting
        else:
            self._waiting.pop(erasure.row.seq, None)
        return not waiting

    def _judge(self, rows: Sequence[GarbageRow], checkpoint: int) -> list[_Erasure]:
        """Checks 3 and 4."""
        found = evidence.gather(rows, self._read)
        now = self._now()
        erasures = []
        for row in rows:
            try:
                erasure = self._erasure(row, found[row.seq], checkpoint, now)
            except LockStands as error:  # as of this look at the clock, which may have been set back: asked again
                if row.seq not in self.locked:
                    _log.warning("%s", error)
                self.locked[row.seq] = str(error)
                continue
            except ErasureRefused as error:
                _log.error("%s", error)
                self.refused[row.seq] = str(error)
                continue
            if not any(map(self._stores.leases.held, erasure.bodies)):
                erasures.append(erasure)
        return erasures

    def _erasure(self, row: GarbageRow, removed: Removed | str, checkpoint: int, now: Now) -> _Erasure:
        """What goes with a row.

        Raises:
            ErasureRefused: Its bytes must stay.
        """
        if isinstance(removed, str):
            raise ErasureRefused(row.seq, removed)
        try:
            decide_erasure(removed.lock, now, bypassed=removed.bypassed)
        except S3Error as error:
            raise LockStands(row.seq, f"its lock forbids it ({error.reason})") from error
        bodies = {row.seq: removed.storage}
        if removed.storage.kind == "parts":
            parts = list(lookup.parts(self._index, removed.upload))  # those that its list left out, too
            bodies |= {part.seq: self._part(row, part.seq, removed.upload) for part in parts}
        names = {blob_name(item.blob) for item in bodies.values() if item.blob}
        for seq in bodies:
            strand = holding(self._stores.strands, seq)
            names.add(body_name(strand.name, seq - strand.base))
        token = _Token(row.seq, removed.storage, row.by, checkpoint, frozenset(names))
        return _Erasure(row, removed.upload if removed.storage.kind == "parts" else "", bodies, token)

    def _read(self, first: int, end: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Records, for as long as nobody wants to stop.

        Raises:
            Unavailable: Somebody does.
        """
        for item in self._history.read(first, end):
            if self.stopping.is_set():
                raise Unavailable("the server is stopping")
            yield item

    def _part(self, row: GarbageRow, seq: int, upload: str) -> Storage:
        """Where a part is kept, as the ledger says."""
        try:
            tail = decode(self._history.record(seq))[1]
        except ValueError as error:
            raise LedgerCorrupt(f"record {seq}", str(error)) from error
        named = tail.object
        if tail.op != "multipart.part" or tail.storage is None or named is None or named.upload_id != upload:
            raise ErasureRefused(row.seq, f"record {seq} made no part of it")
        return tail.storage

    def _remove_blobs(self, erasures: Sequence[_Erasure]) -> None:
        for erasure in erasures:
            if erasure.row.seq in self._waiting:  # they went before
                continue
            for storage in erasure.bodies.values():
                if storage.blob:
                    self._stores.blobs.remove(storage.blob, erasure.token)

    def _destroy(self, erasures: Sequence[_Erasure]) -> None:
        bodies = {seq: erasure.token for erasure in erasures for seq in erasure.bodies}
        for strand in self._stores.strands:
            own = {seq - strand.base: bodies[seq] for seq in bodies if strand.base <= seq < strand.end}
            strand.packs.erase(own)
        crash_point("erase.packs")
        self._suspects |= {storage.domain for erasure in erasures for storage in erasure.bodies.values()}
        started = time.monotonic()
        if len(erasures) < MAX_ROWS and started >= self._keys_rest_until:
            self._destroy_keys(erasures)
            self._keys_rest_until = time.monotonic() + self._rest * (time.monotonic() - started)
        crash_point("erase.keys")

    def _destroy_keys(self, erasures: Sequence[_Erasure]) -> None:
        """Destroy domain keys whose month is over and that nothing is under any more, but for what was just removed."""
        today = month_of(min(self._now()))
        domains = [domain for domain in self._keyring.domains if domain.id in self._suspects]
        due = {domain.id for domain in domains if domain.month != UNLOCKED and domain.month < today}
        retired = {domain for domain in due if self._keyring.retire(domain)}
        if not retired:
            return
        living = set(retired)
        try:
            gone = {seq for erasure in erasures for seq in erasure.bodies}
            unnamed = retired - self._named_domains(gone)
            if unnamed:  # so says the index; the ledger is read whole, once for a bucket's month
                unnamed -= evidence.living(unnamed, self._read(0), gone)
            last = erasures[-1].token
            for domain in unnamed:
                names = frozenset({domain_name(domain)})
                self._keyring.destroy(domain, _Token(last.seq, None, last.by, last.checkpoint, names))
                living.discard(domain)
        finally:
            for domain in living:
                self._keyring.reinstate(domain)
        self._suspects -= retired

    def _named_domains(self, gone: set[int]) -> set[str]:
        """Domains of all bytes that the index knows, visible or not, but for bodies that were just removed."""
        named = set()
        for kind in (b"v", b"u", b"p", b"e"):
            for _, row in self._index.scan(kind, bytes((kind[0] + 1,))):
                if self.stopping.is_set():
                    raise Unavailable("the server is stopping")
                if isinstance(row, VersionRow | UploadRow | PartRow | GarbageRow) and row.seq not in gone:
                    named.add(row.storage.domain if row.storage is not None else "")
        return named

    def _record(self, erasures: Sequence[_Erasure]) -> None:
        """Commit ``object.erased`` for each, and wait until all are durable."""
        tails = []
        for erasure in erasures:
            row = erasure.row
            named = ObjectRef(row.bucket, row.key, row.version_id, erasure.upload)
            tails.append(
                Tail(op="object.erased", actor=Actor(SYSTEM), origin=Origin("server"), object=named, ref=row.seq)
            )
        commit_all(self._journal, tails)
        self.erased += len(tails)
        crash_point("erase.recorded")
