"""Work spread over all cores, results in order, and an end to it whatever happens.

A worker that dies or stalls ends the verification with "could not check"; it never
waits for ever. Workers are spawned, not forked, so nothing depends on what the
caller's process holds.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from collections import deque
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from multiprocessing import active_children, get_context, parent_process
from typing import TYPE_CHECKING, Final, TypeVar

from audit.verify import pace
from audit.verify.report import Unchecked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

#: Seconds that one task may take: many times what the slowest disk needs for its few megabytes.
STALL_SECONDS: Final = 900
_REAP_SECONDS: Final = 5  # for the kernel to end a killed worker
_TURN_SECONDS: Final = 0.0005
_AHEAD: Final = 3  # tasks queued for each worker

T = TypeVar("T")
R = TypeVar("R")


def cores() -> int:
    """Processors that this process may use; one where it keeps to a pace."""
    if pace.kept() is not None:
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_order(function: Callable[[T], R], tasks: Iterable[T], jobs: int) -> Iterator[R]:
    """Apply a function to each task, in worker processes, and yield the results in order.

    Args:
        function: Importable by name.
        tasks: Picklable; taken as they are needed.
        jobs: Worker processes; 1 means this process itself.

    Yields:
        Results, in the order of the tasks. Closing the iterator ends the workers.

    Raises:
        Unchecked: A worker died or stalled.
    """
    if jobs <= 1:
        yield from map(function, tasks)
        return
    others = set(active_children())
    interval = sys.getswitchinterval()
    # Results arrive in a thread, a pipe's buffer at a time, and for each it must wait its turn behind this one.
    sys.setswitchinterval(_TURN_SECONDS)
    pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_prepare)
    waiting: deque[Future[R]] = deque()
    done = False
    try:
        for task in tasks:
            waiting.append(pool.submit(function, task))
            if len(waiting) >= _AHEAD * jobs:
                yield waiting.popleft().result(STALL_SECONDS)
        while waiting:
            yield waiting.popleft().result(STALL_SECONDS)
        done = True
    except BrokenExecutor as error:
        raise Unchecked("a worker process died, perhaps for want of memory") from error
    except TimeoutError as error:
        raise Unchecked(f"a worker process did nothing for {STALL_SECONDS} s") from error
    finally:
        if not done:
            for child in set(active_children()) - others:
                child.kill()
                child.join(_REAP_SECONDS)
        pool.shutdown(wait=done, cancel_futures=True)
        sys.setswitchinterval(interval)


def _prepare() -> None:
    """Leave Ctrl-C to the parent, and end with it however it ends."""
    gc.disable()  # see command.main
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def follow() -> None:
        if parent is not None:
            parent.join()
            os._exit(2)

    threading.Thread(target=follow, daemon=True).start()
