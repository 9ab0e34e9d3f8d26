"""The record: the exact bytes that say what one operation did (DESIGN §3).

A record is a head, which the committer fills in at its point of order, spliced
to a tail, which the front end encoded in parallel and nobody changes after.
Both are JSON objects of one schema; the splice is one JSON object. The structs
here and in ``vault.record_parts`` *are* the schema: fields are written in the
order in which they stand, absent ones are left out, and every number is an
integer. Everybody takes all of them from here.

It lives in ``vault`` and not in ``audit`` because the index is rebuilt from
records alone: what the vault's state machine (``vault.state``) reads and what
the ledger keeps are the same thing.

Not handled here: chaining, storage and signatures (``audit``).
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from vault.foreign import IngestRef
from vault.forms import form, number, text
from vault.matters import MatterRef
from vault.record_parts import (
    MAX_AGENT,
    Actor,
    BackupRef,
    BucketConfig,
    ClockState,
    DefaultRetention,
    KeysRef,
    LedgerRef,
    LockRef,
    ObjectRef,
    Origin,
    PrincipalRef,
    ProductionRef,
    PrunedRef,
    RelayRef,
    Request,
    ServerRef,
    Storage,
    TlsRef,
    TokenRef,
    VerifiedRef,
    VersionRef,
    Window,
)

__all__ = [
    "DENIED",
    "FAILURE",
    "MAX_AGENT",
    "MAX_RECORD_BYTES",
    "OPS",
    "SUCCESS",
    "VERSION",
    "Actor",
    "BackupRef",
    "BucketConfig",
    "ClockState",
    "DefaultRetention",
    "Head",
    "KeysRef",
    "LedgerRef",
    "LockRef",
    "ObjectRef",
    "Origin",
    "PrincipalRef",
    "ProductionRef",
    "PrunedRef",
    "RelayRef",
    "Request",
    "ServerRef",
    "Storage",
    "Tail",
    "TlsRef",
    "TokenRef",
    "VerifiedRef",
    "VersionRef",
    "Window",
    "decode",
    "encode_tail",
    "head_form",
    "splice",
]

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
        "record.query", "record.get", "record.tile",
        "production.create", "production.complete", "production.list", "production.get", "production.cancel",
        "production.read",
        "ledger.open", "ledger.start", "ledger.stop", "ledger.recover", "ledger.backup", "ledger.verified",
        "ledger.pruned",
        "ingest.event", "ingest.gap", "ingest.batch",
        "matter.open", "matter.close", "matter.list", "matter.get",
        "relay.assign", "relay.rewind", "server.reload", "key.backup", "key.restore", "key.rotate",
        "clock.status",
    }
)  # fmt: skip


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
    production: ProductionRef | None = None
    ledger: LedgerRef | None = None
    clock_state: ClockState | None = None
    window: Window | None = None
    server: ServerRef | None = None
    keys: KeysRef | None = None
    backup: BackupRef | None = None
    verified: VerifiedRef | None = None
    pruned: PrunedRef | None = None
    ref: int = -1
    ingest: IngestRef | None = None
    relay: RelayRef | None = None
    # Reserved in v1 (DESIGN §3). `matters` stays so: which of them hold a version, the committer says in the lock.
    record_class: Any = msgspec.field(default=None, name="class")
    event_hold: Any = None
    matters: Any = None
    approvals: Any = None


_NO_VERSION: Final = VersionRef(0, "", "")
_SEQ, _ORDINAL = number(), number()
_PREV, _VERSION_ID, _MANIFEST, _PREVIOUS = (text() for _ in range(4))
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


def head_form(head: Head, *, chained: bool) -> bytes:
    """A record that lacks seq, ``prev``, its version's ordinal, id, manifest, and its tail: for ``%``, in this order.

    The tail is that of :func:`encode_tail` without its first byte. For heads that differ in nothing else: filling in
    takes a third of the time that encoding does.

    Args:
        head: What they have in common, its version too; what is lacking is of no account.
        chained: The version also lacks ``prev_manifest``, after the manifest; else it has none.
    """
    version = msgspec.structs.replace(
        head.version or _NO_VERSION,
        ordinal=_ORDINAL,
        version_id=_VERSION_ID,
        manifest=_MANIFEST,
        prev_manifest=_PREVIOUS if chained else "",
    )
    marks = (_SEQ, _PREV, _ORDINAL, _VERSION_ID, _MANIFEST, *([_PREVIOUS] if chained else ()))
    bare = msgspec.structs.replace(head, seq=_SEQ, prev=_PREV, version=version)
    return form(_encoder.encode(bare)[:-1], *marks) + b",%b"


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
