"""Whether an event of another system is the one whose digest stands beside it."""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import re


def disagrees(match: re.Match[bytes]) -> str:
    """Say why the bytes in a record of ``ingest.event`` are not those of its digest; empty where they are.

    Args:
        match: Of ``schema.AFTER_PREV``. A record without bytes (refused, or kept as an object) says nothing to compare.
    """
    digest, text, encoded = match.group("event_digest", "event_text", "event_base64")
    if text is None and encoded is None:
        return ""
    if text is not None and encoded is not None:
        return "it holds an event twice"
    data = json.loads(text).encode() if text is not None else b64decode(encoded)
    if digest is None or sha256(data).hexdigest().encode() != digest:
        return "the event that it holds is not that of its digest"
    return ""
