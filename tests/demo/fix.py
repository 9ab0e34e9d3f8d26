"""FIX 4.4 messages on the wire (FIX protocol, volume 1, "Standard message header and trailer").

Not handled here: sessions, and what a message means.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

#: Ends each field.
SOH: Final = b"\x01"


def timestamp(at: datetime) -> str:
    """Write an instant as UTCTimestamp with milliseconds."""
    return f"{at.astimezone(UTC):%Y%m%d-%H:%M:%S}.{at.microsecond // 1000:03d}"


def message(kind: str, fields: Sequence[tuple[int, str | int]]) -> bytes:
    """Frame a message.

    Args:
        kind: MsgType (35).
        fields: Tags and values after it, in order.

    Returns:
        The message with BodyLength (9), which counts from after its own field up to CheckSum, and CheckSum (10), the
        sum of all bytes before it modulo 256.
    """
    body = b"".join(b"%d=%b%b" % (tag, str(value).encode("ascii"), SOH) for tag, value in ((35, kind), *fields))
    head = b"8=FIX.4.4%b9=%d%b" % (SOH, len(body), SOH)
    return b"%b%b10=%03d%b" % (head, body, sum(head + body) % 256, SOH)
