"""JSON that is encoded once and filled in many times, for what differs in a few values only.

Encoding a struct takes longer than filling in a form, and of a thousand things that one request makes all but a few
values are the same. A form is made by the encoder itself, of a struct whose differing values are marks: so there is one
place that knows the format. Marks are random and of this process alone: nothing that a client sends can be taken for
one.

Not handled here: what is encoded, and what the values are.
"""

from __future__ import annotations

import secrets
from typing import Final

import msgspec

#: Writes a string as JSON.
quoted: Final = msgspec.json.Encoder().encode


def text() -> str:
    """A mark for a string that JSON writes as it is: digests, ids."""
    return secrets.token_hex(16)


def number() -> int:
    """A mark for a number."""
    return 10**17 + secrets.randbelow(10**17)


def form(encoded: bytes, *marks: str | int | bytes) -> bytes:
    """Put a place where each mark is, for ``%``.

    Args:
        encoded: What the encoder made of the marks.
        marks: In the order in which they stand there. Text becomes ``%b`` between the quotes, a number ``%d``, and
            bytes, which are any JSON at all, ``%b``.

    Raises:
        ValueError: A mark is not there.
    """
    made = encoded.replace(b"%", b"%%")
    at = 0
    for mark in marks:
        sign = b"%d" if isinstance(mark, int) else b"%b"
        written = mark if isinstance(mark, bytes) else str(mark).encode()
        at = made.index(written, at)
        made = made[:at] + sign + made[at + len(written) :]
        at += len(sign)
    return made
