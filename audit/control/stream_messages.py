"""The control socket's messages about streams and their records: bundles for a command, the feed for workers.

Pure. Not handled here: the other messages, and how each is written (``audit.control.messages``).
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from audit.errors import ControlFailed
from audit.relaying.standing import RelayStanding
from audit.tiles import WIDTH
from vault.record import MAX_RECORD_BYTES, RelayRef

#: A principal's or stream's name, in characters.
MAX_NAME: Final = 128
#: Records that a follower is given at once, in bytes, and what a frame of the longest may add.
FOLLOW_BYTES: Final = 4 * 1024 * 1024
MAX_FOLLOWED_BYTES: Final = FOLLOW_BYTES + WIDTH * MAX_RECORD_BYTES + 1024 * 1024
_Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]


class Entries(msgspec.Struct, frozen=True, tag_field="op", tag="entries"):
    """Asks for a bundle of a stream's entries as C2SP tlog-tiles has it; it comes as the payload."""

    stream: _Name
    index: Annotated[int, Meta(ge=0, lt=2**55)]
    width: Annotated[int, Meta(ge=1, le=WIDTH)]


class Follow(msgspec.Struct, frozen=True, tag_field="op", tag="follow"):
    """Asks for a stream's durable records from ``first`` on, which come as the payload, and waits a while for one.

    ``sealed`` is the size of the newest checkpoint that the asker has; a newer one comes along.
    """

    stream: _Name
    first: Annotated[int, Meta(ge=0, lt=2**62)]
    sealed: int = 0


class Followed(msgspec.Struct, frozen=True, omit_defaults=True):
    """What :class:`Follow` is answered, beside the records.

    Attributes:
        end: Number of durable records.
        count: Records in the payload (:class:`audit.runs.Run`).
        closed: The stream was taken over: there will be no more.
        checkpoint: The published checkpoint, a signed note, where it is newer than the asker's.
        size: Its size.
    """

    end: int
    count: int = 0
    closed: bool = False
    checkpoint: str = ""
    size: int = 0


class ListAssignments(msgspec.Struct, frozen=True, tag_field="op", tag="relay.list"):
    """Asks for the streams, oldest first, and where each goes in Kafka."""


class Assignment(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stream of the vault, and where it goes in Kafka.

    Attributes:
        stream: Its name.
        origin: Of its log.
        durable: Number of its durable records.
        topic: Where it goes; with it ``topic_id`` (UUID) and ``partition``.
        generation: Of the assignment; 0 where there is none yet.
    """

    stream: str
    origin: str
    durable: int = 0
    topic: str = ""
    topic_id: str = ""
    partition: int = -1
    generation: int = 0


class AssignStream(msgspec.Struct, frozen=True, tag_field="op", tag="relay.assign"):
    """Has it recorded where a stream goes in Kafka."""

    relay: RelayRef


class RecordRewind(msgspec.Struct, frozen=True, tag_field="op", tag="relay.rewind"):
    """Has it recorded that a topic and its cursor disagreed."""

    relay: RelayRef


class TellRelay(msgspec.Struct, frozen=True, tag_field="op", tag="relay.tell"):
    """Tells how the relay stands."""

    standing: RelayStanding


def split_entries(bundle: bytes, width: int) -> list[bytes]:
    """Take a bundle of exactly ``width`` entries apart.

    Raises:
        ControlFailed: It is not such a bundle.
    """
    entries = []
    position = 0
    for _ in range(width):
        start = position + 2
        position = start + int.from_bytes(bundle[position:start], "big")
        entries.append(bundle[start:position])
    if position != len(bundle):
        raise ControlFailed(f"the server sent {len(bundle)} bytes, which are not {width} records")
    return entries
