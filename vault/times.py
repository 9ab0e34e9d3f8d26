"""Instants as integers (nanoseconds since the Unix epoch, UTC) and as RFC 3339 text.

Evidence carries RFC 3339 with nine fractional digits (DESIGN §3); code carries integers.

Not handled here: which of the two clocks to use (``vault.retention``) and where they come from (``audit.clock``).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

NS: Final = 1_000_000_000
DAY_NS: Final = 86_400 * NS
#: The last instant that four-digit years can write.
MAX_NS: Final = 253_402_300_799 * NS

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII
)


class Now(NamedTuple):
    """The two clocks at one instant, both in nanoseconds since the epoch, UTC.

    Attributes:
        wall: The host's wall clock.
        clock: The compliance clock (DESIGN §5): credited time only.
    """

    wall: int
    clock: int


_last: tuple[int, str] = (-1, "")


def rfc3339(ns: int) -> str:
    """Write an instant as ``2026-11-22T16:46:08.000000000Z``.

    Args:
        ns: Nanoseconds since the epoch, 0 to :data:`MAX_NS`.

    Returns:
        Thirty characters of ASCII. Thread-safe.
    """
    global _last  # noqa: PLW0603 - one-entry cache: consecutive records share their second
    seconds, fraction = divmod(ns, NS)
    last = _last
    if last[0] != seconds:
        last = (seconds, (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S."))
        if len(last[1]) != 20:  # strftime does not pad years below 1000
            last = (seconds, last[1].rjust(20, "0"))
        _last = last
    return f"{last[1]}{fraction:09d}Z"


def parse_rfc3339(text: str) -> int:
    """Read an RFC 3339 instant, exactly, to the nanosecond.

    Args:
        text: With ``Z`` or a numeric offset and up to nine fractional digits.

    Returns:
        Nanoseconds since the epoch.

    Raises:
        ValueError: Not such an instant, or before 1970.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        msg = "not an RFC 3339 instant"
        raise ValueError(msg)
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    offset = match[8]
    if offset != "Z":
        shift = timedelta(hours=int(offset[1:3]), minutes=int(offset[4:6]))
        moment = moment - shift if offset[0] == "+" else moment + shift
    delta = moment - _EPOCH
    ns = (delta.days * 86_400 + delta.seconds) * NS + int((match[7] or "").ljust(9, "0"))
    if ns < 0:
        msg = "an instant before 1970"
        raise ValueError(msg)
    return ns
