"""The ledger by itself: how fast it takes records, how fast it is verified, how long a start takes after a kill."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from audit.app import GC_OBJECTS
from audit.config import load
from audit.node import Node
from tests.bench import vaults
from tests.bench.fill import events, fill
from tests.bench.goals import AMOUNT
from tests.bench.measure import Process
from tests.demo.server import Failed

if TYPE_CHECKING:
    from tests.bench.measure import Results
    from tests.demo.server import Vault

#: Runs of :func:`append`, which share its records.
_RUNS: Final = 4
#: Threads that an append needs: what makes and encodes tails, committer, sealer, and what pre-writes segments.
_APPENDING: Final = ("MainThread", "committer", "sealer", "spare segments")


def append(home: Path, results: Results, *, count: int) -> Vault:
    """Append records in process, and wait until the last one is under a checkpoint; the vault of it.

    The processor time of an append is that of the threads it needs; settling comes later and is shown beside it.
    """
    vault = vaults.make(home)
    what, share = "ledger: append records of 400 bytes", count // _RUNS
    with Node.open(vault.data, load(None, {})) as node:
        make = events(node)
        fill(node, 10_000, make)
        gc.freeze()  # as the server does
        gc.set_threshold(GC_OBJECTS)
        for _ in range(_RUNS):
            before, started = _cpu_of_threads(), time.monotonic()
            fill(node, share, make)
            appended = time.monotonic() - started
            while node.status().sealed < node.status().durable:
                time.sleep(0.05)
            cpu = {name: (used - before[name]) * 1e6 / share for name, used in _cpu_of_threads().items()}
            needed = sum(cpu[name] for name in _APPENDING)
            results.add(
                what,
                {
                    "CPU µs a record": needed,
                    "records a second a core": 1e6 / needed,
                    "of it encode, submit": cpu["MainThread"],
                    "of it decide, chain, commit": cpu["committer"],
                    "of it tree, checkpoints": cpu["sealer"],
                    "CPU µs a record of settling": cpu["settler"],
                    "records a second, wall": share / appended,
                },
            )
        size = sum(len(data) for _, data in node.records(node.identity.stream, 1_000, 1_100)) / 100
    results.add(what, {"bytes of a record": size})
    return vault


def _cpu_of_threads() -> dict[str, float]:
    """Processor time of each thread of this process by its name, in seconds."""
    used: dict[str, float] = {}
    for thread in threading.enumerate():
        nanoseconds = Path(f"/proc/self/task/{thread.native_id}/schedstat").read_text().split()[0]
        used[thread.name] = used.get(thread.name, 0.0) + int(nanoseconds) / 1e9
    return used


def restart(home: Path, results: Results, *, count: int) -> Vault:
    """Kill a writer whose index was never synced, and see how long the next start takes until it answers.

    Raises:
        Failed: The writer died by itself, or had synced its index.
    """
    vault = vaults.make(home)
    writer: list[str | Path] = [sys.executable, "-m", "tests.bench.fill", vault.data, str(count)]
    with subprocess.Popen(writer, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = process.stdout.readline().split()
        process.kill()
    if told[:1] != ["filled"]:
        raise Failed("the writer died before it was killed")
    started = time.monotonic()
    with vault.serve() as server:
        took, cpu = time.monotonic() - started, Process(server.pid).cpu_seconds()
    past = int(told[1])
    figures = {AMOUNT: past, "s": took, "CPU s of it": cpu, "records replayed a second": past / took}
    results.add("start after kill -9", figures)
    return vault
