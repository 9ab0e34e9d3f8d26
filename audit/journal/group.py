"""A group being gathered: everything that becomes true at once, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vault.record import DENIED, FAILURE, SUCCESS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vault.errors import S3Error, VaultError
    from vault.ports import Committed, Done
    from vault.record import ClockState

_NO_BODY: Final = ()


def outcome_of(error: S3Error | None) -> str:
    """What the record of an operation says of its outcome."""
    return SUCCESS if error is None else DENIED if error.denied else FAILURE


class Group:
    """Everything that becomes true at once, or not at all; the committer's own.

    Args:
        seq: Seq of the first record.
        prev: Leaf hash of the record before it.
        waiting: Who is told, in the order of the operations.

    Attributes:
        seq: Of the record that would come next.
        prev: Leaf hash of the last record.
        waiting: Who was not told yet, by the operation's number in the group.
        committed: What becomes true, by that number.
        records: Exact bytes and body pieces of each record.
        leaves: Their leaf hashes.
        clock_state: The clock's account, where a record of the group holds one.
        begun: The write has begun: from here on the outcome is unknown until it is done.
    """

    __slots__ = ("_refusals", "begun", "clock_state", "committed", "leaves", "prev", "records", "seq", "waiting")

    def __init__(self, seq: int, prev: bytes, waiting: list[Done]) -> None:
        self.seq = seq
        self.prev = prev
        self.waiting: dict[int, Done] = dict(enumerate(waiting))
        self.committed: dict[int, Committed] = {}
        self.records: list[tuple[bytes, Sequence[bytes]]] = []
        self.leaves: list[bytes] = []
        self.clock_state: ClockState | None = None
        self.begun = False
        self._refusals: list[S3Error] = []

    def add(self, record: bytes, body: Sequence[bytes], leaf: bytes, error: S3Error | None = None) -> None:
        """Add a record with its body, which one that tells of a refusal does not keep."""
        if error is not None:
            self._refusals.append(error)
            body = _NO_BODY
        self.records.append((record, body))
        self.leaves.append(leaf)
        self.seq += 1
        self.prev = leaf

    def extend(self, records: Sequence[bytes], leaves: Sequence[bytes]) -> None:
        """Add records without bodies; at least one."""
        self.records += [(record, _NO_BODY) for record in records]
        self.leaves += leaves
        self.seq += len(records)
        self.prev = leaves[-1]

    def answer(self, number: int, outcome: Committed | VaultError) -> None:
        """Tell whoever sent operation ``number`` what became of it."""
        self.waiting.pop(number)(outcome)

    def count_refusals(self, counts: dict[str, int]) -> None:
        """Count its records that tell of a refusal, by outcome and reason with a colon between them."""
        for error in self._refusals:
            counts[f"{outcome_of(error)}:{error.reason}"] += 1

    def unanswered(self) -> list[tuple[Done, Committed | None]]:
        """Who is still to be told, and of what."""
        return [(done, self.committed.get(number)) for number, done in self.waiting.items()]
