"""The parts that a record is made of: which version, which lock, who, from where, and what it was about.

Each is an object of the record's JSON Schema; fields are written in the order in which they stand here, absent ones are
left out (``vault.record``, from which everybody takes them).
"""

from __future__ import annotations

from typing import Final

import msgspec

from vault.takeover import Takeover


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


class Actor(_Part, frozen=True):
    """Who: the principal's id, the person behind it where known, and its roles at the time."""

    id: str
    person: str = ""
    on_behalf_of: str = ""
    roles: tuple[str, ...] = ()


#: What a record says of the client's software, in characters.
MAX_AGENT: Final = 256


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
    bits. ``roles`` are those of the principal's that it carries, ``expires`` is RFC 3339. A token with a ``source``
    brings that source's events, which are of ``format``, and is good for nothing else.
    """

    id: str
    principal: str = ""
    digest: str = ""
    roles: tuple[str, ...] = ()
    expires: str = ""
    note: str = ""
    source: str = ""
    format: str = ""


class ProductionRef(_Part, frozen=True):
    """A production: why and for what it was asked, or what it came to.

    ``asked`` is the question as JSON (``audit.production.question``); ``digest`` the SHA-256 of the production's last
    manifest, which covers every byte of it; ``versions``, ``natives``, ``bytes`` and ``failed`` count. ``archive`` is
    the SHA-256 of the ZIP that is kept of it, in the version that the record's ``object`` names.
    """

    id: str
    reason: str = ""
    asked: str = ""
    versions: int = -1
    natives: int = -1
    bytes: int = -1
    digest: str = ""
    archive: str = ""
    failed: int = -1


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


class TlsRef(_Part, frozen=True):
    """A port's TLS, as SHA-256 in hex: of its own certificate (DER), and of the file of client authorities, if any."""

    certificate: str
    clients: str = ""


class ServerRef(_Part, frozen=True):
    """What a server goes on with after a reload: SHA-256 in hex of its settings, and the TLS of the ports that have it.

    ``config`` is over all settings as JSON (no whitespace, in the order of README's table, by section). No secret is
    among them.
    """

    config: str
    s3: TlsRef | None = None
    audit: TlsRef | None = None


class KeysRef(_Part, frozen=True):
    """What a ``key.*`` record says of the vault's keys; never a key.

    ``kek`` is the id of the KEK, ``before`` that of the one it took the place of; ``generation`` and ``domains`` are of
    the keyring, ``beyond`` those of its domain keys that the restored backup lacks. ``digest`` (SHA-256) is of the
    backup, ``principals`` and ``streams`` count secrets and signing keys in it, ``files`` those put back from it.
    """

    kek: str
    generation: int
    domains: int
    before: str = ""
    beyond: int = 0
    digest: str = ""
    principals: int = 0
    streams: int = 0
    files: int = 0
    holds_kek: bool = False


class BackupRef(_Part, frozen=True):
    """A backup of the data directory that was made, and checked by the verifier (``audit.backup``).

    It holds the vault up to record ``records`` (exclusive) of ``stream``, and all of the streams before that one.
    ``digest`` (SHA-256) is of its ``backup.json``, which covers every byte of it; ``files`` and ``bytes`` count.
    """

    stream: str
    records: int
    digest: str
    files: int
    bytes: int


class VerifiedRef(_Part, frozen=True):
    """What a verification came to, begun by the server itself or by somebody.

    ``result`` is good | bad | unchecked (it could not be done). All ``records`` were read, of all streams, ``size`` of
    them in the stream of this record; of the bodies in packs and blobs those of share ``share`` of ``shares``, which
    with those in the commit log are ``bodies``. ``findings`` counts what is bad; ``place`` is where the first is, a
    file or a record, and ``seq`` the record that it is about. ``anchor`` is where the checkpoint came from that it was
    held against; of a good one ``anchored`` counts the records of this stream that this checkpoint vouches for.
    """

    result: str
    share: int
    shares: int
    size: int
    records: int
    bodies: int
    bytes: int
    seconds: int
    findings: int = 0
    place: str = ""
    seq: int = -1
    anchored: int = 0
    anchor: str = ""


class PrunedRef(_Part, frozen=True):
    """Records that are pruned: of those with ``first <= seq < end`` in a stream, so many in all as of this record.

    ``digest`` is the SHA-256 (lowercase hex) of which ones: a bit for each record, the lowest of a byte first, set
    where the record's bytes go and only its leaf hash stays.
    """

    stream: str
    first: int
    end: int
    count: int
    digest: str


class RelayRef(_Part, frozen=True):
    """Where in Kafka a stream's records go (``relay.assign``), or how the copy and its cursor disagreed.

    ``topic_id`` is the topic's UUID, which one of the same name that is made later does not have; ``generation`` counts
    assignments of the stream. ``first`` is the seq that the relay goes on with, ``cursor`` the one that the cursor told
    and ``readable`` the one after the last record that could be read; -1 where there was none.
    """

    stream: str
    topic: str
    topic_id: str
    partition: int
    generation: int
    first: int = -1
    cursor: int = -1
    readable: int = -1


class Window(_Part, frozen=True):
    """Requests without a valid signature, counted from ``opened`` on (DESIGN §3)."""

    opened: str
    count: int = 0
    reasons: dict[str, int] = {}
