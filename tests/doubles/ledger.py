"""The vault's ports in memory: a journal that decides and applies as the committer does, without a disk.

It polices what the ports ask of their users: a record is one valid JSON object within its bound, bytes are read only
under a lease on the version they belong to, and a lease is given back exactly once. :meth:`MemoryLedger.check` is
called when a test ends.
"""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sortedcontainers import SortedDict

from vault.errors import CorruptError, S3Error, Unavailable, VaultError
from vault.ports import Committed, MemberDone, Put
from vault.record import DENIED, FAILURE, MAX_RECORD_BYTES, SUCCESS, VERSION, Head, Tail, decode, splice
from vault.state import rows
from vault.state.apply import apply
from vault.state.decide import decide
from vault.state.decision import Decision
from vault.state.puts import intent_of
from vault.state.rows import PrincipalRow, VersionRow
from vault.times import NS, Now, parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vault.ports import Done, Intent
    from vault.record import Storage
    from vault.state.rows import Row

STREAM = "site-a.node-1"
START = parse_rfc3339("2026-11-22T12:00:00Z")
#: What the journal's half of a record takes at most.
HEAD_BYTES = 2048
LEASED = frozenset({"object.get", "object.head", "object.retention.get", "object.hold.get"})


def head_of(decision: Decision, now: Now, seq: int, prev: bytes = b"") -> Head:
    """The head that the committer gives a record."""
    error = decision.error
    return Head(
        v=VERSION,
        stream=STREAM,
        seq=seq,
        prev=prev.hex(),
        time=rfc3339(now.wall),
        clock=rfc3339(now.clock),
        outcome=SUCCESS if error is None else DENIED if error.denied else FAILURE,
        reason=error.reason if error is not None else "",
        version=decision.version,
        lock=decision.lock,
    )


def member_done(made: Committed) -> MemberDone:
    """What is told of an operation that was decided with others, of what is told of it alone."""
    row = made.row if isinstance(made.row, VersionRow) and made.error is None else None
    version = (row.version_id, row.null) if row is not None else ("", False)
    return MemberDone(made.head.seq, made.position, made.leaf, *version, made.error)


@dataclass(frozen=True)
class Kept:
    """One record."""

    head: Head
    tail: Tail
    leaf: bytes

    @property
    def reference(self) -> str:
        return f"{self.head.stream}/{self.head.seq}/{self.leaf.hex()}"


class MemoryState:
    """Rows in a sorted dictionary; for any thread."""

    def __init__(self) -> None:
        self.rows: SortedDict[bytes, Row] = SortedDict()
        self.lock = threading.Lock()
        self.scanned = 0

    def get(self, key: bytes) -> Row | None:
        with self.lock:
            return self.rows.get(key)

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, Row]]:
        with self.lock:
            found = [(key, self.rows[key]) for key in self.rows.irange(start, end, (True, False))]
        for each in found:
            self.scanned += 1
            yield each

    def put(self, changes: Sequence[tuple[bytes, Row | None]]) -> None:
        with self.lock:
            for key, row in changes:
                if row is None:
                    self.rows.pop(key, None)
                else:
                    self.rows[key] = row


class MemoryLedger:
    """Journal and bodies at once.

    Attributes:
        records: All records, in order.
        state: The durable view.
        bodies: Body of each record that has one, by seq; a test may damage it.
        now: The record's clocks; a test may move them.
        failures: Outcomes for the next operations, instead of a record.
        held: Leases by seq.
    """

    def __init__(self) -> None:
        self.records: list[Kept] = []
        self.state = MemoryState()
        self.bodies: dict[int, bytes] = {}
        self.now = Now(START, START)
        self.failures: list[VaultError] = []
        self.held: Counter[int] = Counter()
        self.taken = 0
        self.wrong: list[str] = []
        self._storages: dict[int, Storage] = {}
        self._thread = ThreadPoolExecutor(1, "committer")

    def add_principal(self, principal_id: str, *roles: str, access_key: str = "") -> None:
        row = PrincipalRow(principal_id, principal_id, access_key or principal_id.upper(), roles)
        self.state.put([(rows.principal_key(row.id), row), (rows.access_key_key(row.access_key), row)])

    max_payload = 16 * 1024 * 1024

    def submit(self, intents: Sequence[Intent], done: Sequence[Done]) -> None:
        each = [member for intent in intents for member in intent.members or (intent,)]  # of a PUT one byte is lacking
        if any(len(intent.encoded) + HEAD_BYTES > MAX_RECORD_BYTES for intent in each):
            raise S3Error("MaxMessageLengthExceeded")
        try:
            for intent, answer in zip(intents, done, strict=True):
                self._thread.submit(self._answer, intent, answer)
        except RuntimeError as error:
            raise Unavailable("the double was stopped") from error

    def _answer(self, intent: Intent, answer: Done) -> None:
        outcome: Committed | VaultError
        try:
            outcome = self.failures.pop(0) if self.failures else self._commit(intent)
        except BaseException as error:  # noqa: BLE001 - a fault of the double fails the test, not its thread
            self.wrong.append(f"{intent.tail.op}: {error!r}")
            outcome = VaultError(f"the double failed: {error!r}")
        answer(outcome)

    def _commit(self, intent: Intent) -> Committed:
        if intent.members:
            alike = intent.tail
            some = [intent_of(each, alike) if isinstance(each, Put) else each for each in intent.members]
            made = [self._commit(member) for member in some]
            members = [member_done(each) for each in made]
            return Committed(made[-1].head, made[-1].leaf, made[-1].position, members=members)
        tail = intent.tail
        seq = len(self.records)
        decision = decide(tail, self.state, self.now, intent.parts)
        if intent.refused is not None:
            decision = Decision(error=intent.refused)
        error = decision.error
        prev = self.records[-1].leaf if self.records else hashlib.sha256().digest()
        head = head_of(decision, self.now, seq, prev)
        record = splice(head, intent.encoded)
        assert len(record) <= MAX_RECORD_BYTES
        assert decode(record) == (head, tail)
        if tail.storage is not None and error is None:
            assert sum(map(len, intent.body)) >= tail.storage.sealed > 0
            self.bodies[seq] = b"".join(intent.body)
            self._storages[seq] = tail.storage
        else:
            assert error is not None or not intent.body
        changes = apply(head, tail, self.state)
        row = decision.row or (changes[0][1] if changes else None)
        self.state.put(changes)
        leaf = hashlib.sha256(b"\0" + record).digest()
        self.records.append(Kept(head, tail, leaf))
        self.now = Now(self.now.wall + NS, self.now.clock + NS)
        committed = Committed(head, leaf, head.seq, row, error)
        if error is None and tail.op in LEASED and isinstance(row, VersionRow):
            committed.release = self._lease(row.seq)
        return committed

    def _lease(self, seq: int) -> Callable[[], None]:
        self.held[seq] += 1
        self.taken += 1
        given_back: list[bool] = []

        def release() -> None:
            if given_back:
                self.wrong.append(f"the lease on record {seq} was given back twice")
            given_back.append(True)
            self.held[seq] -= 1

        return release

    def seq_of(self, position: int) -> int:
        return position

    def read(self, seq: int, offset: int, length: int) -> bytes:
        if seq not in self.bodies:
            raise CorruptError(f"record {seq} has no body")
        storage = self._storages[seq]
        if offset + length > storage.sealed and not self._may_read(seq):
            self.wrong.append(f"data of record {seq} was read without a lease")
        body = self.bodies[seq][offset : offset + length]
        if len(body) != length:
            raise CorruptError(f"the body of record {seq} ends before offset {offset + length}")
        return body

    def at_hand(self, seq: int, length: int) -> bytes | None:
        """Every second body is: whoever reads must be right either way."""
        return self.read(seq, 0, length) if seq % 2 == 0 and length <= len(self.bodies.get(seq, b"")) else None

    def _may_read(self, seq: int) -> bool:
        """A lease on the version itself, or on one that is made of parts."""
        return any(count and (held == seq or self._storages[held].kind == "parts") for held, count in self.held.items())

    def stop(self) -> None:
        """Answer everything that was submitted."""
        self._thread.shutdown()

    def check(self) -> None:
        """Everybody has given back what they held, and did nothing that the ports forbid."""
        assert self.wrong == []
        assert +self.held == Counter()
