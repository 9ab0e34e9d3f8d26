"""What is said where Kafka and the ledger disagree, which stops the relay: by it and by ``strongroom doctor``. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit.control.stream_messages import Assignment


def recreated(assigned: Assignment, name: str, topic_id: str) -> str:
    """What to say where a stream's topic is not the one that it was."""
    return (
        f"stream {assigned.stream} goes to topic {assigned.topic} with id {assigned.topic_id}, and {name} has id "
        f"{topic_id}: somebody deleted the one it was, or named another. To have this one written from the first "
        "record on: strongroom run relay --accept-topic"
    )


def no_record(stream: str, where: str) -> str:
    """What to say where the last message of a stream is no record."""
    return f"what stands last of {stream} in {where} is no record: others write there"


def not_the_ledgers(stream: str, seq: int, where: str) -> str:
    """What to say where the last record in Kafka is another one than the ledger's."""
    return (
        f"record {seq} of {stream} in {where} is not the ledger's: another vault, or somebody else, writes there; "
        "`strongroom verify --kafka` says where they part"
    )


def ahead_of_ledger(stream: str, copied: int, held: int) -> str:
    """What to say where Kafka has more records than the ledger."""
    return (
        f"Kafka has {copied} records of {stream}, and the ledger {held}: the data directory is older than what was "
        "published. Restore the newest one, or open a new stream with `strongroom recover`"
    )
