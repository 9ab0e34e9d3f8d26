"""From asyncio to the journal and back: futures, with one wake-up of the loop for each batch of answers.

The committer answers operations one by one in its own thread. Waking an event loop costs a system call, so answers are
collected and the loop is woken only where it is not awake already: one wake-up for each group, however large.

An operation that was submitted is decided whether or not its caller still waits; a caller that went away before its
answer came gives back the lease it would have got.

Not handled here: what is submitted (``vault.service.core``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from vault.errors import Unavailable, VaultError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vault.ports import Committed, Intent, Journal

    Outcome = Committed | VaultError
    Waiting = asyncio.Future[Outcome]


def reference(committed: Committed) -> str:
    """How clients name a record: ``stream/seq/leaf``, leaf in hex."""
    return f"{committed.head.stream}/{committed.head.seq}/{committed.leaf.hex()}"


class Commits:
    """The journal as one event loop sees it.

    Args:
        journal: The point of order. It has answered everything before the loop is closed (:meth:`drained`).
        loop: The only loop that calls :meth:`commit`.
    """

    def __init__(self, journal: Journal, loop: asyncio.AbstractEventLoop) -> None:
        self._journal = journal
        self._loop = loop
        self._answers: deque[tuple[Waiting, Outcome]] = deque()
        self._woken = False
        self._owed = 0
        self._nothing_owed = asyncio.Event()
        self._nothing_owed.set()

    @property
    def max_payload(self) -> int:
        """See :attr:`vault.ports.Journal.max_payload`."""
        return self._journal.max_payload

    async def commit(self, intent: Intent) -> Committed:
        """Have one operation decided and recorded.

        Returns:
            Its durable record. The caller ends the lease (``release``).

        Raises:
            S3Error: Refused, and recorded durably: ``record`` names the record.
            Unavailable: Nothing was written.
            OutcomeUnknown: The write had begun; the ledger decides at restart.
        """
        (outcome,) = await self._submit((intent,))
        if isinstance(outcome, VaultError):
            raise outcome
        if outcome.error is not None:
            outcome.error.record = reference(outcome)
            raise outcome.error
        return outcome

    async def commit_all(self, intents: Sequence[Intent]) -> list[Committed | Unavailable]:
        """Have several operations decided in this order, in one go.

        Returns:
            For each its durable record, a refusal standing in ``error``; or that it was not written.

        Raises:
            OutcomeUnknown: At least one write had begun; the ledger decides at restart.
        """
        outcomes: list[Committed | Unavailable] = []
        for outcome in await self._submit(intents):
            if isinstance(outcome, Unavailable):
                outcomes.append(outcome)
                continue
            if isinstance(outcome, VaultError):
                raise outcome
            if outcome.error is not None:
                outcome.error.record = reference(outcome)
            outcomes.append(outcome)
        return outcomes

    async def drained(self) -> None:
        """Wait until everything submitted was answered, also to callers that went away; before the loop is closed."""
        await self._nothing_owed.wait()

    async def _submit(self, intents: Sequence[Intent]) -> list[Outcome]:
        futures: list[Waiting] = [self._loop.create_future() for _ in intents]
        self._journal.submit(intents, [partial(self._answer, future) for future in futures])
        self._owed += len(futures)
        if futures:
            self._nothing_owed.clear()
        try:
            return [await future for future in futures]
        except asyncio.CancelledError:
            for future in futures:
                if not future.cancel() and not future.cancelled():
                    _give_up(future.result())
            raise

    def _answer(self, future: Waiting, outcome: Outcome) -> None:
        """Take an answer, in the committer's thread."""
        self._answers.append((future, outcome))
        # Set before it is tested: `_deliver` clears the flag before it takes answers, so none is left behind.
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._woken = False
        answers = self._answers
        while answers:
            future, outcome = answers.popleft()
            self._owed -= 1
            if future.cancelled():
                _give_up(outcome)
            else:
                future.set_result(outcome)
        if not self._owed:
            self._nothing_owed.set()


def _give_up(outcome: Outcome) -> None:
    if not isinstance(outcome, VaultError):
        outcome.release()
