"""One audit request's id, its count, and its line in the log where every request has one."""

from __future__ import annotations

import logging
import time
from ssl import RAND_bytes
from typing import TYPE_CHECKING, Final

from audit.log_lines import request_id

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from vault.measures import Counts

_access: Final = logging.getLogger("audit.api.access")


class Requests:
    """ASGI around the whole application, its handling of errors included.

    The id is ours, whatever the client sends: it is in the answer (``x-request-id``), in a problem's ``instance``, and
    in every line of the log that the request causes.

    Args:
        app: Answers.
        answers: Counts answers by status class.
    """

    def __init__(self, app: ASGIApp, answers: Counts) -> None:
        self._app = app
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        own = RAND_bytes(8).hex().upper()
        request_id.set(own)  # for this request's task, which ends with it
        began = time.perf_counter()

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                status = message["status"]
                self._answers[f"{status // 100}xx"] += 1
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", own.encode())]
                seconds = round(time.perf_counter() - began, 6)
                route = getattr(scope.get("route"), "path", "-")  # as the application has it, without names
                _access.info("%s %s", scope["method"], route, extra={"status": status, "seconds": seconds})
            await send(message)

        await self._app(scope, receive, send_named)
