"""The relay's account of itself: a line in the log when something changes, and to the server, which shows it.

Not handled here: what the server makes of it (``audit.relaying``).
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from audit.control.worker import WorkerClient
from audit.errors import ControlFailed
from audit.relaying.standing import RelayStanding

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds between two accounts to the server while all is well.
TELL_SECONDS: Final = 1.0
#: What follows it in a trouble's words changes with time, and makes no other trouble of it.
SINCE: Final = " (for "

_log: Final = logging.getLogger(__name__)


class Account:
    """See the module. Not thread-safe.

    Args:
        socket: The server's, which may or may not be there.
        stream: The stream that is written: troubles before any stream is looked at are told of it.
    """

    def __init__(self, socket: Path, stream: str) -> None:
        self._socket = socket
        self._standings = {stream: RelayStanding(stream=stream)}
        self._server: WorkerClient | None = None
        self._told = 0.0
        self._said = ""

    def begin(self, stream: str) -> None:
        """A session of a stream begins."""
        self._standings.setdefault(stream, RelayStanding(stream=stream))
        self.count(stream, sessions=1)

    def count(self, stream: str, **more: int) -> None:
        """Add to a stream's numbers."""
        told = self._standings[stream]
        self._standings[stream] = replace(told, **{name: getattr(told, name) + some for name, some in more.items()})

    def warn(self, stream: str, warnings: tuple[str, ...]) -> None:
        """What somebody should look at, in place of what was before."""
        self._standings[stream] = replace(self._standings[stream], warnings=warnings)

    def offsets(self, stream: str, first: int, following: int) -> None:
        """The first offset of a stream's partition that is there, and the one after the last that can be read."""
        self._standings[stream] = replace(self._standings[stream], first_offset=first, next_offset=following)

    def well(self, stream: str, committed: int, *, now: bool = False) -> None:
        """A stream goes on, and so many of its records are in Kafka: told once a second, or now."""
        if self._said:
            _log.info("%s: going on, %d records are in Kafka", stream, committed)
        self._standings[stream] = replace(self._standings[stream], committed=committed, trouble="")
        if now or self._said or time.monotonic() - self._told >= TELL_SECONDS:
            self._said, self._told = "", time.monotonic()
            self._tell([stream])

    def trouble(self, why: str, stream: str = "") -> None:
        """Why it cannot go on: a stream, or all of them. One line of the log, however often it is told."""
        plain = why.partition(SINCE)[0]
        if plain != self._said:
            _log.warning("%s", plain)
            self._said = plain
        told = [stream] if stream else list(self._standings)
        for name in told:
            self._standings[name] = replace(self._standings[name], trouble=why)
        self._tell(told)

    def _tell(self, streams: list[str]) -> None:
        """Tell the server, if it is there; where it is not, it knows that nobody told it anything."""
        with suppress(ControlFailed):
            self._server = self._server or WorkerClient.connect(self._socket)
            if self._server is None:
                return
            try:
                for stream in streams:
                    self._server.tell_relay(self._standings[stream])
            except ControlFailed:
                self.close()

    def close(self) -> None:
        """Let go of the server."""
        if self._server is not None:
            self._server.close()
            self._server = None
