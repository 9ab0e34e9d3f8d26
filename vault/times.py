"""Instants as integers (nanoseconds since the Unix epoch, UTC) and as RFC 3339 text.

Evidence carries RFC 3339 with nine fractional digits (DESIGN §3); code carries integers.

Not handled here: which of the two clocks to use (``vault.retention``) and where they come from (``audit.clock``).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * NS
#: The last instant that four-digit years can write.
MAX_NS: Final = 253_402_300_800 * NS - 1
#: Characters of an instant as :func:`rfc3339` writes it.
_WRITTEN: Final = 30

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)", re.ASCII)
_FRACTION_AND_ZONE: Final = re.compile(r"(?:\.(\d{1,9}))?(Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII)


class Now(NamedTuple):
    """The two clocks at one instant, both in nanoseconds since the epoch, UTC.

    Attributes:
        wall: The host's wall clock.
        clock: The compliance clock (DESIGN §5): credited time only.
    """

    wall: int
    clock: int


@lru_cache(maxsize=4096)
def _written(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19] + "."


@lru_cache(maxsize=4096)
def _read(text: str) -> int:
    match = _SECONDS.fullmatch(text)
    if match is None:
        msg = "not an RFC 3339 instant"
        raise ValueError(msg)
    delta = datetime(*(int(part) for part in match.groups()), tzinfo=UTC) - _EPOCH  # type: ignore[arg-type, misc]
    return delta.days * 86_400 + delta.seconds


@lru_cache(maxsize=64)  # a record's own time is written for it and for its manifest, a batch's for each member
def rfc3339(ns: int) -> str:
    """Write an instant as ``2026-11-22T16:46:08.000000000Z``.

    Args:
        ns: Nanoseconds since the epoch, 0 to :data:`MAX_NS`.

    Returns:
        Thirty characters of ASCII. Thread-safe.
    """
    seconds, fraction = divmod(ns, NS)
    return f"{_written(seconds)}{fraction:09d}Z"


@lru_cache(maxsize=4096)  # the end of a lock is read half a dozen times on its way
def parse_rfc3339(text: str) -> int:
    """Read an RFC 3339 instant, exactly, to the nanosecond.

    Args:
        text: With ``Z`` or a numeric offset and up to nine fractional digits.

    Returns:
        Nanoseconds since the epoch.

    Raises:
        ValueError: Not such an instant, or one outside 1970 to 9999.
    """
    if len(text) == _WRITTEN and text[19] == "." and text[29] == "Z" and text[20:29].isdecimal() and text.isascii():
        ns = _read(text[:19]) * NS + int(text[20:29])  # as every record has it: half the price of the pattern
    else:
        ns = _parse_any(text)
    if not 0 <= ns <= MAX_NS:
        msg = "not an instant from 1970 to 9999"
        raise ValueError(msg)
    return ns


def _parse_any(text: str) -> int:
    match = _FRACTION_AND_ZONE.fullmatch(text, 19)
    if match is None:
        msg = "not an RFC 3339 instant"
        raise ValueError(msg)
    fraction, zone = match.groups()
    seconds = _read(text[:19])
    if zone != "Z":
        shift = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
        seconds += -shift if zone[0] == "+" else shift
    return seconds * NS + int((fraction or "0").ljust(9, "0"))
