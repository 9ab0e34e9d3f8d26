"""What the vault needs of the world around it. Each docstring is the contract (STYLE rule 1).

A port is drawn where there are two implementations, or a real and a fault-injecting one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import msgspec

from vault.errors import S3Error, Unavailable, VaultError

if TYPE_CHECKING:
    from vault.record import Head, Tail
    from vault.state.ingest import Batch, Outcome
    from vault.state.rows import Row


class State(Protocol):
    """Ordered rows as of one point of the sequence (``vault.state.rows`` has the keys).

    Reads never block on disk writes. Two views exist: *sequenced* (everything decided so far; the committer's own,
    not thread-safe) and *durable* (only what the ledger holds durably; for any thread).
    """

    def get(self, key: bytes) -> Row | None:
        """The row under exactly this key."""

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, Row]]:
        """Rows with ``start <= key < end`` in order, as of the call or later, each at most once."""


@dataclass(slots=True)
class Intent:
    """One operation on its way to the point of order.

    Attributes:
        tail: The front end's half of the record; all the decision needs is in it.
        encoded: ``encode_tail(tail)``.
        body: Bytes that become durable in the same group as the record; their identity is its position.
        parts: For ``multipart.complete``: (number, position of the part's record), ascending.
        refused: Set where the front end refuses already: recorded, with no effect. It may never allow.
        batch: For ``ingest.batch``: events of another system, each of which becomes a record of its own.
        members: Operations decided in this order, seeing each other, each with a record of its own, all in one group:
            durable together or not at all. The intent itself is none then; its tail says what those have in common that
            come as :class:`Put`.
        extent: Of the members (:meth:`together`): bytes of the longest tail, and of all tails and bodies.
    """

    tail: Tail
    encoded: bytes
    body: Sequence[bytes] = ()
    parts: Sequence[tuple[int, int]] = ()
    refused: S3Error | None = None
    batch: Batch | None = None
    members: Sequence[Intent | Put] = ()
    extent: tuple[int, int] = (0, 0)

    @classmethod
    def together(cls, common: Tail, members: Sequence[Intent | Put]) -> Intent:
        """Make an intent of members; where they were made, since another processor would have to fetch each of them.

        Args:
            common: What those have in common that come as :class:`Put`.
            members: At least one.
        """
        tails = [len(each.encoded) for each in members]
        bodies = sum(
            len(each.sealed) + len(each.data) if isinstance(each, Put) else sum(map(len, each.body)) for each in members
        )
        longest, total = max(tails) + 1, sum(tails) + len(members)  # the byte that a `Put` lacks of its tail
        return cls(common, b"", members=members, extent=(longest, total + bodies))


class Put(msgspec.Struct, frozen=True, gc=False):
    """A PUT of an object as one of many that are alike: what it has for itself beside their common tail.

    That one has the operation, the actor, where from, what is asked for, the bucket, and of the storage all but what is
    here. Digests, salt and root are in hex (``vault.state.puts`` makes an :class:`Intent` of it).

    Attributes:
        key: Its key.
        name: The same as JSON.
        size: Bytes of plaintext.
        content: As in :class:`vault.record.ObjectRef`.
        salt: As in :class:`vault.record.Storage`.
        root: The same.
        encoded: ``encode_tail`` of its whole tail, without the first byte.
        sealed: The sealed content document, with which the body begins.
        data: The rest of the body: ciphertext.
    """

    key: str
    name: bytes
    size: int
    content: bytes
    salt: bytes
    root: bytes
    encoded: bytes
    sealed: bytes
    data: bytes


class MemberDone(msgspec.Struct, frozen=True):
    """A durable record of one of an intent's members; fields as in :class:`Committed`, ``seq`` in its stream.

    ``version_id`` is that of the version it made, empty where there is none; ``null`` marks S3's null version.
    """

    seq: int
    position: int
    leaf: bytes
    version_id: str = ""
    null: bool = False
    error: S3Error | None = None


@dataclass(slots=True)
class Committed:
    """A durable record.

    Attributes:
        head: The committer's half.
        leaf: Leaf hash of the record (32 bytes).
        position: Its place among all records of the vault: ``head.seq``, and where its stream took over others, the
            number of their records more. What rows and bodies are known by.
        row: The row the operation made, resolved or removed (VersionRow, BucketRow, UploadRow, PartRow …).
        error: The refusal, if it was one; already recorded.
        release: Ends the lease on the bytes of ``row``. To be called exactly once when the reader is done;
            harmless to call again. Recycling and erasing wait for it.
        batch: What became of the events of an ``ingest.batch``; head and leaf are of its last record.
        members: What became of each of the intent's members; head and leaf are of the last that has a record.
    """

    head: Head
    leaf: bytes
    position: int
    row: Row | None = None
    error: S3Error | None = None
    release: Callable[[], None] = field(default=lambda: None)
    batch: Outcome | None = None
    members: Sequence[MemberDone | Unavailable] = ()


Done = Callable[[Committed | VaultError], None]


class Journal(Protocol):
    """The point of order of one stream (DESIGN §1, "decide at commit")."""

    @property
    def max_payload(self) -> int:
        """The most that one operation, or the members of one, may take of a group, in bytes."""

    def submit(self, intents: Sequence[Intent], done: Sequence[Done]) -> None:
        """Queue operations, to be decided in this order.

        Each ``done`` is called exactly once, in the committer's thread, and must neither block nor raise: with a
        :class:`Committed` once the record is durable; with :class:`~vault.errors.Unavailable` where nothing was
        written; with :class:`~vault.errors.OutcomeUnknown` where the write had begun. Thread-safe. Nobody retries.

        Raises:
            Unavailable: The journal does not accept work (poisoned, stopping, queue full).
            S3Error: MaxMessageLengthExceeded; one of them is too big for a record or a group, and none was queued.
        """


class Bodies(Protocol):
    """Bodies of records, by position, wherever they lie now (commit log or pack)."""

    def seq_of(self, position: int) -> int:
        """The seq, in its own stream, of the record at a position. Thread-safe; never blocks."""

    def read(self, position: int, offset: int, length: int) -> bytes:
        """``length`` bytes of the body of a record from ``offset``. Thread-safe; may block on disk.

        The caller holds a lease on the version, or the bytes may be erased meanwhile.

        Raises:
            CorruptError: No such body, or it is shorter: names the place.
        """

    def at_hand(self, position: int, length: int) -> bytes | None:
        """The first ``length`` bytes of the body of a record if memory holds them, else None. Never blocks.

        Thread-safe. The caller holds a lease.
        """
