"""What ``strongroom doctor`` says of the copies in Kafka: what is there of each stream, what waits, and what to do.

Looked at from where it is asked, with the relay's own eyes (``position``, ``topics``), beside a relay that goes on or
without one. Writes nothing to Kafka.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from audit.chain import seq_of
from audit.doctor import ADVICE, PROBLEM, Finding
from audit.examiners import Examined
from exporters.errors import BrokerRefused, BrokerUnavailable, TopicUnfit
from exporters.relay.connection import silence
from exporters.relay.disagreements import recreated
from exporters.relay.judging import Seen, judge, shown
from exporters.relay.position import Position
from exporters.relay.topics import Topics

if TYPE_CHECKING:
    from audit.config import Settings
    from audit.control import Control
    from audit.control.stream_messages import Assignment
    from exporters.relay.topics import Names


def examine_copies(control: Control, settings: Settings) -> Examined:
    """Look at the copies of all streams.

    Args:
        control: The vault.
        settings: How Kafka is reached, and how long topics keep records.

    Raises:
        ConfigInvalid: The settings cannot be used.
    """
    found = Examined([], [])
    try:
        seen, warnings, problems = _look(control.assignments(), settings)
    except (BrokerUnavailable, BrokerRefused, TopicUnfit) as error:
        where = f"kafka.bootstrap = {settings.kafka.bootstrap}"
        cure = "records wait in the ledger until that is mended, and the relay then goes on by itself"
        found.findings.append(Finding(ADVICE, f"asked from here: {error} ({where}): {cure}"))
        return found
    found.findings.extend(Finding(PROBLEM, text) for text in problems)
    found.findings.extend(Finding(ADVICE, f"relay: {text}") for text in warnings)
    for stream in control.assignments():  # after Kafka was asked: what is there was durable
        if stream.stream in seen:
            found.shown.append(shown(stream, seen[stream.stream]))
            found.findings.extend(judge(control, settings, stream, seen[stream.stream]))
        elif not stream.generation:
            text = f"no record of {stream.stream} was copied to Kafka yet: the relay does that while a server runs"
            found.findings.append(Finding(ADVICE, f"{text}; where it does not, the server's log says why"))
    return found


def _look(streams: list[Assignment], settings: Settings) -> tuple[dict[str, Seen], tuple[str, ...], list[str]]:
    """What is there of each stream, what is to be said of the topics, and which of them are not what they were."""
    silence()
    with Position(settings.kafka, whole=False) as position:
        position.reach()
        with closing(Topics(settings)) as topics:
            look, names = topics.look(), topics.names
        seen, problems = _seen(position, streams, look.topic_id, names)
    return seen, look.warnings, problems


def _seen(
    position: Position, streams: list[Assignment], topic_id: str, names: Names
) -> tuple[dict[str, Seen], list[str]]:
    cursors = position.cursors(names.cursors)
    seen, problems = {}, []
    for stream in streams:
        if not stream.generation:
            continue
        if (stream.topic, stream.topic_id) != (names.records, topic_id):
            problems.append(recreated(stream, names.records, topic_id))
            continue
        first = position.first(names.records, stream.partition, stream.stream)
        held = position.held(names.records, stream.partition, stream.stream)
        cursor = cursors.get(stream.stream)
        said = cursor.next if cursor is not None and cursor.topic == topic_id else -1
        seen[stream.stream] = Seen(held, seq_of(first) if first is not None else -1, said)
    return seen, problems
