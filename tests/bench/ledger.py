"""The ledger by itself: how fast it takes records, how fast it is verified, how long a start takes after a kill."""

from __future__ import annotations

import resource
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

import msgspec

from audit.config import load
from audit.node import Node
from tests.bench import vaults
from tests.bench.fill import events, fill
from tests.demo.server import Failed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.measure import Results
    from tests.demo.server import Vault

#: Records of one append run.
APPENDED: Final = 200_000


def append(home: Path, results: Results, *, repeats: int, count: int = APPENDED) -> Vault:
    """Append records in process, and wait until the last one is under a checkpoint; the vault of it."""
    vault = vaults.make(home)
    what = f"ledger: append records of 400 bytes, {count:,} at a time"
    with Node.open(vault.data, load(None, {})) as node:
        make = events(node)
        for _ in range(repeats):
            cpu, started = time.process_time(), time.monotonic()
            fill(node, count, make)
            appended = time.monotonic() - started
            while node.status().sealed < node.status().durable:
                time.sleep(0.01)
            sealed = time.monotonic() - started
            results.add(
                what,
                {
                    "records a second": count / appended,
                    "records a second until sealed": count / sealed,
                    "CPU µs a record, all in": (time.process_time() - cpu) * 1e6 / count,
                },
            )
        size = sum(len(data) for _, data in node.records(node.identity.stream, 1_000, 1_100)) / 100
    results.add(what, {"bytes of a record": size})
    return vault


def verify(vault: Vault, results: Results, *, repeats: int) -> None:
    """Verify a data directory, every byte of it, and the log exported from it, records and hashes alone."""
    stream = vault.run("log", "list", "--data", vault.data).split("\t")[0]
    exported = vault.home / "exported"
    vault.run("log", "export", stream, exported, "--data", vault.data)
    for _ in range(repeats):
        for what, target in (("the exported log", exported), ("the data directory", vault.data)):
            before, started = _children_cpu(), time.monotonic()
            size = msgspec.json.decode(vault.run("verify", target, "--json"))["size"]
            took = time.monotonic() - started
            results.add(
                f"verify: {what}, {size:,} records",
                {"records a second": size / took, "CPU µs a record": (_children_cpu() - before) * 1e6 / size},
            )


def restart(home: Path, results: Results, *, count: int) -> None:
    """Kill a writer, and see how long the next start takes: first with its index, then without any."""
    vault = vaults.make(home)
    writer: list[str | Path] = [sys.executable, "-m", "tests.bench.fill", vault.data, str(count)]
    with subprocess.Popen(writer, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = process.stdout.readline()
        process.kill()
    if told != "filled\n":
        raise Failed("the writer died before it was killed")
    what = f"start after kill -9, {count:,} objects stored"
    results.add(what, {"with the index as it was, s": _start(vault)})
    shutil.rmtree(vault.data / "views" / "index")
    took = _start(vault)
    results.add(what, {"index lost, all replayed, s": took, "records replayed a second": count / took})


def _start(vault: Vault) -> float:
    """Seconds from starting the server until it answers."""
    started = time.monotonic()
    with vault.serve():
        return time.monotonic() - started


def _children_cpu() -> float:
    """Processor time of all processes that we started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
