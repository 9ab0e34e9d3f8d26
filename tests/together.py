"""Many things at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_PATIENCE: Final = 60
T = TypeVar("T")


def together(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """Run all at the same time, each in a thread of its own, and return what they returned."""
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], T]) -> T:
        barrier.wait(_PATIENCE / 2)
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [answer.result(_PATIENCE) for answer in [pool.submit(run, job) for job in jobs]]
