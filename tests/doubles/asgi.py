"""A client and a server in one: drives an ASGI application through one exchange and holds it to the protocol."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

Headers = list[tuple[bytes, bytes]]


@dataclass
class Answer:
    """What the client got. ``complete`` is False where the server would have cut the connection."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False
    received: int = 0

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


@dataclass
class Client:
    """Sends ``pieces`` and then waits, leaves, or stalls.

    After ``leaves_after`` pieces of the answer it goes away; it ``stalls`` where it should have sent more; ``slow`` is
    waited for before each piece is taken.
    """

    pieces: Sequence[bytes] = ()
    leaves: bool = False
    leaves_after: int = -1
    stalls: bool = False
    address: tuple[str, int] | None = ("192.0.2.7", 50000)
    slow: Callable[[], Awaitable[None]] | None = None

    async def ask(
        self, app: Callable[..., Awaitable[None]], method: str, path: bytes, query: bytes, headers: Headers
    ) -> Answer:
        answer = Answer()
        left = asyncio.Event()
        script = list(self.pieces)
        taken = 0

        async def receive() -> dict[str, Any]:
            answer.received += 1
            if script:
                piece = script.pop(0)
                return {"type": "http.request", "body": piece, "more_body": bool(script) or self.leaves or self.stalls}
            if answer.received == 1 and not self.leaves and not self.stalls:
                return {"type": "http.request", "body": b"", "more_body": False}
            if not self.leaves:
                await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            nonlocal taken
            assert not answer.complete, "sent after the end"
            if message["type"] == "http.response.start":
                assert not answer.status, "started twice"
                answer.status = message["status"]
                for name, value in message["headers"]:
                    assert isinstance(name, bytes), name
                    assert isinstance(value, bytes), value
                    assert not any(byte in value for byte in (0, 10, 13)), (name, value)
                    text = name.decode("ascii")
                    assert text not in answer.headers, f"{text} twice"
                    answer.headers[text] = value.decode("latin-1")
                return
            assert message["type"] == "http.response.body"
            assert answer.status, "body before the start"
            if self.slow is not None:
                await self.slow()
            answer.body += message.get("body", b"")
            answer.complete = not message.get("more_body", False)
            taken += 1
            if taken == self.leaves_after:
                left.set()
                await asyncio.sleep(0)

        scope = {
            "type": "http",
            "method": method,
            "raw_path": path,
            "path": "/not-to-be-used",
            "query_string": query,
            "headers": headers,
            "client": self.address,
            "http_version": "1.1",
        }
        await app(scope, receive, send)
        _check(method, answer)
        return answer


def _check(method: str, answer: Answer) -> None:
    """What HTTP wants of any answer (RFC 9110 §8.6, §15.3.5, §15.4.5)."""
    assert answer.status
    length = answer.headers.get("content-length")
    if answer.status in {204, 304}:
        assert (length, answer.body) == (None, b"")
    elif method == "HEAD":
        assert answer.body == b""
        assert length is not None
    else:
        assert length is not None
        assert len(answer.body) == int(length) or not answer.complete
