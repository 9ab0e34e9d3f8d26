"""The parts of a record of schema version 1, each as a regular expression over its exact bytes.

Named groups are what others ask for (``schema``). Pure.
"""

from __future__ import annotations

from typing import Final

# A string has one form, or two names could be the same key: what RFC 8259 §7 lets stand as it is stands as UTF-8, and
# the others are escaped in the short form where there is one.
TEXT: Final = r'[^"\\\x00-\x1f]*+(?:\\(?:["\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f]))[^"\\\x00-\x1f]*+)*+'
STR: Final = f'"{TEXT}"'
INT: Final = r"(?:0|-?[1-9][0-9]{0,18}+)(?![0-9])"
NAT: Final = r"(?:0|[1-9][0-9]{0,18}+)(?![0-9])"
BOOL: Final = "(?:true|false)"
HEX: Final = "[0-9a-f]{64}"
ID: Final = '"[0-9a-f]{16}"'
TIME: Final = (
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{9}Z"
)


def group(name: str, inner: str) -> str:
    """A part that is asked for by name."""
    return f"(?P<{name}>{inner})"


def quoted(name: str, inner: str) -> str:
    """A string whose content is asked for by name."""
    return f'"{group(name, inner)}"'


def field(name: str, value: str) -> str:
    """A field that must be there."""
    # A field ends in its comma or stands before the brace; fields refuses a comma before the brace.
    return rf'"{name}":{value}(?:,|(?=\}}))'


def maybe(name: str, value: str) -> str:
    """A field that may be absent."""
    return f"(?:{field(name, value)})?+"


def fields(*fields: str) -> str:
    """An object of these fields, in this order."""
    return rf"\{{{''.join(fields)}(?<!,)\}}"


def several(value: str) -> str:
    """A list of such values."""
    return rf"\[(?:{value}(?:,{value})*+)?+\]"


VERSION: Final = fields(
    field("ordinal", group("ordinal", r"[1-9][0-9]{0,18}+")),
    field("version_id", quoted("version_id", "[0-9a-f]{32,40}")),
    field("manifest", quoted("manifest", HEX)),
    maybe("prev_manifest", quoted("prev_manifest", HEX)),
    maybe("marker", group("marker", BOOL)),
    maybe("null", group("null", BOOL)),
    maybe("replaced", group("replaced", NAT)),
)
LOCK: Final = fields(
    maybe("mode", quoted("mode", "GOVERNANCE|COMPLIANCE")),
    maybe("until", quoted("until", TIME)),
    maybe("hold", group("hold", BOOL)),
    maybe("matters", rf"\[{group('matters', f'{ID}(?:,{ID})*+')}\]"),
    maybe("more", group("more", NAT)),
)
ACTOR: Final = fields(
    field("id", group("actor", STR)),
    maybe("person", STR),
    maybe("on_behalf_of", STR),
    maybe("roles", several(STR)),
)
ORIGIN: Final = fields(field("via", STR), maybe("request_id", STR), maybe("ip", STR), maybe("agent", STR))
OBJECT: Final = fields(
    field("bucket", group("bucket", STR)),
    maybe("key", group("key", STR)),
    maybe("version_id", group("named", STR)),
    maybe("upload_id", group("upload", STR)),
    maybe("part", group("part", NAT)),
    maybe("prefix", STR),
    maybe("size", group("size", INT)),
    maybe("content", quoted("content", HEX)),
    maybe("range", rf"\[{INT},{INT}\]"),
)
STORED: Final = fields(
    field("suite", group("suite", NAT)),
    field("kind", quoted("kind", "log|blob|parts")),
    field("domain", STR),
    field("salt", '"[0-9a-f]*+"'),
    field("sealed", group("sealed", NAT)),
    field("chunk", group("chunk", NAT)),
    field("length", group("length", NAT)),
    field("root", quoted("root", HEX)),
    # The name of a file: at least its two characters of directory, and no way out of it.
    maybe("blob", quoted("blob", "[0-9A-Za-z_-][0-9A-Za-z_.-]{1,199}+")),
)
REQUEST: Final = fields(
    maybe("mode", group("asked_mode", STR)),
    maybe("until", group("asked_until", STR)),
    maybe("hold", group("asked_hold", BOOL)),
    maybe("bypass", group("bypass", BOOL)),
    maybe("bypass_sent", BOOL),
    maybe("if_none_match", BOOL),
    maybe("if_match", STR),
    maybe("remove", BOOL),
    maybe("http", STR),
)
DEFAULT: Final = fields(
    field("mode", group("default_mode", STR)),
    maybe("days", group("days", NAT)),
    maybe("years", group("years", NAT)),
)
BUCKET: Final = fields(
    maybe("owner", STR),
    maybe("lock", BOOL),
    maybe("strict", group("strict", BOOL)),
    maybe("versioning", STR),
    maybe("default", DEFAULT),
)
PRINCIPAL: Final = fields(
    field("id", group("principal", STR)),
    field("name", STR),
    field("access_key", STR),
    field("roles", several(STR)),
)
TOKEN: Final = fields(
    field("id", STR),
    maybe("principal", STR),
    maybe("digest", f'"{HEX}"'),
    maybe("roles", several(STR)),
    maybe("expires", f'"{TIME}"'),
    maybe("note", STR),
    maybe("source", STR),
    maybe("format", STR),
)
PRODUCTION: Final = fields(
    field("id", STR),
    maybe("reason", STR),
    maybe("asked", STR),
    maybe("versions", NAT),
    maybe("natives", NAT),
    maybe("bytes", NAT),
    maybe("digest", f'"{HEX}"'),
    maybe("archive", f'"{HEX}"'),
    maybe("failed", NAT),
)
MATTER_QUERY: Final = fields(
    maybe("bucket", group("of_bucket", STR)),
    maybe("vault", group("of_vault", BOOL)),
    maybe("prefix", group("of_prefix", STR)),
    maybe("since", quoted("since", TIME)),
    maybe("before", quoted("before", TIME)),
    maybe("actor", group("of_actor", STR)),
)
MATTER: Final = fields(
    field("id", group("matter", STR)),
    maybe("name", STR),
    maybe("reason", STR),
    maybe("owner", STR),
    maybe("query", MATTER_QUERY),
)
TAKEOVER: Final = fields(
    field("stream", group("taken", STR)),
    field("held", group("held", NAT)),
    field("root", quoted("held_root", HEX)),
    field("known", group("known", NAT)),
    field("known_root", quoted("known_root", f"(?:{HEX})?")),
    field("position", group("base", NAT)),
)
LEDGER: Final = fields(
    maybe("incarnation", NAT),
    maybe("vault", group("vault", STR)),
    maybe("anchor", STR),
    maybe("profile", group("profile", STR)),
    maybe("software", STR),
    maybe("quarantined", group("quarantined", STR)),
    maybe("digest", group("digest", STR)),
    maybe("bytes", group("cut", NAT)),
    maybe("stream", group("cut_in", STR)),
    maybe("takes_over", TAKEOVER),
)
CLOCK: Final = fields(
    field("credited", INT),
    field("lag", INT),
    maybe("grants", several(rf"\[{INT},{INT}\]")),
    maybe("source", STR),
    maybe("offset", INT),
    maybe("max_error", NAT),
    maybe("synchronised", BOOL),
)
WINDOW: Final = fields(
    field("opened", f'"{TIME}"'),
    maybe("count", NAT),
    maybe("reasons", rf"\{{(?:{STR}:{NAT}(?:,{STR}:{NAT})*+)?+\}}"),
)
TLS: Final = fields(field("certificate", f'"{HEX}"'), maybe("clients", f'"{HEX}"'))
SERVER: Final = fields(field("config", f'"{HEX}"'), maybe("s3", TLS), maybe("audit", TLS))
KEYS: Final = fields(
    field("kek", STR),
    field("generation", NAT),
    field("domains", NAT),
    maybe("before", STR),
    maybe("beyond", NAT),
    maybe("digest", STR),
    maybe("principals", NAT),
    maybe("streams", NAT),
    maybe("files", NAT),
    maybe("holds_kek", BOOL),
)
BACKUP: Final = fields(
    field("stream", STR), field("records", NAT), field("digest", f'"{HEX}"'), field("files", NAT), field("bytes", NAT)
)
VERIFIED: Final = fields(
    field("result", STR),
    *(field(name, NAT) for name in ("share", "shares", "size", "records", "bodies", "bytes", "seconds")),
    *(maybe(name, form) for name, form in (("findings", NAT), ("place", STR), ("seq", NAT))),
    *(maybe(name, form) for name, form in (("anchored", NAT), ("anchor", STR))),
)
PRUNED: Final = fields(
    field("stream", group("pruned_stream", STR)),
    field("first", group("pruned_first", NAT)),
    field("end", group("pruned_end", NAT)),
    field("count", group("pruned_count", NAT)),
    field("digest", quoted("pruned_digest", HEX)),
)
RELAY: Final = fields(
    *(field(name, STR) for name in ("stream", "topic", "topic_id")),
    *(field(name, NAT) for name in ("partition", "generation")),
    *(maybe(name, NAT) for name in ("first", "cursor", "readable")),
)
INGEST: Final = fields(
    field("source", STR),
    maybe("format", STR),
    maybe("id", STR),
    maybe("sequence", NAT),
    maybe("time", STR),
    maybe("who", STR),
    maybe("action", STR),
    maybe("what", STR),
    maybe("size", NAT),
    maybe("digest", quoted("event_digest", HEX)),
    maybe("event", group("event_text", STR)),
    maybe("base64", quoted("event_base64", "(?:[A-Za-z0-9+/]{4})*+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")),
    maybe("manifest", f'"{HEX}"'),
    maybe("missing", rf"\[{NAT},{NAT}\]"),
    maybe("members", NAT),
    maybe("duplicates", NAT),
)
