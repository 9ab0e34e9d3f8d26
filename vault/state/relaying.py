"""What the ledger tells of copies in Kafka: which partition of which topic each stream goes to (DESIGN §8).

Kafka cannot vouch for its own identity: a topic that was deleted and made again has the same name. So the first record
of an assignment names the topic's id, and every later look compares.

Pure. Not handled here: the relay (``exporters.relay``), and how far it is, which Kafka itself knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault.errors import S3Error
from vault.state import rows
from vault.state.decision import Decision
from vault.state.other_rows import RelayRow

if TYPE_CHECKING:
    from vault.ports import State
    from vault.record import Head, Tail
    from vault.state.decision import Case


def assign(case: Case) -> Decision:
    """An assignment: each of a stream has a generation higher than the one before, so that nobody makes one unaware."""
    said = case.tail.relay
    if said is None or not (said.stream and said.topic and said.topic_id) or said.partition < 0:
        raise S3Error("InvalidRequest")
    row = found(case.state, said.stream)
    if said.generation != (row.generation if row is not None else 0) + 1:
        raise S3Error("OperationAborted", "Somebody else assigned this stream meanwhile: look again.")
    return Decision()


def rewind(case: Case) -> Decision:
    """A disagreement between a topic and the relay's cursor in it; it says of which stream."""
    if case.tail.relay is None or not case.tail.relay.stream:
        raise S3Error("InvalidRequest")
    return Decision()


def found(state: State, stream: str) -> RelayRow | None:
    """A stream's assignment; None where there is none."""
    row = state.get(rows.relay_key(stream))
    return row if isinstance(row, RelayRow) else None


def assigned(head: Head, tail: Tail, _: State) -> list[tuple[bytes, rows.Row | None]]:
    """What the row is after a ``relay.assign`` record."""
    said = tail.relay
    if said is None:
        return []
    row = RelayRow(said.stream, said.topic, said.topic_id, said.partition, said.generation, head.seq)
    return [(rows.relay_key(said.stream), row)]
