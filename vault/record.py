"""The record: the exact bytes that say what one operation did (DESIGN §3).

A record is a head, which the committer fills in at its point of order, spliced
to a tail, which the front end encoded in parallel and nobody changes after.
Both are JSON objects of one schema; the splice is one JSON object. The structs
below *are* the schema: fields are written in the order in which they stand
here, absent ones are left out, and every number is an integer.

It lives in ``vault`` and not in ``audit`` because the index is rebuilt from
records alone: what the vault's state machine (``vault.state``) reads and what
the ledger keeps are the same thing.

Not handled here: chaining, storage and signatures (``audit``).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from vault.matters import MatterRef
from vault.takeover import Takeover

#: One record, head and tail, in bytes (DESIGN §3).
MAX_RECORD_BYTES: Final = 32 * 1024
VERSION: Final = 1

SUCCESS: Final = "success"
DENIED: Final = "denied"
FAILURE: Final = "failure"

#: The closed enumeration of operations of schema version 1.
OPS: Final = frozenset(
    {
        "bucket.create", "bucket.head", "bucket.list", "bucket.delete", "bucket.location",
        "bucket.versioning.get", "bucket.versioning.put", "bucket.lock.get", "bucket.lock.put",
        "object.put", "object.get", "object.head", "object.delete", "object.list", "object.versions",
        "object.retention.get", "object.retention.put", "object.hold.get", "object.hold.put",
        "object.read.failed", "object.erased",
        "multipart.create", "multipart.part", "multipart.list", "multipart.parts",
        "multipart.complete", "multipart.abort",
        "request.refused", "auth.window.open", "auth.window.close",
        "principal.add", "principal.disable", "token.add", "token.revoke",
        "matter.open", "matter.close", "matter.list", "matter.get", "record.query", "record.get", "record.tile",
        "ledger.open", "ledger.start", "ledger.stop", "ledger.recover", "clock.status",
    }
)  # fmt: skip


class _Part(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A piece of a record: immutable, absent fields left out."""


class VersionRef(_Part, frozen=True):
    """Which object version the operation made, resolved, hid or removed.

    ``null`` marks S3's null version (bucket without versioning), ``marker`` a delete
    marker, ``replaced`` the ordinal of the null version that this one took the place of.
    """

    ordinal: int
    version_id: str
    manifest: str
    prev_manifest: str = ""
    marker: bool = False
    null: bool = False
    replaced: int = 0


class LockRef(_Part, frozen=True):
    """A lock: mode GOVERNANCE | COMPLIANCE with its date (RFC 3339), the S3 legal hold, and matters.

    ``matters`` names open matters that hold the version at this record (``vault.matters``), ``more`` counts the others.
    Both are left out of the lock that a version is made with.
    """

    mode: str = ""
    until: str = ""
    hold: bool = False
    matters: tuple[str, ...] = ()
    more: int = 0

    @property
    def held(self) -> bool:
        """What S3 shows: the legal hold or any matter."""
        return self.hold or bool(self.matters)


class Head(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """What the committer decides. ``v`` … ``outcome`` are always written."""

    v: int
    stream: str
    seq: int
    prev: str
    time: str
    clock: str
    outcome: str
    reason: str = ""
    version: VersionRef | None = None
    lock: LockRef | None = None


class Actor(_Part, frozen=True):
    """Who: the principal's id, the person behind it where known, and its roles at the time."""

    id: str
    person: str = ""
    on_behalf_of: str = ""
    roles: tuple[str, ...] = ()


class Origin(_Part, frozen=True):
    """From where: ``via`` is s3 | audit | cli | server; the address is the socket's, never a forwarded header."""

    via: str
    request_id: str = ""
    ip: str = ""
    agent: str = ""


class ObjectRef(_Part, frozen=True):
    """What the request named, and of a stored version its size and the salted digest of its content document."""

    bucket: str
    key: str = ""
    version_id: str = ""
    upload_id: str = ""
    part: int = 0
    prefix: str = ""
    size: int = -1
    content: str = ""
    range: tuple[int, int] | None = None


class Storage(_Part, frozen=True):
    """How this site keeps the bytes: enough to verify them without any key (DESIGN §2, storage descriptor).

    ``kind``: ``log`` (ciphertext follows the sealed content document in the record's body), ``blob`` (a file of
    that name), ``parts`` (a list of parts follows it). ``root`` is the RFC 6962 root over the sealed document and
    then the ciphertext chunks, or the parts list; ``chunk`` the plaintext bytes a chunk holds; ``length`` the
    bytes after the sealed document.
    """

    suite: int
    kind: str
    domain: str
    salt: str
    sealed: int
    chunk: int
    length: int
    root: str
    blob: str = ""


class Request(_Part, frozen=True):
    """What the request asked for that bears on the decision: lock, preconditions, bypass.

    ``if_match`` is the ordinal, in decimal, of the version whose ETag the client named (0: no version has it);
    ``bypass_sent`` that the bypass header was there at all; ``http`` method and raw path for people.
    """

    mode: str = ""
    until: str = ""
    hold: bool | None = None
    bypass: bool = False
    bypass_sent: bool = False
    if_none_match: bool = False
    if_match: str = ""
    remove: bool = False
    http: str = ""


class DefaultRetention(_Part, frozen=True):
    """A bucket's default retention: a mode and exactly one of days and years."""

    mode: str
    days: int = 0
    years: int = 0


class BucketConfig(_Part, frozen=True):
    """A bucket's settings that the operation sets; absent ones stay as they are."""

    owner: str = ""
    lock: bool = False
    strict: bool = False
    versioning: str = ""
    default: DefaultRetention | None = None


class PrincipalRef(_Part, frozen=True):
    """A principal that the operation adds or disables. Secrets are never here."""

    id: str
    name: str
    access_key: str
    roles: tuple[str, ...]


class TokenRef(_Part, frozen=True):
    """A bearer token of the audit port that the operation adds or revokes.

    The token itself is nowhere: ``digest`` is its SHA-256 (lowercase hex), which nobody can turn back into 256 random
    bits. ``roles`` are those of the principal's that it carries, ``expires`` is RFC 3339.
    """

    id: str
    principal: str = ""
    digest: str = ""
    roles: tuple[str, ...] = ()
    expires: str = ""
    note: str = ""


class ClockState(_Part, frozen=True):
    """The compliance clock's account (DESIGN §5).

    ``credited`` is measured time in nanoseconds; ``grants`` the unmeasured advance taken, as (credited day,
    nanoseconds), kept while it counts against the budget; ``lag`` wall minus clock in nanoseconds. ``source`` says who
    told how the wall clock is kept; ``offset`` is what is still to be corrected of it and ``max_error`` how far off it
    may be at most, in nanoseconds; ``synchronised`` is told either way.
    """

    credited: int
    lag: int
    grants: tuple[tuple[int, int], ...] = ()
    source: str = "local"
    offset: int = 0
    max_error: int = 0
    synchronised: bool | None = None


class LedgerRef(_Part, frozen=True):
    """What a ``ledger.*`` record says: this writer's incarnation, and what a recovery found and cut.

    ``stream`` names the stream that was cut, where it is one that this stream took over.
    """

    incarnation: int = 0
    vault: str = ""
    anchor: str = ""
    profile: str = ""
    software: str = ""
    quarantined: str = ""
    digest: str = ""
    bytes: int = 0
    stream: str = ""
    takes_over: Takeover | None = None


class Window(_Part, frozen=True):
    """Requests without a valid signature, counted from ``opened`` on (DESIGN §3)."""

    opened: str
    count: int = 0
    reasons: dict[str, int] = {}


class Tail(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, kw_only=True):
    """What the front end knows.

    ``ref`` is the position of an earlier record that this one is about: its seq, and the records of all streams before
    its own more.
    """

    op: str
    actor: Actor
    origin: Origin
    object: ObjectRef | None = None
    storage: Storage | None = None
    request: Request | None = None
    bucket: BucketConfig | None = None
    principal: PrincipalRef | None = None
    token: TokenRef | None = None
    matter: MatterRef | None = None
    ledger: LedgerRef | None = None
    clock_state: ClockState | None = None
    window: Window | None = None
    ref: int = -1
    # Reserved in v1 (DESIGN §3). `matters` stays so: which of them hold a version, the committer says in the lock.
    record_class: Any = msgspec.field(default=None, name="class")
    event_hold: Any = None
    matters: Any = None
    approvals: Any = None


_encoder: Final = msgspec.json.Encoder()
_heads: Final = msgspec.json.Decoder(Head)
_tails: Final = msgspec.json.Decoder(Tail)


def encode_tail(tail: Tail) -> bytes:
    """Encode a tail, in any thread.

    Args:
        tail: The front end's half.

    Returns:
        A JSON object, to be given to :func:`splice` unchanged.
    """
    return _encoder.encode(tail)


def splice(head: Head, tail: bytes) -> bytes:
    """Make the record's exact bytes.

    Args:
        head: The committer's half.
        tail: From :func:`encode_tail`.

    Returns:
        One JSON object, UTF-8, no whitespace.
    """
    return b"%b,%b" % (_encoder.encode(head)[:-1], tail[1:])


def decode(data: bytes) -> tuple[Head, Tail]:
    """Read a record back for the index and for people; verification works on the bytes.

    Args:
        data: A record's exact bytes.

    Returns:
        Both halves.

    Raises:
        ValueError: Not a record of this schema version. Fields that it does not know are passed over.
    """
    try:
        head, tail = _heads.decode(data), _tails.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"not a record of schema version {VERSION}: {error}"
        raise ValueError(msg) from error
    if head.v != VERSION:
        msg = f"a record of schema version {head.v}; this software reads {VERSION}"
        raise ValueError(msg)
    return head, tail
