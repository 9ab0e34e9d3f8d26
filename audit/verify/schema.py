"""The form of a record of schema version 1, as one regular expression over its exact bytes.

A parser that builds objects would accept whitespace, duplicate keys, floats and
any order, and then each of these needs a check of its own. The grammar below
accepts nothing but what the format allows, in one pass, and hands out the
fields as they stand in the bytes: strings with their quotes, never re-encoded.

Not handled here: what the values mean (``records``, ``locks``), and records of
another version, of which only hashes can be checked.
"""

from __future__ import annotations

import json
import re
from typing import Final

#: One record, in bytes.
MAX_RECORD_BYTES: Final = 32 * 1024

OPS: Final = frozenset(
    b"bucket.create bucket.head bucket.list bucket.delete bucket.location bucket.versioning.get bucket.versioning.put "
    b"bucket.lock.get bucket.lock.put object.put object.get object.head object.delete object.list object.versions "
    b"object.retention.get object.retention.put object.hold.get object.hold.put object.read.failed object.erased "
    b"multipart.create multipart.part multipart.list multipart.parts multipart.complete multipart.abort "
    b"request.refused auth.window.open auth.window.close principal.add principal.disable "
    b"token.add token.revoke record.query record.get record.tile "
    b"production.create production.complete ingest.event ingest.gap ingest.batch "
    b"key.backup key.restore key.rotate server.reload clock.status "
    b"ledger.open ledger.start ledger.stop ledger.recover ledger.verified".split()
)

# A string has one form, or two names could be the same key: what RFC 8259 §7 lets stand as it is stands as UTF-8, and
# the others are escaped in the short form where there is one.
_TEXT: Final = r'[^"\\\x00-\x1f]*+(?:\\(?:["\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f]))[^"\\\x00-\x1f]*+)*+'
_STR: Final = f'"{_TEXT}"'
_INT: Final = r"(?:0|-?[1-9][0-9]{0,18}+)(?![0-9])"
_NAT: Final = r"(?:0|[1-9][0-9]{0,18}+)(?![0-9])"
_BOOL: Final = "(?:true|false)"
_HEX: Final = "[0-9a-f]{64}"
_TIME: Final = (
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{9}Z"
)


def _group(name: str, inner: str) -> str:
    return f"(?P<{name}>{inner})"


def _quoted(name: str, inner: str) -> str:
    return f'"{_group(name, inner)}"'


def _field(name: str, value: str) -> str:
    # A field ends in its comma or stands before the brace; _object refuses a comma before the brace.
    return rf'"{name}":{value}(?:,|(?=\}}))'


def _maybe(name: str, value: str) -> str:
    return f"(?:{_field(name, value)})?+"


def _object(*fields: str) -> str:
    return rf"\{{{''.join(fields)}(?<!,)\}}"


def _list(value: str) -> str:
    return rf"\[(?:{value}(?:,{value})*+)?+\]"


_VERSION: Final = _object(
    _field("ordinal", _group("ordinal", r"[1-9][0-9]{0,18}+")),
    _field("version_id", _quoted("version_id", "[0-9a-f]{32,40}")),
    _field("manifest", _quoted("manifest", _HEX)),
    _maybe("prev_manifest", _quoted("prev_manifest", _HEX)),
    _maybe("marker", _group("marker", _BOOL)),
    _maybe("null", _group("null", _BOOL)),
    _maybe("replaced", _group("replaced", _NAT)),
)
_LOCK: Final = _object(
    _maybe("mode", _quoted("mode", "GOVERNANCE|COMPLIANCE")),
    _maybe("until", _quoted("until", _TIME)),
    _maybe("hold", _group("hold", _BOOL)),
)
_ACTOR: Final = _object(
    _field("id", _STR), _maybe("person", _STR), _maybe("on_behalf_of", _STR), _maybe("roles", _list(_STR))
)
_ORIGIN: Final = _object(_field("via", _STR), _maybe("request_id", _STR), _maybe("ip", _STR), _maybe("agent", _STR))
_OBJECT: Final = _object(
    _field("bucket", _group("bucket", _STR)),
    _maybe("key", _group("key", _STR)),
    _maybe("version_id", _group("named", _STR)),
    _maybe("upload_id", _group("upload", _STR)),
    _maybe("part", _group("part", _NAT)),
    _maybe("prefix", _STR),
    _maybe("size", _group("size", _INT)),
    _maybe("content", _quoted("content", _HEX)),
    _maybe("range", rf"\[{_INT},{_INT}\]"),
)
_STORAGE: Final = _object(
    _field("suite", _group("suite", _NAT)),
    _field("kind", _quoted("kind", "log|blob|parts")),
    _field("domain", _STR),
    _field("salt", '"[0-9a-f]*+"'),
    _field("sealed", _group("sealed", _NAT)),
    _field("chunk", _group("chunk", _NAT)),
    _field("length", _group("length", _NAT)),
    _field("root", _quoted("root", _HEX)),
    # The name of a file: at least its two characters of directory, and no way out of it.
    _maybe("blob", _quoted("blob", "[0-9A-Za-z_-][0-9A-Za-z_.-]{1,199}+")),
)
_REQUEST: Final = _object(
    _maybe("mode", _group("asked_mode", _STR)),
    _maybe("until", _group("asked_until", _STR)),
    _maybe("hold", _group("asked_hold", _BOOL)),
    _maybe("bypass", _group("bypass", _BOOL)),
    _maybe("bypass_sent", _BOOL),
    _maybe("if_none_match", _BOOL),
    _maybe("if_match", _STR),
    _maybe("remove", _BOOL),
    _maybe("http", _STR),
)
_DEFAULT: Final = _object(
    _field("mode", _group("default_mode", _STR)),
    _maybe("days", _group("days", _NAT)),
    _maybe("years", _group("years", _NAT)),
)
_BUCKET: Final = _object(
    _maybe("owner", _STR),
    _maybe("lock", _BOOL),
    _maybe("strict", _group("strict", _BOOL)),
    _maybe("versioning", _STR),
    _maybe("default", _DEFAULT),
)
_PRINCIPAL: Final = _object(
    _field("id", _group("principal", _STR)),
    _field("name", _STR),
    _field("access_key", _STR),
    _field("roles", _list(_STR)),
)
_TOKEN: Final = _object(
    _field("id", _STR),
    _maybe("principal", _STR),
    _maybe("digest", f'"{_HEX}"'),
    _maybe("roles", _list(_STR)),
    _maybe("expires", f'"{_TIME}"'),
    _maybe("note", _STR),
    _maybe("source", _STR),
    _maybe("format", _STR),
)
_PRODUCTION: Final = _object(
    _field("id", _STR),
    _maybe("reason", _STR),
    _maybe("asked", _STR),
    _maybe("versions", _NAT),
    _maybe("natives", _NAT),
    _maybe("bytes", _NAT),
    _maybe("digest", f'"{_HEX}"'),
)
_TAKEOVER: Final = _object(
    _field("stream", _group("taken", _STR)),
    _field("held", _group("held", _NAT)),
    _field("root", _quoted("held_root", _HEX)),
    _field("known", _group("known", _NAT)),
    _field("known_root", _quoted("known_root", f"(?:{_HEX})?")),
    _field("position", _group("base", _NAT)),
)
_LEDGER: Final = _object(
    _maybe("incarnation", _NAT),
    _maybe("vault", _group("vault", _STR)),
    _maybe("anchor", _STR),
    _maybe("profile", _group("profile", _STR)),
    _maybe("software", _STR),
    _maybe("quarantined", _group("quarantined", _STR)),
    _maybe("digest", _group("digest", _STR)),
    _maybe("bytes", _group("cut", _NAT)),
    _maybe("stream", _group("cut_in", _STR)),
    _maybe("takes_over", _TAKEOVER),
)
_CLOCK: Final = _object(
    _field("credited", _INT),
    _field("lag", _INT),
    _maybe("grants", _list(rf"\[{_INT},{_INT}\]")),
    _maybe("source", _STR),
    _maybe("offset", _INT),
    _maybe("max_error", _NAT),
    _maybe("synchronised", _BOOL),
)
_WINDOW: Final = _object(
    _field("opened", f'"{_TIME}"'),
    _maybe("count", _NAT),
    _maybe("reasons", rf"\{{(?:{_STR}:{_NAT}(?:,{_STR}:{_NAT})*+)?+\}}"),
)
_TLS: Final = _object(_field("certificate", f'"{_HEX}"'), _maybe("clients", f'"{_HEX}"'))
_SERVER: Final = _object(_field("config", f'"{_HEX}"'), _maybe("s3", _TLS), _maybe("audit", _TLS))
_KEYS: Final = _object(
    _field("kek", _STR),
    _field("generation", _NAT),
    _field("domains", _NAT),
    _maybe("before", _STR),
    _maybe("beyond", _NAT),
    _maybe("digest", _STR),
    _maybe("principals", _NAT),
    _maybe("streams", _NAT),
    _maybe("files", _NAT),
    _maybe("holds_kek", _BOOL),
)
_VERIFIED: Final = _object(
    _field("result", _STR),
    *(_field(name, _NAT) for name in ("share", "shares", "size", "records", "bodies", "bytes", "seconds")),
    *(_maybe(name, form) for name, form in (("findings", _NAT), ("place", _STR), ("seq", _NAT))),
)
_INGEST: Final = _object(
    _field("source", _STR),
    _maybe("format", _STR),
    _maybe("id", _STR),
    _maybe("sequence", _NAT),
    *(_maybe(name, _STR) for name in ("time", "who", "action", "what")),
    _maybe("size", _NAT),
    _maybe("digest", _quoted("event_digest", _HEX)),
    _maybe("event", _group("event_text", _STR)),
    _maybe("base64", _quoted("event_base64", "(?:[A-Za-z0-9+/]{4})*+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")),
    _maybe("manifest", f'"{_HEX}"'),
    _maybe("missing", rf"\[{_NAT},{_NAT}\]"),
    _maybe("members", _NAT),
    _maybe("duplicates", _NAT),
)
_RESERVED: Final = ("class", "event_hold", "matters", "approvals")

# Field by field, in order: name, whether it must be there, its pattern.
_FIELDS: Final = (
    ("time", True, _quoted("time", _TIME)),
    ("clock", True, _quoted("clock", _TIME)),
    ("outcome", True, _quoted("outcome", "success|denied|failure")),
    ("reason", False, _STR),
    ("version", False, _VERSION),
    ("lock", False, _group("lock", _LOCK)),
    ("op", True, _quoted("op", "[a-z]+(?:[._][a-z]+)*")),
    ("actor", True, _ACTOR),
    ("origin", True, _ORIGIN),
    ("object", False, _OBJECT),
    ("storage", False, _STORAGE),
    ("request", False, _REQUEST),
    ("bucket", False, _BUCKET),
    ("principal", False, _PRINCIPAL),
    ("token", False, _TOKEN),
    ("production", False, _PRODUCTION),
    ("ledger", False, _LEDGER),
    ("clock_state", False, _CLOCK),
    ("window", False, _WINDOW),
    ("server", False, _SERVER),
    ("keys", False, _KEYS),
    ("verified", False, _VERIFIED),
    ("ref", False, _group("ref", _NAT)),
    ("ingest", False, _INGEST),
)

#: Matches a record from its ``time`` on; ``records`` compares what stands before byte for byte. Groups are
#: named by what they hold; where ``reserved`` (what v1 leaves open) is found, :func:`why_not` must read the whole.
AFTER_PREV: Final = re.compile(
    (
        "".join(_field(name, form) if must else _maybe(name, form) for name, must, form in _FIELDS)
        + rf'(?P<reserved>"(?:{"|".join(_RESERVED)})":.*)?(?<!,)\}}'
    ).encode()
)

#: The descriptor of a record's body.
STORAGE: Final = re.compile(rf'"storage":{_STORAGE}'.encode())
#: How every record of version 1 begins.
HEAD: Final = re.compile(rf'\{{"v":1,"stream":({_STR}),"seq":({_NAT}),"prev":"({_HEX})",'.encode())

#: What of that every version has (DESIGN §3): here is what the record before it must hash to.
LINK: Final = re.compile(rf'\{{"v":[0-9]{{1,9}},"stream":{_STR},"seq":{_NAT},"prev":"({_HEX})",'.encode())

_HEAD_NAMES: Final = ("v", "stream", "seq", "prev")
_ORDER: Final = (*_HEAD_NAMES, *(name for name, _, _ in _FIELDS), *_RESERVED)
_STRINGS: Final = re.compile(_STR.encode())


class _Refused(ValueError):
    """Valid JSON in a form that evidence must not have."""


def _no_float(text: str) -> None:
    raise _Refused(f"a number that is not an integer: {text[:40]}")


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _Refused("a field stands twice")
    return fields


def parse_strict(data: bytes) -> dict[str, object] | str:
    """Read a JSON object of at most :data:`MAX_RECORD_BYTES`, slowly, as evidence must be written.

    Args:
        data: Foreign bytes.

    Returns:
        The object; or why it is none: not UTF-8, whitespace, floats, a field that stands twice, too long or deep.
    """
    if len(data) > MAX_RECORD_BYTES:
        return f"{len(data)} bytes, more than {MAX_RECORD_BYTES}"
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique, parse_float=_no_float, parse_constant=_no_float)
    except (ValueError, RecursionError) as error:  # json's and UTF-8's errors are ValueErrors too
        return str(error) if isinstance(error, _Refused) else f"not JSON: {error}"
    if not isinstance(value, dict):
        return "not a JSON object"
    if any(byte in b" \t\r\n" for byte in _STRINGS.sub(b"", data)):
        return "whitespace between its fields"
    return value


def why_not(record: bytes) -> str:
    """Say why a record is not of schema version 1, in words.

    Args:
        record: Its exact bytes.

    Returns:
        The reason, empty where only reserved fields kept :data:`AFTER_PREV` from deciding.
    """
    value = parse_strict(record)
    if isinstance(value, str):
        return value
    unknown = [name for name in value if name not in _ORDER]
    if unknown:
        return f"unknown field {unknown[0][:40]}"
    missing = [name for name in (*_HEAD_NAMES, *(name for name, must, _ in _FIELDS if must)) if name not in value]
    if missing:
        return f"no field {missing[0]}"
    places = [_ORDER.index(name) for name in value]
    if places != sorted(places):
        return "its fields are not in the order of the schema"
    head = HEAD.match(record)
    if head is None:
        return "its head is not that of schema version 1"
    return _misshapen(record, head.end(), [(name, form) for name, _, form in _FIELDS if name in value])


def _misshapen(record: bytes, at: int, fields: list[tuple[str, str]]) -> str:
    for name, form in fields:
        match = re.compile(_field(name, form).encode()).match(record, at)
        if match is None:
            return f"field {name} has another form than in the schema"
        at = match.end()
    return ""
