"""An answer whose bytes come while they are sent, and whose source is closed however it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send


class Released(StreamingResponse):
    """Bytes under a lease, which ends with the answer: also where the client leaves in the middle of it.

    Args:
        body: The bytes.
        status: HTTP status.
        headers: Of the answer, its length among them where it is known.
        media_type: Of the bytes.
    """

    def __init__(
        self, body: AsyncGenerator[bytes, None], status: int, headers: Mapping[str, str], media_type: str
    ) -> None:
        self._body = body
        super().__init__(body, status, headers, media_type)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._body.aclose()
