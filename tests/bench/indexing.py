"""The index at its real size: how long a HEAD takes to be decided among a million versions and ten, in what memory.

Measured is the decision, which looks for principal, bucket, key and version as the committer has it, and not the record
that follows: that costs the same whatever there is. Rows come from records by the ``apply`` that a start replays.

python -m tests.bench.indexing DIR COUNT   does it in a process of its own, and prints figures as JSON
"""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Final

import msgspec

from audit.app import GC_OBJECTS
from tests.bench.goals import AMOUNT, MEMORY
from tests.bench.measure import Process, most_anonymous
from tests.demo.server import Failed
from vault.policy import SYSTEM
from vault.record import (
    SUCCESS,
    VERSION,
    Actor,
    BucketConfig,
    Head,
    LockRef,
    ObjectRef,
    Origin,
    PrincipalRef,
    Storage,
    Tail,
    VersionRef,
)
from vault.state.apply import apply
from vault.state.decide import decide
from vault.state.rows import VersionRow, version_id
from vault.storage.index import SYNC_ROWS, Index, Sequenced
from vault.times import Now, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.bench.measure import Results

BUCKET: Final = "indexed"
#: Desks that store their papers side by side, each under keys in order.
_DESKS: Final = 50
#: Versions of each key.
_VERSIONS: Final = 2
#: Records handed over at once.
_HAND_OVER: Final = 512
#: Versions that are looked for; the first tenth warms up.
_LOOKS: Final = 20_000
_ROOT: Final = Actor("p0123456789abcdef", roles=("root",))
_ORIGIN: Final = Origin("s3", "0123456789ABCDEF", "127.0.0.1", "bench/1.0")
_MIB: Final = 1024 * 1024


def index(home: Path, results: Results, *, count: int) -> None:
    """Fill an index, and look for versions when a tenth of it is there, and when all is.

    Args:
        home: A new directory.
        results: Where figures go.
        count: Versions.
    """
    command: list[str | Path] = [sys.executable, "-m", "tests.bench.indexing", home, str(count)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    for line in done.stdout.splitlines():
        what, figures = msgspec.json.decode(line, type=tuple[str, dict[str, float]])
        results.add(what, figures)


def _measure(home: Path, count: int) -> Iterator[tuple[str, dict[str, float]]]:
    gc.freeze()  # as the server does
    gc.set_threshold(GC_OBJECTS)
    found, records = Index(home), enumerate(_records(count))
    yield f"index: filled to {count // 10:,} versions", _fill(found, records, count // 10)
    few = _look(found, count // 10)
    yield f"index: HEAD among {count // 10:,} versions", few
    yield "index: filled to the end", _fill(found, records, count - count // 10)
    many = _look(found, count)
    size = sum(path.stat().st_blocks * 512 for path in home.iterdir())
    ratio = {"p50 to that among a tenth": many["p50, µs"] / few["p50, µs"], "bytes on disk a version": size / count}
    yield "index: HEAD among all versions", many | ratio | {AMOUNT: float(count)}
    found.close()


def _fill(found: Index, records: Iterator[tuple[int, tuple[Head, Tail]]], count: int) -> dict[str, float]:
    """Apply so many more records, and have the file synced as a server has it."""
    process, state = Process(os.getpid()), Sequenced(found)
    cpu, started = time.process_time(), time.monotonic()
    with most_anonymous(process) as most:
        for seq, (head, tail) in islice(records, count):
            state.add(apply(head, tail, state))
            if seq % _HAND_OVER == 0:
                state.settle(seq + 1)
                if found.unsynced_rows >= SYNC_ROWS:
                    found.sync()
        state.settle(found.applied + 1)
        found.sync()
    took, used = time.monotonic() - started, time.process_time() - cpu
    return {
        "versions a second": count / took,
        "CPU µs a version": used * 1e6 / count,
        MEMORY: most[0] / _MIB,
        "load": os.getloadavg()[0],
    }


def _look(found: Index, count: int) -> dict[str, float]:
    """Decide HEAD of versions chosen by chance."""
    process, state, rng = Process(os.getpid()), Sequenced(found), random.Random(2)
    now, took = Now(time.time_ns(), time.time_ns()), []
    with most_anonymous(process) as most:
        for _ in range(_LOOKS):
            tail = Tail(
                op="object.head",
                actor=_ROOT,
                origin=_ORIGIN,
                object=ObjectRef(BUCKET, _key(rng.randrange(count // _VERSIONS - 2))),
            )
            cpu, started = time.thread_time_ns(), time.perf_counter_ns()
            decided = decide(tail, state, now)
            took.append((time.perf_counter_ns() - started, time.thread_time_ns() - cpu))
            if decided.error is not None or not isinstance(decided.row, VersionRow):
                raise Failed(f"a version is not found: {decided.error}")
    walls, cpus = zip(*took[_LOOKS // 10 :], strict=True)
    return {
        "p50, µs": median(walls) / 1e3,
        "p99, µs": quantiles(walls, n=100)[-1] / 1e3,
        "CPU µs, p50": median(cpus) / 1e3,
        MEMORY: most[0] / _MIB,
        "load": os.getloadavg()[0],
    }


def _records(count: int) -> Iterator[tuple[Head, Tail]]:
    """Heads and tails of a principal, a bucket, and the rest PUT under COMPLIANCE, two to each key."""
    added = PrincipalRef(_ROOT.id, _ROOT.id, "AKBENCH", _ROOT.roles)
    yield _head(0), Tail(op="principal.add", actor=Actor(SYSTEM), origin=_ORIGIN, principal=added)
    settings = BucketConfig(owner=_ROOT.id, lock=True, versioning="Enabled")
    yield _head(1), Tail(op="bucket.create", actor=_ROOT, origin=_ORIGIN, object=ObjectRef(BUCKET), bucket=settings)
    rng, lock = random.Random(1), LockRef("COMPLIANCE", "2099-01-01T00:00:00.000000000Z")
    for number in range(count - 2):
        manifest, content, root, salt = (rng.randbytes(size).hex() for size in (32, 32, 32, 16))
        storage = Storage(
            suite=1, kind="log", domain=salt[:16], salt=salt, sealed=84, chunk=131_072, length=1_040, root=root
        )
        ordinal = number % _VERSIONS + 1
        version = VersionRef(ordinal, version_id(ordinal, manifest), manifest)
        named = ObjectRef(BUCKET, _key(number // _VERSIONS), size=1024, content=content)
        tail = Tail(op="object.put", actor=_ROOT, origin=_ORIGIN, object=named, storage=storage)
        yield _head(number + 2, version, lock), tail


def _head(seq: int, version: VersionRef | None = None, lock: LockRef | None = None) -> Head:
    now = rfc3339(time.time_ns())
    return Head(
        v=VERSION, stream="a", seq=seq, prev="", time=now, clock=now, outcome=SUCCESS, version=version, lock=lock
    )  # fmt: skip


def _key(number: int) -> str:
    number, desk = divmod(number, _DESKS)
    return f"desk-{desk:02d}/{number:07d}.json"


def main() -> None:
    """Measure, and print."""
    for what in _measure(Path(sys.argv[1]), int(sys.argv[2])):
        sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
