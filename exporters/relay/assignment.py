"""Which partition of which topic a stream goes to: decided once, recorded in the ledger, and compared from then on.

A stream has a partition of its own. The first relay of a stream takes one that no cursor names, and writes a cursor
there; only then the ledger's record is made. Two relays that do so at once, of different vaults, exclude each other by
one transactional id that both take for the while.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from exporters.errors import CopyDisagrees, SessionOver, TopicRecreated, TopicUnfit
from exporters.relay.cursor import Cursor
from exporters.relay.disagreements import recreated
from exporters.relay.session import Session
from vault.record import RelayRef

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.config import Settings
    from audit.control.stream_messages import Assignment
    from audit.control.worker import WorkerClient
    from exporters.relay.position import Position
    from exporters.relay.topics import Look, Topics


class Place(NamedTuple):
    """Where a stream goes, as the ledger has it."""

    stream: str
    origin: str
    topic: str
    topic_id: str
    partition: int
    generation: int

    def cursor(self, next_seq: int, leaf: str, relay: str) -> Cursor:
        """The cursor of this place."""
        return Cursor(1, self.origin, self.topic_id, self.generation, self.partition, next_seq, leaf, relay)

    def said(self, first: int, cursor: int = -1, readable: int = -1) -> RelayRef:
        """What a record says of it."""
        return RelayRef(
            self.stream, self.topic, self.topic_id, self.partition, self.generation, first, cursor, readable
        )


class Assigner:
    """Finds or makes a stream's place.

    Args:
        settings: How Kafka is reached, and whether partitions may be made.
        topics: The topics, which are there.
        relay: This process's name in cursors.
        accept: Take a topic that was made anew, which is then written from the first record on.
        waits: See :class:`exporters.relay.session.Session`.
    """

    def __init__(
        self, settings: Settings, topics: Topics, relay: str, waits: Callable[[str], None], *, accept: bool
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._relay = relay
        self._waits = waits
        self._accept = accept

    def place(self, server: WorkerClient, assigned: Assignment, look: Look, position: Position) -> Place:
        """The place of a stream.

        Raises:
            TopicRecreated: The topic is not the one that the ledger names.
            TopicUnfit: There is no partition for it.
            CopyDisagrees: Another vault's stream of this name is there.
            BrokerUnavailable: No broker answers.
            BrokerRefused: They do not let us.
        """
        name = self._topics.names.records
        known = Place(
            assigned.stream, assigned.origin, assigned.topic, assigned.topic_id, assigned.partition, assigned.generation
        )
        if known.generation and (known.topic, known.topic_id) == (name, look.topic_id):
            return known
        if known.generation and not self._accept:
            raise TopicRecreated(recreated(assigned, name, look.topic_id))
        made = self._claim(known._replace(topic=name, topic_id=look.topic_id), look, position)
        server.assign_stream(made.said(0))
        return made

    def _claim(self, wanted: Place, look: Look, position: Position) -> Place:
        """A partition with a cursor of this stream in it."""
        names, section = self._topics.names, self._settings.kafka
        session = Session(section, names, f"strongroom-assign/{names.records}", look.message_bytes, self._waits)
        try:
            session.begin()
            cursors = {
                stream: cursor
                for stream, cursor in position.cursors(names.cursors).items()
                if cursor.topic == look.topic_id
            }
            mine = cursors.get(wanted.stream)
            if mine is not None and mine.origin != wanted.origin:
                raise CopyDisagrees(
                    f"{names.records} has stream {wanted.stream} of another vault ({mine.origin}): make this one with "
                    "another site or node, or set relay.topics"
                )
            if mine is not None:  # claimed by an attempt whose record was not made
                return wanted._replace(partition=mine.partition, generation=wanted.generation + 1)
            taken = {cursor.partition for cursor in cursors.values()}
            partition = next(number for number in count() if number not in taken)
            if partition >= look.partitions:
                if not self._settings.relay.create_topics:
                    raise TopicUnfit(
                        f"{names.records} has {look.partitions} partitions, and each has its stream: give it more"
                    )
                self._topics.grow(partition + 1)
            made = wanted._replace(partition=partition, generation=wanted.generation + 1)
            session.send(made.stream, partition, (), made.cursor(0, "", self._relay).encode())
        except SessionOver as error:
            raise SessionOver(f"another relay is being assigned a partition: {error}") from error
        else:
            return made
        finally:
            session.close()
