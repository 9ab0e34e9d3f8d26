"""Rows of the index that are not of objects: tokens, sources of events, matters, the custody of keys.

Where each stands among the others: ``vault.state.rows``.
"""

from __future__ import annotations

import msgspec

from vault.matters import OpenMatter


class Stored(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Encoded as a JSON array: fields are only ever added at the end. MessagePack's integers end in the year 2554."""


class TokenRow(Stored, frozen=True):
    """A bearer token of the audit port. ``expires`` is in ns (wall); a revoked one stays, to be told from no token."""

    id: str
    principal: str
    digest: str
    roles: tuple[str, ...]
    expires: int
    note: str = ""
    revoked: bool = False
    source: str = ""
    format: str = ""


class SourceRow(Stored, frozen=True):
    """A source of foreign events that numbers them: ``sequence`` is the highest number that came from it."""

    name: str
    sequence: int


class MatterRow(Stored, frozen=True):
    """A matter (``vault.matters``). ``seq`` is the record that opened it; ``opened`` and ``closed`` in ns (wall).

    ``closed`` is 0 while it is open; ``closed_reason`` says why it was closed. People are named as records name them.
    """

    query: OpenMatter
    name: str
    reason: str
    owner: str
    seq: int
    opened: int
    opened_by: str
    closed: int = 0
    closed_by: str = ""
    closed_reason: str = ""


class MattersRow(Stored, frozen=True):
    """The matters that are open, in the order in which they were opened: found with one look."""

    open: tuple[OpenMatter, ...]


class CustodyRow(Stored, frozen=True):
    """What the ledger told last of the vault's keys (``vault.state.custody``).

    ``kek`` is the id of the KEK; ``backed_up`` when the last backup was recorded, in ns since the epoch (wall), 0 where
    none was. Generation and number of domain keys are of the keyring then, ``beyond`` those of them that the backup
    lacks, ``principals`` and ``streams`` whose secrets and signing keys are in it; ``rotations`` came after it.
    """

    kek: str = ""
    backed_up: int = 0
    generation: int = 0
    domains: int = 0
    beyond: int = 0
    principals: int = 0
    streams: int = 0
    rotations: int = 0


class VerifiedRow(Stored, frozen=True):
    """What the ledger told last of its verifications (``vault.state.verified``).

    ``tried`` is when the last one was recorded and ``done`` the last that could be done, in ns since the epoch (wall),
    0 where none was; what follows them is of that one. ``bad_since`` is when the first finding was recorded that still
    stands, 0 where none does; ``findings``, ``seq`` and ``place`` are of the last verification that found something.
    ``anchored`` and ``anchor`` are of the last that could be done, as its record has them.
    """

    tried: int = 0
    result: str = ""
    done: int = 0
    share: int = 0
    shares: int = 0
    records: int = 0
    bodies: int = 0
    bytes: int = 0
    seconds: int = 0
    bad_since: int = 0
    findings: int = 0
    seq: int = -1
    place: str = ""
    anchored: int = 0
    anchor: str = ""


class RelayRow(Stored, frozen=True):
    """Where in Kafka a stream's records go (``vault.state.relaying``); ``seq`` is the position of the assignment."""

    stream: str
    topic: str
    topic_id: str
    partition: int
    generation: int
    seq: int


class BackupRow(Stored, frozen=True):
    """What the ledger told last of backups of the data directory (``vault.state.backups``).

    ``made`` is when the last one was recorded, in ns since the epoch (wall), 0 where none was; it holds the vault up to
    record ``records`` (exclusive) of ``stream``.
    """

    made: int = 0
    stream: str = ""
    records: int = 0
