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

from audit.verify.forms import (
    ACTOR,
    BACKUP,
    BUCKET,
    CLOCK,
    HEX,
    INGEST,
    KEYS,
    LEDGER,
    LOCK,
    MATTER,
    NAT,
    OBJECT,
    ORIGIN,
    PRINCIPAL,
    PRODUCTION,
    PRUNED,
    RELAY,
    REQUEST,
    SERVER,
    STORED,
    STR,
    TIME,
    TOKEN,
    VERIFIED,
    VERSION,
    WINDOW,
    field,
    group,
    maybe,
    quoted,
)

#: One record, in bytes.
MAX_RECORD_BYTES: Final = 32 * 1024

OPS: Final = frozenset(
    b"bucket.create bucket.head bucket.list bucket.delete bucket.location bucket.versioning.get bucket.versioning.put "
    b"bucket.lock.get bucket.lock.put object.put object.get object.head object.delete object.list object.versions "
    b"object.retention.get object.retention.put object.hold.get object.hold.put object.read.failed object.erased "
    b"multipart.create multipart.part multipart.list multipart.parts multipart.complete multipart.abort "
    b"request.refused auth.window.open auth.window.close principal.add principal.disable "
    b"token.add token.revoke record.query record.get record.tile "
    b"production.create production.complete production.list production.get production.cancel production.read "
    b"ingest.event ingest.gap ingest.batch "
    b"key.backup key.restore key.rotate matter.open matter.close matter.list matter.get "
    b"ledger.open ledger.start ledger.stop ledger.recover ledger.backup ledger.verified ledger.pruned "
    b"relay.assign relay.rewind server.reload clock.status".split()
)

_RESERVED: Final = ("class", "event_hold", "matters", "approvals")

# Field by field, in order: name, whether it must be there, its pattern.
_FIELDS: Final = (
    ("time", True, quoted("time", TIME)),
    ("clock", True, quoted("clock", TIME)),
    ("outcome", True, quoted("outcome", "success|denied|failure")),
    ("reason", False, STR),
    ("version", False, VERSION),
    ("lock", False, group("lock", LOCK)),
    ("op", True, quoted("op", "[a-z]+(?:[._][a-z]+)*")),
    ("actor", True, ACTOR),
    ("origin", True, ORIGIN),
    ("object", False, OBJECT),
    ("storage", False, STORED),
    ("request", False, REQUEST),
    ("bucket", False, BUCKET),
    ("principal", False, PRINCIPAL),
    ("token", False, TOKEN),
    ("matter", False, MATTER),
    ("production", False, PRODUCTION),
    ("ledger", False, LEDGER),
    ("clock_state", False, CLOCK),
    ("window", False, WINDOW),
    ("server", False, SERVER),
    ("keys", False, KEYS),
    ("backup", False, BACKUP),
    ("verified", False, VERIFIED),
    ("pruned", False, PRUNED),
    ("ref", False, group("ref", NAT)),
    ("ingest", False, INGEST),
    ("relay", False, RELAY),
)

#: Matches a record from its ``time`` on; ``records`` compares what stands before byte for byte. Groups are
#: named by what they hold; where ``reserved`` (what v1 leaves open) is found, :func:`why_not` must read the whole.
AFTER_PREV: Final = re.compile(
    (
        "".join(field(name, form) if must else maybe(name, form) for name, must, form in _FIELDS)
        + rf'(?P<reserved>"(?:{"|".join(_RESERVED)})":.*)?(?<!,)\}}'
    ).encode()
)

#: The descriptor of a record's body.
STORAGE: Final = re.compile(rf'"storage":{STORED}'.encode())
#: How every record of version 1 begins.
HEAD: Final = re.compile(rf'\{{"v":1,"stream":({STR}),"seq":({NAT}),"prev":"({HEX})",'.encode())

#: What of that every version has (DESIGN §3): here is what the record before it must hash to.
LINK: Final = re.compile(rf'\{{"v":[0-9]{{1,9}},"stream":{STR},"seq":{NAT},"prev":"({HEX})",'.encode())

_HEAD_NAMES: Final = ("v", "stream", "seq", "prev")
_ORDER: Final = (*_HEAD_NAMES, *(name for name, _, _ in _FIELDS), *_RESERVED)
_STRINGS: Final = re.compile(STR.encode())


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
        match = re.compile(field(name, form).encode()).match(record, at)
        if match is None:
            return f"field {name} has another form than in the schema"
        at = match.end()
    return ""
