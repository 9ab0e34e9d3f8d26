"""Objects over S3: small ones at several loads, and large ones with the memory that they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.bench.goals import AMOUNT
from tests.bench.measure import Process

if TYPE_CHECKING:
    from tests.bench.disk import Disk
    from tests.bench.load import Load, Run, Target
    from tests.bench.measure import Results

CONNECTIONS: Final = (8, 32)
SMALL: Final = 1024
LARGE: Final = 64 * 1024 * 1024
_MIB: Final = 1024 * 1024
#: Keys that are read in turn.
_KEYS: Final = 2_000
#: Pieces into which a run with one connection is cut: the disk alone is measured between them.
_PIECES: Final = 4


def small(load: Load, target: Target, results: Results, disk: Disk, *, turn: int, seconds: float) -> None:
    """One run each of PUT and GET of 1 KiB. Loads take turns, so that whatever else the machine does meets them all."""
    if turn == 0:  # also warms up
        load.run(target, "put", conns=8, count=_KEYS, size=SMALL, prefix="read/")
    for piece in range(_PIECES):
        before = disk.sync_ms()
        run = load.run(target, "put", conns=1, seconds=seconds / _PIECES, size=SMALL, prefix=f"small-{turn}-1-{piece}/")
        sync = (before + disk.sync_ms()) / 2
        alone = {"p50 of one fdatasync, ms": sync, "p50 beyond it, ms": run.p50_ms - sync}
        results.add(f"{target.name}: PUT 1 KiB under COMPLIANCE, 1 at a time", _rates(run) | alone)
    for conns in CONNECTIONS:
        run = load.run(target, "put", conns=conns, seconds=seconds, size=SMALL, prefix=f"small-{turn}-{conns}/")
        results.add(f"{target.name}: PUT 1 KiB under COMPLIANCE, {conns} at a time", _rates(run))
    run = load.run(target, "get", conns=32, seconds=seconds, prefix="read/", keys=_KEYS)
    results.add(f"{target.name}: GET 1 KiB, 32 at a time", _rates(run))


def _rates(run: Run) -> dict[str, float]:
    return {
        "operations a second": run.per_second,
        "server CPU µs an operation": run.server_cpu_us_op,
        "p50 ms": run.p50_ms,
        "p99 ms": run.p99_ms,
        "client CPU µs an operation": run.client_cpu_us_op,
    }


def large(load: Load, target: Target, results: Results, *, turn: int, count: int) -> None:
    """One run each of PUT and GET of 64 MiB, one at a time, and what memory that takes."""
    process = Process(target.pid)
    for op in ("put", "get"):
        before = process.resident_bytes()
        process.forget_peak()
        run = load.run(target, op, size=LARGE, count=count, keys=count, prefix=f"large-{turn}/")
        results.add(
            f"{target.name}: {op.upper()} 64 MiB, one at a time",
            {
                AMOUNT: count * LARGE / (1024 * _MIB),
                "10⁶ bytes a second": run.mb_per_second,
                "server CPU ms a MiB": run.server_cpu_us_op / 1000 / (LARGE / _MIB),
                "most memory beyond before, MiB": (process.peak_bytes() - before) / _MIB,
                "memory kept beyond before, MiB": (process.resident_bytes() - before) / _MIB,
            },
        )
