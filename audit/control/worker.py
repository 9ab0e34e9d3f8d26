"""A worker's end of the control socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from audit.control.client import Client
from audit.control.stream_messages import (
    AssignStream,
    Follow,
    Followed,
    RecordRewind,
    TellRelay,
)
from audit.errors import ControlFailed
from audit.runs import Run

if TYPE_CHECKING:
    from audit.relaying.standing import RelayStanding
    from vault.record import RelayRef


class WorkerClient(Client):
    """Implements :class:`audit.control.WorkerControl` over the socket. Made by :meth:`connect`; not thread-safe."""

    def follow(self, stream: str, first: int, sealed: int) -> tuple[Followed, Run]:
        """See :meth:`WorkerControl.follow`."""
        told, payload = self._ask(Follow(stream, first, sealed))
        try:
            followed = msgspec.json.decode(told, type=Followed)
        except msgspec.DecodeError as error:
            raise ControlFailed("the server answered something else than was asked") from error
        return followed, Run.decode(payload, followed.count)

    def assign_stream(self, relay: RelayRef) -> None:
        """See :meth:`WorkerControl.assign_stream`."""
        self._ask(AssignStream(relay))

    def record_rewind(self, relay: RelayRef) -> None:
        """See :meth:`WorkerControl.record_rewind`."""
        self._ask(RecordRewind(relay))

    def tell_relay(self, standing: RelayStanding) -> None:
        """See :meth:`WorkerControl.tell_relay`."""
        self._ask(TellRelay(standing))
