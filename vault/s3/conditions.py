"""What the headers of a read ask for: conditions and a range (RFC 9110 §13, §14; AWS GetObject).

Not handled here: comparing them with the version (``vault.service``).
"""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from vault.service.context import Conditions
from vault.times import NS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vault.service.context import ByteRange

_RANGE: Final = re.compile(r"bytes=([0-9]{0,19})-([0-9]{0,19})", re.ASCII)


def conditions(fields: Mapping[str, str]) -> Conditions:
    """The conditions of a read."""
    return Conditions(
        etags(fields.get("if-match")),
        etags(fields.get("if-none-match")),
        http_date(fields.get("if-modified-since")),
        http_date(fields.get("if-unmodified-since")),
    )


def byte_range(value: str | None) -> ByteRange | None:
    """Read a Range header; what is no single byte range is ignored, as RFC 9110 §14.2 allows and S3 does."""
    match = _RANGE.fullmatch(value) if value is not None else None
    if match is None or match[1] == match[2] == "":
        return None
    first = int(match[1]) if match[1] else None
    last = int(match[2]) if match[2] else None
    if first is not None and last is not None and last < first:
        return None
    return first, last


def http_date(value: str | None) -> int | None:
    """Read an HTTP date.

    Returns:
        Seconds since the epoch, or None where there is none or it is none: then the condition is ignored (RFC 9110
        §13.1.3, §13.1.4).
    """
    if value is None:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return int(moment.timestamp())
    except OverflowError:
        return None


def etags(value: str | None) -> tuple[str, ...]:
    """Read If-Match or If-None-Match: ETags without quotes, or ``("*",)``; empty where there is none."""
    if value is None:
        return ()
    return tuple(tag.strip().removeprefix("W/").strip('"') for tag in value.split(","))


def http_time(ns: int) -> str:
    """Write an instant as ``Sun, 22 Nov 2026 16:46:08 GMT``."""
    return formatdate(ns // NS, usegmt=True)
