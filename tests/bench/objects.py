"""Objects over S3: small ones at several loads, large ones, and small ones until settling has paid its way."""

from __future__ import annotations

import time
import urllib.request
from typing import TYPE_CHECKING, Final

import msgspec

from tests.bench import vaults
from tests.bench.measure import Process

if TYPE_CHECKING:
    from tests.bench.load import Load, Run, Target
    from tests.bench.measure import Results
    from tests.demo.server import Server, Vault

CONNECTIONS: Final = (1, 8, 32)
SMALL: Final = 1024
LARGE: Final = 64 * 1024 * 1024
#: Length of the commit log's segments in :func:`sustained`, in MiB; the default is 32, of which few would be settled.
SEGMENT_MIB: Final = 8
_MIB: Final = 1024 * 1024
#: Keys that are read in turn.
_KEYS: Final = 2_000
#: How long settling may take after the load has ended, in seconds.
_DRAIN_S: Final = 120


def small(load: Load, target: Target, results: Results, *, turn: int, seconds: float) -> None:
    """One run each of PUT and GET of 1 KiB. Loads take turns, so that whatever else the machine does meets them all."""
    if turn == 0:  # also warms up
        load.run(target, "put", conns=8, count=_KEYS, size=SMALL, prefix="read/")
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
                "10⁶ bytes a second": run.mb_per_second,
                "server CPU ms a MiB": run.server_cpu_us_op / 1000 / (LARGE / _MIB),
                "most memory beyond before, MiB": (process.peak_bytes() - before) / _MIB,
            },
        )


def sustained(load: Load, vault: Vault, results: Results, *, seconds: float) -> None:
    """PUT 1 KiB for long, and then wait until everything is settled: what an operation costs in all.

    The last closed segment waits for its last records to fill a frame, so the debt ends at one segment or none.
    """
    with vaults.serve(vault) as (target, server):
        process = Process(target.pid)
        cpu, written = process.cpu_seconds(), process.written_bytes()
        run = load.run(target, "put", conns=32, seconds=seconds, size=SMALL, prefix="sustained/")
        at_end, started = _debt(server), time.monotonic()
        while (debt := _debt(server)) > SEGMENT_MIB * _MIB and time.monotonic() - started < _DRAIN_S:
            time.sleep(0.2)
        waited = time.monotonic() - started
        numbers = [int(path.stem) for path in vault.data.glob("streams/*/commit/*.log")]
        results.add(
            f"{target.name}: PUT 1 KiB, 32 at a time, for {seconds:.0f} s and until settled",
            {
                "operations a second": run.per_second,
                "server CPU µs an operation": (process.cpu_seconds() - cpu) * 1e6 / run.ops,
                "p50 ms": run.p50_ms,
                "p99 ms": run.p99_ms,
                "segments settled": min(numbers),
                "not settled at the end, MiB": at_end / _MIB,
                "not settled after waiting, MiB": debt / _MIB,
                "waited s": waited,
                "bytes written a byte stored": (process.written_bytes() - written) / run.bytes,
                "resident memory, MiB": process.resident_bytes() / _MIB,
            },
        )


def _debt(server: Server) -> int:
    """Bytes of closed commit log segments that are not settled."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{server.audit}/readyz", timeout=_DRAIN_S) as answer:
        return int(msgspec.json.decode(answer.read())["settle_debt_bytes"])
