"""The words of foreign events that are worth asking for: id, number, time, who, what was done, and to what. Pure.

One small reader for each format. It takes nothing that its format does not have for it, and never judges: an event that
is not of its format, or whose fields are of other types, is kept all the same, as ``raw``.

=============  =========================================================  ===========================================
format         named by                                                   as written by
=============  =========================================================  ===========================================
``json``       ``id`` or ``event_id``; ``sequence`` or ``seq``             anybody
``minio``      ``requestID``                                               MinIO, audit webhook, version 1
``rustfs``     ``requestID`` of the first of ``Records``                   RustFS, audit webhook
``ceph-rgw``   ``trans_id``                                                Ceph RGW, ops log (``rgw_log.cc``)
``kubernetes`` ``auditID`` and ``stage``                                   Kubernetes, audit.k8s.io/v1 Event
``ocsf``       ``metadata.uid``; ``metadata.sequence``                     OCSF 1.x
=============  =========================================================  ===========================================
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

#: Of an event that is not what its source should send.
RAW: Final = "raw"
#: Of an id, in characters; a longer one goes by its SHA-256.
MAX_ID: Final = 256
#: Of any other word, in characters; a longer one is left out: it is in the event.
MAX_WORD: Final = 512
#: The highest number that an event can have.
MAX_SEQUENCE: Final = 2**63 - 1

#: Longest event whose words are read, in bytes: what stands in it is made an object each, whatever it claims to be.
MAX_READ_BYTES: Final = 1024 * 1024

_Word = str | int | float | None


class Words(msgspec.Struct, frozen=True, gc=False):
    """What an event says of itself; empty, or negative, where it does not."""

    id: str = ""
    sequence: int = -1
    time: str = ""
    who: str = ""
    action: str = ""
    what: str = ""


class _Part(msgspec.Struct, frozen=True, gc=False):
    """An object of a format: the fields that are read, whatever else there is."""


class _Plain(_Part, frozen=True):
    id: _Word = None
    event_id: _Word = None
    sequence: _Word = None
    seq: _Word = None
    time: _Word = None


class _Api(_Part, frozen=True):
    name: _Word = None
    bucket: _Word = None
    object: _Word = None


class _Minio(_Part, frozen=True):
    requestID: _Word = None  # noqa: N815 - theirs
    time: _Word = None
    api: _Api = _Api()
    accessKey: _Word = None  # noqa: N815 - theirs
    parentUser: _Word = None  # noqa: N815 - theirs
    trigger: _Word = None


class _Rustfs(_Minio, frozen=True):
    """An entry by itself, or as its webhook sends it: the only one of a list."""

    Records: list[_Minio] | None = None
    records: list[_Minio] | None = None


class _Rgw(_Part, frozen=True):
    trans_id: _Word = None
    time: _Word = None
    user: _Word = None
    operation: _Word = None
    bucket: _Word = None
    object: _Word = None


class _User(_Part, frozen=True):
    username: _Word = None
    name: _Word = None
    uid: _Word = None


class _ObjectRef(_Part, frozen=True):
    namespace: _Word = None
    resource: _Word = None
    name: _Word = None


class _Kubernetes(_Part, frozen=True):
    auditID: _Word = None  # noqa: N815 - theirs
    stage: _Word = None
    stageTimestamp: _Word = None  # noqa: N815 - theirs
    verb: _Word = None
    user: _User | None = None
    objectRef: _ObjectRef | None = None  # noqa: N815 - theirs


class _Metadata(_Part, frozen=True):
    uid: _Word = None
    sequence: _Word = None


class _OcsfActor(_Part, frozen=True):
    user: _User | None = None


class _OcsfApi(_Part, frozen=True):
    operation: _Word = None


class _Resource(_Part, frozen=True):
    name: _Word = None
    uid: _Word = None


class _Ocsf(_Part, frozen=True):
    metadata: _Metadata
    time: _Word = None
    actor: _OcsfActor | None = None
    api: _OcsfApi | None = None
    activity_name: _Word = None
    resources: list[_Resource] | None = None


def _plain(event: _Plain) -> Words:
    return Words(_id(event.id, event.event_id), _sequence(event.sequence, event.seq), _word(event.time))


def _minio(event: _Minio) -> Words:
    who = _word(event.parentUser) or _word(event.accessKey)
    api = event.api
    return Words(_id(event.requestID), -1, _word(event.time), who, _word(api.name), _path(api.bucket, api.object))


def _rustfs(event: _Rustfs) -> Words:
    entries = event.Records or event.records
    return _minio(entries[0] if entries else event)


def _rgw(event: _Rgw) -> Words:
    what = _path(event.bucket, event.object)
    return Words(_id(event.trans_id), -1, _word(event.time), _word(event.user), _word(event.operation), what)


def _kubernetes(event: _Kubernetes) -> Words:
    named = _id(event.auditID)
    # One request is one auditID and an event for each stage.
    event_id = _id(f"{named}/{_word(event.stage)}") if named else ""
    who = _word(event.user.username) if event.user is not None else ""
    ref = event.objectRef
    what = _path(ref.namespace, ref.resource, ref.name) if ref is not None else ""
    return Words(event_id, -1, _word(event.stageTimestamp), who, _word(event.verb), what)


def _ocsf(event: _Ocsf) -> Words:
    user = event.actor.user if event.actor is not None else None
    who = (_word(user.name) or _word(user.uid)) if user is not None else ""
    action = (_word(event.api.operation) if event.api is not None else "") or _word(event.activity_name)
    first = event.resources[0] if event.resources else None
    what = (_word(first.name) or _word(first.uid)) if first is not None else ""
    told = event.metadata
    return Words(_id(told.uid), _sequence(told.sequence), _word(event.time), who, action, what)


def _word(value: _Word) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= MAX_WORD else ""


def _path(*values: _Word) -> str:
    return _word("/".join(filter(None, map(_word, values))))


def _id(*values: _Word) -> str:
    """The first that is there."""
    for value in values:
        if value is not None and value != "":
            text = value if isinstance(value, str) else str(value)
            return text if len(text) <= MAX_ID else f"sha256:{sha256(text.encode()).hexdigest()}"
    return ""


def _sequence(*values: _Word) -> int:
    """The first that is a number which an event can have."""
    for value in values:
        if isinstance(value, int) and 0 <= value <= MAX_SEQUENCE:
            return value
    return -1


def _reader(form: type[msgspec.Struct], words: Callable[..., Words]) -> Callable[[bytes], Words | None]:
    decode = msgspec.json.Decoder(form).decode

    def read(data: bytes) -> Words | None:
        try:
            return words(decode(data))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return None

    return read


#: By format: what an event's exact bytes say; None where they are no event of that format.
READERS: Final[dict[str, Callable[[bytes], Words | None]]] = {
    "json": _reader(_Plain, _plain),
    "minio": _reader(_Minio, _minio),
    "rustfs": _reader(_Rustfs, _rustfs),
    "ceph-rgw": _reader(_Rgw, _rgw),
    "kubernetes": _reader(_Kubernetes, _kubernetes),
    "ocsf": _reader(_Ocsf, _ocsf),
}
