"""The relay's loop: one session after another until it is told to stop; whatever ends one, the next looks anew.

    server there? → topics → place in the ledger → fence others → what does Kafka hold? → claim → record after record

A vault's streams that were taken over come first, to their end; then the one that is written.
"""

from __future__ import annotations

import secrets
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Final

from audit.control.worker import WorkerClient
from audit.errors import AuditError, ControlFailed
from audit.identity import Layout, load_identity
from exporters.errors import RelayFenced, SessionOver
from exporters.relay.account import Account
from exporters.relay.ahead import Ahead
from exporters.relay.assignment import Assigner
from exporters.relay.copying import Copying
from exporters.relay.position import Position
from exporters.relay.session import Session
from exporters.relay.topics import Topics
from vault.errors import S3Error

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from threading import Event

    from audit.config import Settings
    from audit.control.stream_messages import Assignment
    from exporters.relay.topics import Look

#: Seconds before another try: the first, and the longest.
AGAIN_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 15.0
#: Seconds within which a relay that fenced this one claims the stream.
CLAIM_SECONDS: Final = 10.0
#: Seconds that a commit gets to end after the relay was told to stop.
STOP_SECONDS: Final = 5.0


class Stopped(Exception):
    """Told to stop, and Kafka did not end a commit in time: the next relay finds out what became of it."""


class Relay:
    """The relay of one vault.

    Args:
        root: The data directory, whose server may or may not run.
        settings: Configuration; ``kafka.bootstrap`` is set.
        stop: Set to have it end.
        accept_topic: Take a topic that was made anew.

    Raises:
        NotInitialised: There is no vault.
    """

    def __init__(self, root: Path, settings: Settings, stop: Event, *, accept_topic: bool = False) -> None:
        layout = Layout(root)
        self._socket = layout.socket
        self._account = Account(layout.socket, load_identity(layout).stream)
        self._settings = settings
        self._stop = stop
        self._accept = accept_topic
        self._name = secrets.token_hex(8)
        self._stopping = 0.0

    def run(self) -> None:
        """Relay until told to stop.

        Raises:
            AuditError: A fatal one: somebody has to look before it can go on.
        """
        wait = AGAIN_SECONDS
        with closing(self._account):
            while not self._stop.is_set():
                began = time.monotonic()
                try:
                    self._round()
                except Stopped:
                    return
                except (AuditError, S3Error) as error:
                    self._account.trouble(str(error))
                    if isinstance(error, AuditError) and error.fatal:
                        raise
                    lasted = time.monotonic() - began > LONGEST_SECONDS
                    wait = AGAIN_SECONDS if lasted else min(2 * wait, LONGEST_SECONDS)
                    self._stop.wait(wait)

    def _round(self) -> None:
        """All streams, the last one until something ends it."""
        with ExitStack() as stack:
            server = WorkerClient.connect(self._socket)
            if server is None:
                raise ControlFailed("no server has the vault open: waiting for one")
            stack.enter_context(server)
            position = stack.enter_context(Position(self._settings.kafka))
            position.reach()
            topics = stack.enter_context(closing(Topics(self._settings)))
            look = topics.ensure()
            *closed, current = server.assignments()
            cursors = position.cursors(topics.names.cursors) if closed else {}
            for assigned in closed:
                cursor = cursors.get(assigned.stream)
                done = cursor.next if cursor is not None and cursor.topic == look.topic_id else 0
                if not done or server.follow(assigned.stream, done, 0)[0].end > done:
                    self._copy(server, topics, position, look, assigned)
            self._copy(server, topics, position, look, current)

    def _copy(self, server: WorkerClient, topics: Topics, position: Position, look: Look, assigned: Assignment) -> None:
        """One stream: to its end where it was taken over, else until something ends it."""
        stream, waits = assigned.stream, self._waits(assigned.stream)
        self._account.begin(stream)
        assigner = Assigner(self._settings, topics, self._name, waits, accept=self._accept)
        place = assigner.place(server, assigned, look, position)
        identity = f"strongroom-relay/{place.origin}"
        with closing(Session(self._settings.kafka, topics.names, identity, look.message_bytes, waits)) as session:
            session.begin()
            copying = Copying(place, topics, session, self._account, self._name)
            try:
                before = copying.resume(server, position)
                self._account.warn(stream, look.warnings)
                self._account.well(stream, copying.done, now=True)
                with closing(Ahead(self._socket, stream, copying.done, before)) as ahead:
                    copying.carry(ahead, self._stop)
            except SessionOver as error:
                self._account.count(stream, aborted=1)
                if error.fenced:
                    self._require_alone(position, topics, stream)
                raise

    def _require_alone(self, position: Position, topics: Topics, stream: str) -> None:
        """Whether a producer was fenced by another relay, or by a broker that gave up on a transaction.

        Another relay fences first and claims the stream a little later, once it knows where it goes on. To begin anew
        between the two would fence it in turn, and so on.

        Raises:
            RelayFenced: By another relay.
        """
        until = time.monotonic() + CLAIM_SECONDS
        while time.monotonic() < until and not self._stop.wait(0.5):
            cursor = position.cursors(topics.names.cursors).get(stream)
            if cursor is not None and cursor.relay != self._name:
                raise RelayFenced(f"another relay of {stream} began ({cursor.relay}), so this one ends: one at a time")

    def _waits(self, stream: str) -> Callable[[str], None]:
        """What a session tells why a commit takes long."""

        def waits(why: str) -> None:
            if self._stop.is_set():
                self._stopping = self._stopping or time.monotonic()
                if time.monotonic() - self._stopping > STOP_SECONDS:
                    raise Stopped
            self._account.trouble(why, stream)

        return waits
