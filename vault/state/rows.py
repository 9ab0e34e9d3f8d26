"""Rows of the index and the ordered keys under which they stand.

The index is a view: every row follows from the records alone (``vault.state.apply``). It spans all streams of a vault
that took one another over, so a ``seq`` in a row is a record's *position*: its seq, and the number of records in all
streams before its own more. In a vault that has one stream the two are the same.

Keys are byte strings whose order is the order S3 lists in; names of objects are
escaped so that no name is a prefix of another's key.

    b <bucket>                          BucketRow
    k <bucket> 0 <key'> 0 0             KeyRow: newest ordinal, the chain's end, and the current version
    v <bucket> 0 <key'> 0 0 <~ordinal>  VersionRow, newest first
    u <bucket> 0 <key'> 0 0 <upload>    UploadRow
    p <upload> <number>                 PartRow
    a <access key>                      PrincipalRow, by access key
    i <principal id>                    PrincipalRow, by id
    t <token id>                        TokenRow
    n <source>                          SourceRow
    h <matter id>                       MatterRow, open or closed
    o                                   MattersRow: all matters that are open
    e <position>                        GarbageRow: invisible bytes that wait for the eraser
    c                                   CustodyRow
    d                                   VerifiedRow
    s                                   BackupRow
    r <stream>                          RelayRow
    m <name>                            MetaRow
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from vault.record import DefaultRetention, Storage
from vault.state.other_rows import (
    BackupRow,
    CustodyRow,
    MatterRow,
    MattersRow,
    RelayRow,
    SourceRow,
    Stored,
    TokenRow,
    VerifiedRow,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

#: S3's limit on a key, in bytes of UTF-8.
MAX_KEY_BYTES: Final = 1024

ENABLED: Final = "Enabled"
SUSPENDED: Final = "Suspended"


class BucketRow(Stored, frozen=True):
    """A bucket. ``versioning`` is '', Enabled or Suspended; ``created`` in ns since the epoch (wall)."""

    name: str
    owner: str
    created: int
    lock: bool
    strict: bool
    versioning: str = ""
    default: DefaultRetention | None = None


class VersionRow(Stored, frozen=True):
    """One object version or delete marker.

    ``seq`` is the record that made it and the identity of its body; ``created`` and ``clock`` are that record's two
    times in ns; ``until`` is in ns, 0 without retention. ``upload`` names the multipart upload it came from.
    ``held`` says that a legal hold was asked for once, on or off: S3 tells that from one never spoken of. ``actor`` is
    the id of who stored it.
    """

    ordinal: int
    version_id: str
    seq: int
    created: int
    clock: int
    size: int
    manifest: str
    content: str
    marker: bool = False
    null: bool = False
    mode: str = ""
    until: int = 0
    hold: bool = False
    storage: Storage | None = None
    upload: str = ""
    held: bool = False
    actor: str = ""


class KeyRow(Stored, frozen=True):
    """A key: the newest ordinal ever given out, the manifest digest at the end of its chain, its current version.

    ``null`` is the ordinal of its null version, 0 where it has none: found without a look at all the others.
    """

    ordinal: int
    manifest: str
    current: VersionRow | None = None
    null: int = 0


class UploadRow(Stored, frozen=True):
    """A multipart upload under way. ``seq`` is the record that opened it; its body is the sealed content document.

    Mode, date and hold are what was asked for; ``held`` as in :class:`VersionRow`.
    """

    upload_id: str
    bucket: str
    key: str
    seq: int
    created: int
    owner: str
    content: str
    storage: Storage
    mode: str = ""
    until: int = 0
    hold: bool = False
    held: bool = False


class PartRow(Stored, frozen=True):
    """The latest part of that number. ``seq`` is the identity of its body."""

    number: int
    seq: int
    size: int
    created: int
    content: str
    storage: Storage


class PrincipalRow(Stored, frozen=True):
    """Somebody who may act. The secret is not here but in the secrets store (DESIGN §6)."""

    id: str
    name: str
    access_key: str
    roles: tuple[str, ...]
    enabled: bool = True


class GarbageRow(Stored, frozen=True):
    """Bytes no version shows any more: ``by`` is the record that made them so, ``storage`` where they are."""

    by: int
    bucket: str
    key: str
    seq: int
    ordinal: int
    version_id: str
    storage: Storage | None


class MetaRow(Stored, frozen=True):
    """A number the index keeps about itself, and the layout of its rows (``vault.storage.index.LAYOUT``)."""

    value: int
    layout: int = 0


Row = (
    BucketRow
    | VersionRow
    | KeyRow
    | UploadRow
    | PartRow
    | PrincipalRow
    | TokenRow
    | SourceRow
    | MatterRow
    | MattersRow
    | GarbageRow
    | CustodyRow
    | VerifiedRow
    | BackupRow
    | RelayRow
    | MetaRow
)

_KINDS: Final[dict[int, type[Row]]] = {
    ord("b"): BucketRow,
    ord("k"): KeyRow,
    ord("v"): VersionRow,
    ord("u"): UploadRow,
    ord("p"): PartRow,
    ord("a"): PrincipalRow,
    ord("i"): PrincipalRow,
    ord("t"): TokenRow,
    ord("n"): SourceRow,
    ord("h"): MatterRow,
    ord("o"): MattersRow,
    ord("e"): GarbageRow,
    ord("c"): CustodyRow,
    ord("d"): VerifiedRow,
    ord("s"): BackupRow,
    ord("r"): RelayRow,
    ord("m"): MetaRow,
}
#: Where the row of the vault's keys stands.
CUSTODY_KEY: Final = b"c"
#: Where the row of the ledger's verifications stands.
VERIFIED_KEY: Final = b"d"
#: Where the row of the last backup of the data directory stands.
BACKUP_KEY: Final = b"s"
_encode: Final = msgspec.json.Encoder().encode
_decoders: Final = {kind: msgspec.json.Decoder(row).decode for kind, row in _KINDS.items()}
#: Where all open matters stand.
OPEN_MATTERS: Final = b"o"

_ORDINALS: Final = (1 << 64) - 1
_VERSION_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)


def encode_row(row: Row) -> bytes:
    """Encode a row for the index file."""
    return _encode(row)


def decode_row(key: bytes, data: bytes) -> Row:
    """Decode the row that stands under ``key``.

    Raises:
        ValueError: Not such a row: the index is damaged and must be rebuilt.
    """
    try:
        return _decoders[key[0]](data)
    except (KeyError, msgspec.DecodeError, msgspec.ValidationError) as error:
        # Of the key only its kind: the rest names an object, and this is read by who may not know of it.
        msg = f"an index row of kind {key[:1]!r} is damaged; delete views/ and start again: it is rebuilt"
        raise ValueError(msg) from error


def _name(kind: bytes, bucket: str, key: str) -> bytes:
    return b"%b%b\0%b\0\0" % (kind, bucket.encode(), key.encode().replace(b"\0", b"\0\xff"))


def bucket_key(bucket: str) -> bytes:
    """Where a bucket's row stands."""
    return b"b" + bucket.encode()


def key_key(bucket: str, key: str) -> bytes:
    """Where a key's row stands."""
    return _name(b"k", bucket, key)


def key_keys(bucket: str, keys: Iterable[str]) -> list[bytes]:
    """Where the rows of several keys of a bucket stand, in their order; as :func:`key_key`."""
    front = b"k%b\0" % bucket.encode()
    return [b"%b%b\0\0" % (front, key.encode().replace(b"\0", b"\0\xff")) for key in keys]


def versions_prefix(bucket: str, key: str) -> bytes:
    """What all versions of a key begin with; their order is newest first."""
    return _name(b"v", bucket, key)


def version_key(bucket: str, key: str, ordinal: int) -> bytes:
    """Where a version's row stands."""
    return versions_prefix(bucket, key) + (_ORDINALS - ordinal).to_bytes(8, "big")


def version_key_beside(key: bytes, ordinal: int) -> bytes:
    """Where a version's row stands, made from where its key's row does: the names are not escaped a second time."""
    return b"v%b%b" % (key[1:], (_ORDINALS - ordinal).to_bytes(8, "big"))


def listing_prefix(kind: bytes, bucket: str, prefix: str) -> bytes:
    """What all rows of ``kind`` (``b"k"``, ``b"v"`` or ``b"u"``) in a bucket under a key prefix begin with."""
    return b"%b%b\0%b" % (kind, bucket.encode(), prefix.encode().replace(b"\0", b"\0\xff"))


def name_in(row_key: bytes) -> str:
    """The object key inside a row's key of kind k, v or u."""
    start = row_key.index(b"\0") + 1
    end = row_key.index(b"\0\0", start)
    return row_key[start:end].replace(b"\0\xff", b"\0").decode()


def upload_key(bucket: str, key: str, upload_id: str) -> bytes:
    """Where an upload's row stands."""
    return _name(b"u", bucket, key) + upload_id.encode()


def part_key(upload_id: str, number: int) -> bytes:
    """Where a part's row stands; parts of an upload are in order of their numbers."""
    return b"p%b%b" % (upload_id.encode(), number.to_bytes(2, "big"))


def access_key_key(access_key: str) -> bytes:
    """Where a principal stands by its access key."""
    return b"a" + access_key.encode()


def principal_key(principal_id: str) -> bytes:
    """Where a principal stands by its id."""
    return b"i" + principal_id.encode()


def token_key(token_id: str) -> bytes:
    """Where a token stands."""
    return b"t" + token_id.encode()


def source_key(source: str) -> bytes:
    """Where a source of foreign events stands."""
    return b"n" + source.encode()


def relay_key(stream: str) -> bytes:
    """Where a stream's assignment to a topic of Kafka stands."""
    return b"r" + stream.encode()


def matter_key(matter_id: str) -> bytes:
    """Where a matter stands."""
    return b"h" + matter_id.encode()


def garbage_key(seq: int) -> bytes:
    """Where the bytes of record ``seq``'s body wait for the eraser."""
    return b"e" + seq.to_bytes(8, "big")


def version_id(ordinal: int, manifest: str) -> str:
    """The public, opaque id of a version: 32 hex characters that also let it be looked up directly."""
    return f"{ordinal:08x}{manifest[:24]}"


def version_id_of(ordinal: int, manifest: bytes) -> bytes:
    """As :func:`version_id`, in bytes."""
    return b"%08x%b" % (ordinal, manifest[:24])


def ordinal_of(public_id: str) -> int:
    """The ordinal inside a version id, or 0 where it is none of ours."""
    return int(public_id[:8], 16) if _VERSION_ID.fullmatch(public_id) else 0  # int alone takes signs and spaces
