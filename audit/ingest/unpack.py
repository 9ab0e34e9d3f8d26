"""From a request's body to the exact bytes of its events: content coding, then framing. Pure, and bounded.

====================================================  ==============================================================
``Content-Type``                                      events
====================================================  ==============================================================
``application/json``, or none (MinIO's batches)       each element of an array; the ``items`` of a Kubernetes
                                                      ``EventList``; one object; objects, one on each line
``application/x-ndjson``, ``application/ndjson``,     each line that is not blank, whatever is on it
``application/jsonl``, ``text/plain``
====================================================  ==============================================================

``Content-Encoding``: none, ``gzip`` or ``zstd``; of one layer. An event's bytes are those between the separators,
without the white space around it, and are never parsed and written again.
"""

from __future__ import annotations

import zlib
from typing import Final

import msgspec
import zstandard

from audit.errors import AuditError

#: A request's body as it is sent, and once more as it is decoded, in bytes.
MAX_BODY_BYTES: Final = 32 * 1024 * 1024
#: Events of one request.
MAX_MEMBERS: Final = 10_000
#: Commas of an array, within its events too: each may be an element, and each element takes memory.
MAX_COMMAS: Final = 1_000_000
#: What a zstd frame may ask for to be decoded, in bytes.
_MAX_WINDOW: Final = 8 * 1024 * 1024
#: Compressed pieces, each with its own header, that one body may be joined from.
MAX_FRAMES: Final = 256
#: Bytes of zstd that are decoded at once: at four bytes for a block of 128 KiB they become 16 MiB at most.
_STEP: Final = 512

JSON: Final = frozenset({"", "application/json"})
LINES: Final = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "text/plain"})
_SPACE: Final = b" \t\r\n"


class BodyUnsupported(AuditError):
    """A body of a type or coding that is not taken."""

    code = "unsupported-media-type"
    status = 415


class BodyTooLarge(AuditError):
    """A body that is too long, holds too many events, or becomes too long once it is decoded."""

    code = "content-too-large"
    status = 413


class BodyInvalid(AuditError):
    """A body that cannot be decoded or taken apart; nothing of it is kept."""

    code = "body-invalid"
    status = 400


class _List(msgspec.Struct):
    kind: str = ""
    items: list[msgspec.Raw] | None = None


_array: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_value: Final = msgspec.json.Decoder(msgspec.Raw).decode
_list: Final = msgspec.json.Decoder(_List).decode


def decoded(body: bytes, coding: str) -> bytes:
    """Undo a content coding (RFC 9110 §8.4).

    Args:
        body: As it was sent.
        coding: The header's value.

    Returns:
        At most :data:`MAX_BODY_BYTES`; no more than that is ever made, whatever a body claims.

    Raises:
        BodyUnsupported: Another coding.
        BodyTooLarge: It becomes longer.
        BodyInvalid: It is not of that coding, or is cut.
    """
    match coding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            data = _gunzip(body)
        case "zstd":
            data = _unzstd(body)
        case _:
            raise BodyUnsupported("content codings are gzip and zstd, one of them")
    if len(data) > MAX_BODY_BYTES:
        raise BodyTooLarge(f"the body is longer than {MAX_BODY_BYTES} bytes once it is decoded; send less at once")
    return data


def _gunzip(body: bytes) -> bytes:
    """All members of a gzip file (RFC 1952 §2.2), as one."""
    pieces: list[bytes] = []
    left, room = body, MAX_BODY_BYTES + 1
    while left and room > 0:
        _require_frames(len(pieces))
        engine = zlib.decompressobj(wbits=31)
        try:
            pieces.append(engine.decompress(left, room))
        except zlib.error as error:
            raise BodyInvalid("the body is not gzip, or damaged") from error
        room -= len(pieces[-1])
        if room > 0 and not engine.eof:
            raise BodyInvalid("the body is cut")
        left = engine.unused_data
    return b"".join(pieces)


def _unzstd(body: bytes) -> bytes:
    """All frames of a zstd stream (RFC 8878 §3.1), as one."""
    pieces: list[bytes] = []
    frames, room, at = 0, MAX_BODY_BYTES, 0
    engine = None
    while at < len(body) and room >= 0:
        if engine is None:
            _require_frames(frames)
            engine, frames = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj(), frames + 1
        given = body[at : at + _STEP]
        try:
            pieces.append(engine.decompress(given))
        except zstandard.ZstdError as error:
            raise BodyInvalid("the body is not zstd, damaged, or needs a window of more than 8 MiB") from error
        room -= len(pieces[-1])
        at += len(given) - len(engine.unused_data)
        if engine.eof:
            engine = None
    if engine is not None and room >= 0:
        raise BodyInvalid("the body is cut")
    return b"".join(pieces)


def _require_frames(count: int) -> None:
    if count >= MAX_FRAMES:
        raise BodyTooLarge(f"a body of more than {MAX_FRAMES} compressed pieces")


def events(data: bytes, content_type: str) -> list[bytes]:
    """Take a decoded body apart.

    Args:
        data: The body.
        content_type: The header's value; parameters are passed over.

    Returns:
        Each event's exact bytes, none of them empty.

    Raises:
        BodyUnsupported: Another type.
        BodyTooLarge: Too many events.
        BodyInvalid: It is no JSON where it says so.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind in LINES:
        found = _lines(data)
    elif kind in JSON:
        found = _json(data.strip(_SPACE))
    else:
        raise BodyUnsupported("content types are application/json and application/x-ndjson")
    if len(found) > MAX_MEMBERS:
        raise BodyTooLarge(f"{len(found)} events; at most {MAX_MEMBERS} in one request")
    return found


def _lines(data: bytes) -> list[bytes]:
    if data.count(b"\n") > 2 * MAX_MEMBERS:
        raise BodyTooLarge(f"more than {2 * MAX_MEMBERS} lines; at most {MAX_MEMBERS} events in one request")
    return [line for line in (line.strip(_SPACE) for line in data.split(b"\n")) if line]


def _json(data: bytes) -> list[bytes]:
    if not data:
        return []
    try:
        if data.startswith(b"["):
            _require_few(data)
            return [bytes(each) for each in _array(data)]
        if b'"EventList"' in data[:4096] or b'"EventList"' in data[-4096:]:
            return _items(data)
        _value(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        lines = _lines(data)
        if len(lines) > 1 and all(map(_is_json, lines)):
            return lines
        raise BodyInvalid("the body is no JSON: send one value, an array, or one object on each line") from error
    return [data]


def _items(data: bytes) -> list[bytes]:
    """The events of a Kubernetes list, or the value as it is where it is something else after all."""
    _require_few(data)
    try:
        found = _list(data)
    except msgspec.ValidationError:
        _value(data)
        return [data]
    return [data] if found.kind != "EventList" or found.items is None else [bytes(each) for each in found.items]


def _require_few(data: bytes) -> None:
    if data.count(b",") > MAX_COMMAS:
        raise BodyTooLarge(f"an array with more than {MAX_COMMAS} commas; send fewer events at once")


def _is_json(line: bytes) -> bool:
    try:
        _value(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return False
    return True
