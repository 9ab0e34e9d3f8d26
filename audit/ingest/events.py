"""From the events of a request to batches that the committer can take: each event with its words, digest and tail.

Pure. Not handled here: events that no record holds, which become objects first (``audit.ingest.objects``).
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from audit.ingest.formats import MAX_READ_BYTES, RAW, READERS, Words
from audit.journal.batch import EVENT_HEAD_BYTES, GAP_BYTES
from audit.journal.segment import frame_bytes
from vault.foreign import IngestRef
from vault.record import MAX_RECORD_BYTES, Tail, encode_tail
from vault.state.ingest import Batch, Member, digest_key, event_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vault.record import Actor, ObjectRef, Origin

#: What an event's tail may take, in bytes: with its head it is a record.
MAX_TAIL_BYTES: Final = MAX_RECORD_BYTES - EVENT_HEAD_BYTES
#: Records, and bytes of them, that one batch has at most.
MAX_BATCH_MEMBERS: Final = 2_048
MAX_BATCH_BYTES: Final = 1024 * 1024

_NO_WORDS: Final = Words()
_encode: Final = msgspec.json.Encoder().encode


class Sender(NamedTuple):
    """Who brings a request's events, and from where.

    Attributes:
        actor: The principal, as records name it.
        origin: The connection.
        source: Whose events they are.
        format: What they should be.
        name: What the request is known by to its sender (``Idempotency-Key``); empty where it has no name. Events that
            name themselves by nothing go by it and their place.
    """

    actor: Actor
    origin: Origin
    source: str
    format: str
    name: str = ""


class Large(NamedTuple):
    """An event that no record holds; ``ref`` is what its record will say, but for where the bytes are."""

    data: bytes
    ref: IngestRef


def prepare(sender: Sender, events: Sequence[bytes]) -> list[Member | Large]:
    """Make of each event what the committer takes.

    Args:
        sender: Whose they are.
        events: Exact bytes, in order.

    Returns:
        One for each event, in order.
    """
    read, source, form, name = READERS[sender.format], sender.source, sender.format, sender.name
    # All tails of a request begin alike, and end in what they say of their event.
    front = encode_tail(Tail(op="ingest.event", actor=sender.actor, origin=sender.origin))[:-1]
    made: list[Member | Large] = []
    for number, data in enumerate(events):
        hashed = sha256(data).digest()
        digest = hashed.hex()
        size = len(data)
        words = read(data) if size <= MAX_READ_BYTES else Words(f"sha256:{digest}")
        kind = form
        if words is None:
            kind, words = RAW, _NO_WORDS
        event_id, sequence = words.id, words.sequence
        if name and not event_id and sequence < 0:
            event_id = f"{name}/{number}"
        text = encoded = ""
        if size <= MAX_TAIL_BYTES:
            try:
                text = data.decode()
            except UnicodeDecodeError:
                encoded = b64encode(data).decode()
        ref = IngestRef(
            source,
            kind,
            event_id,
            sequence,
            words.time,
            words.who,
            words.action,
            words.what,
            size,
            digest,
            text,
            encoded,
        )
        if text or encoded:
            tail = b'%b,"ingest":%b}' % (front, _encode(ref))
            if len(tail) <= MAX_TAIL_BYTES:
                made.append(Member(tail, event_key(source, event_id, sequence), digest_key(hashed), sequence))
                continue
        made.append(Large(data, ref))
    return made


def stored(sender: Sender, large: Large, named: ObjectRef, manifest: str) -> Member:
    """What the committer takes of an event that is an object by now.

    Args:
        sender: Whose it is.
        large: The event.
        named: The object and its version.
        manifest: The version's manifest digest.
    """
    ref = replace(large.ref, event="", base64="", manifest=manifest)
    tail = Tail(op="ingest.event", actor=sender.actor, origin=sender.origin, object=named, ingest=ref)
    key = event_key(ref.source, ref.id, ref.sequence)
    return Member(encode_tail(tail), key, digest_key(bytes.fromhex(ref.digest)), ref.sequence)


def batches(source: str, members: Sequence[Member], own_bytes: int, limit: int) -> Iterator[Batch]:
    """Cut a request's events into batches, in order; one without events for a request that has none.

    Args:
        source: Whose they are.
        members: In order.
        own_bytes: Length of the tail of the request's own record.
        limit: What the payload of a group can be at most, in bytes.
    """
    limit = min(limit, MAX_BATCH_BYTES) - frame_bytes(own_bytes + 2 * GAP_BYTES, 0)
    gap = frame_bytes(own_bytes + GAP_BYTES + EVENT_HEAD_BYTES, 0)
    start, bound, following = 0, 0, -1
    for number, member in enumerate(members):
        need = frame_bytes(len(member.tail) + EVENT_HEAD_BYTES, 0)
        if member.sequence >= 0:
            # After its predecessor nothing can be missing: that one was kept, or is there already.
            need += gap if member.sequence != following or number == start else 0
            following = member.sequence + 1
        if number > start and (bound + need > limit or number - start >= MAX_BATCH_MEMBERS):
            yield Batch(source, members[start:number], bound)
            start, bound = number, 0
            need += gap if member.sequence >= 0 else 0
        bound += need
    yield Batch(source, members[start:], bound)
