from __future__ import annotations

import asyncio
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from vault.errors import OutcomeUnknown, S3Error, Unavailable, VaultError
from vault.ports import Committed, Intent
from vault.record import Actor, Head, Origin, Tail, encode_tail
from vault.service.commit import Commits, reference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vault.ports import Done

TAIL = Tail(op="bucket.list", actor=Actor("ada"), origin=Origin("s3"))
INTENT = Intent(TAIL, encode_tail(TAIL))


def committed(seq: int, error: S3Error | None = None, release: Callable[[], None] = lambda: None) -> Committed:
    head = Head(v=1, stream="s", seq=seq, prev="", time="", clock="", outcome="success")
    return Committed(head, bytes((seq % 256,)) * 32, seq, error=error, release=release)


class Queue:
    """A journal that answers when it is told to, from another thread."""

    max_payload = 1 << 20

    def __init__(self) -> None:
        self.waiting: list[Done] = []
        self.submits = 0

    def submit(self, intents: Sequence[Intent], done: Sequence[Done]) -> None:
        self.submits += 1
        self.waiting.extend(done)

    def answer(self, *outcomes: Committed | VaultError) -> None:
        """Answer the first of those that wait, all at once."""
        waiting, self.waiting = self.waiting[: len(outcomes)], self.waiting[len(outcomes) :]
        thread = Thread(target=lambda: [done(outcome) for done, outcome in zip(waiting, outcomes, strict=True)])
        thread.start()
        thread.join()


def test_a_batch_of_answers_wakes_the_loop_once() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        woken = []
        real = loop.call_soon_threadsafe

        def count(*args: object) -> asyncio.Handle:
            woken.append(args)
            return real(*args)  # type: ignore[arg-type]

        loop.call_soon_threadsafe = count  # type: ignore[method-assign, assignment]
        journal = Queue()
        commits = Commits(journal, loop)
        tasks = [asyncio.create_task(commits.commit(INTENT)) for _ in range(100)]
        await asyncio.sleep(0)
        journal.answer(*(committed(seq) for seq in range(60)))
        assert len(woken) == 1
        await asyncio.gather(*tasks[:60])
        journal.answer(*(committed(seq) for seq in range(60, 100)))
        assert [task.head.seq for task in await asyncio.gather(*tasks)] == list(range(100))
        assert len(woken) == 2

    asyncio.run(main())


def test_a_refusal_names_its_record() -> None:
    async def main() -> None:
        journal = Queue()
        commits = Commits(journal, asyncio.get_running_loop())
        task = asyncio.create_task(commits.commit(INTENT))
        await asyncio.sleep(0)
        answer = committed(7, S3Error("AccessDenied"))
        journal.answer(answer)
        with pytest.raises(S3Error) as caught:
            await task
        assert caught.value.record == reference(answer) == "s/7/" + "07" * 32

    asyncio.run(main())


@pytest.mark.parametrize("failure", [Unavailable("full"), OutcomeUnknown("torn")])
def test_an_operation_that_was_not_recorded_raises_why(failure: VaultError) -> None:
    async def main() -> None:
        journal = Queue()
        commits = Commits(journal, asyncio.get_running_loop())
        task = asyncio.create_task(commits.commit(INTENT))
        await asyncio.sleep(0)
        journal.answer(failure)
        with pytest.raises(type(failure)):
            await task

    asyncio.run(main())


def test_several_go_in_one_submission_and_come_back_in_order() -> None:
    async def main() -> None:
        journal = Queue()
        commits = Commits(journal, asyncio.get_running_loop())
        task = asyncio.create_task(commits.commit_all([INTENT] * 3))
        await asyncio.sleep(0)
        assert journal.submits == 1
        lost = Unavailable("full")
        journal.answer(committed(0), lost, committed(1, S3Error("AccessDenied")))
        first, second, third = await task
        assert isinstance(first, Committed)
        assert isinstance(third, Committed)
        assert (first.head.seq, second, third.head.seq) == (0, lost, 1)
        assert third.error is not None
        assert third.error.record == reference(third)

    asyncio.run(main())


@pytest.mark.parametrize("before", [True, False], ids=["before the answer", "after it, before it was taken"])
def test_a_caller_that_went_away_gives_its_lease_back(*, before: bool) -> None:
    released = []

    async def main() -> None:
        journal = Queue()
        commits = Commits(journal, asyncio.get_running_loop())
        one = asyncio.create_task(commits.commit(INTENT))
        many = asyncio.create_task(commits.commit_all([INTENT] * 2))
        await asyncio.sleep(0)
        answers = [committed(seq, release=lambda seq=seq: released.append(seq)) for seq in range(3)]  # type: ignore[misc]
        if before:
            one.cancel()
            many.cancel()
            await asyncio.wait([one, many])
            journal.answer(*answers)
        else:
            journal.answer(*answers)
            commits._deliver()
            one.cancel()
            many.cancel()
        await asyncio.wait([one, many])
        await asyncio.sleep(0)
        assert one.cancelled()
        assert many.cancelled()

    asyncio.run(main())
    assert sorted(released) == [0, 1, 2]
