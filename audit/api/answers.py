"""What answers have in common, whichever route makes them. Not handled here: errors (``audit.api.problems``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec
from fastapi.responses import Response

#: For whatever shows what was recorded, or stands at this moment: nobody between keeps it.
NO_STORE: Final = {"Cache-Control": "no-store"}


def as_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a struct, or what holds some, as JSON; bytes of records in it stay as they are.

    Args:
        value: Anything that msgspec encodes.
        status: HTTP status.
        headers: More of them.
    """
    return Response(msgspec.json.encode(value), status, {**NO_STORE, **(headers or {})}, media_type="application/json")
