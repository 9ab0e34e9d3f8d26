"""What an operation costs in all: under load for long, and then until everything that was written has settled.

Bytes written are counted as the kernel counts them for the process, in two ways that are wrong in opposite directions.
``wchar`` is what it gave to write calls, less what its clients received; that leaves the file system's journal out.
``write_bytes`` is what it made dirty in the page cache, which counts a whole folio of up to a MiB for a group of 4 KiB,
again and again. The first is the one to go by; the second is shown for those who want to see for themselves.
"""

from __future__ import annotations

import time
import urllib.request
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from audit.ledger import SettledLedger
from tests.bench import objects, vaults
from tests.bench.load import BUCKET
from tests.bench.measure import Process
from tests.demo.attempts import attempts, make
from tests.demo.day import day
from tests.demo.firm import Firm
from tests.demo.server import Failed
from tests.demo.story import SETTINGS, SETTLED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.load import Load, Target
    from tests.bench.measure import Results
    from tests.demo.server import Server, Vault

#: Length of the commit log's segments, in MiB; the default is 32, of which few would be settled.
SEGMENT_MIB: Final = 8
#: Records that settle together: what is left of a segment waits until the next one is closed.
_FRAME: Final = 256
#: How long settling may take after the load has ended, in seconds.
_DRAIN_S: Final = 300
#: The settler, which looks for work every second, has none when the debt has not changed for so long, in seconds.
_IDLE_S: Final = 4
_MIB: Final = 1024 * 1024


def sustained(load: Load, vault: Vault, results: Results, *, seconds: float) -> None:
    """PUT 1 KiB for long, and then wait until the debt of settling is zero."""
    with vaults.serve(vault) as (target, server):
        process = Process(target.pid)
        cpu, before = process.cpu_seconds(), _Written.of(process)
        run = load.run(target, "put", conns=32, seconds=seconds, size=objects.SMALL, prefix="sustained/")
        at_end, started = _status(server).settle_debt_bytes, time.monotonic()
        filled = _settle_all(target, server)
        after = _Written.of(process)
        stored = run.bytes
        numbers = [int(path.stem) for path in vault.data.glob("streams/*/commit/*.log")]
        results.add(
            f"{target.name}: PUT 1 KiB, 32 at a time, for {seconds:.0f} s and until the debt of settling is zero",
            {
                "operations a second": run.per_second,
                "server CPU µs an operation, settling in": (process.cpu_seconds() - cpu) * 1e6 / run.ops,
                "p50 ms": run.p50_ms,
                "p99 ms": run.p99_ms,
                "segments settled": min(numbers),
                "debt when the load ended, MiB": at_end / _MIB,
                "debt at the end, MiB": _status(server).settle_debt_bytes / _MIB,
                "waited for that, s": time.monotonic() - started,
                "records added to fill frames": filled,
                "bytes written a byte stored (wchar)": (after.given - before.given - run.received) / stored,
                "the same by write_bytes, whole folios": (after.dirtied - before.dirtied) / stored,
                "resident memory, MiB": process.resident_bytes() / _MIB,
            },
        )


class _Written(NamedTuple):
    """What a process wrote so far, in bytes, as the two counters of the kernel have it."""

    given: int
    dirtied: int

    @classmethod
    def of(cls, process: Process) -> _Written:
        return cls(process.given_bytes(), process.dirtied_bytes())


def _settle_all(target: Target, server: Server) -> int:
    """Wait until no closed segment is left; the records that were added for it.

    Records settle in whole frames, so a closed segment whose last frame is not full waits for the next one. Therefore
    the number of records is brought to whole frames, and then a frame at a time is added, each in one group, until a
    segment is closed: it ends with a frame, and everything in it settles.
    """
    client, added = vaults.client(target), 0
    while debt := _still(server):
        while (status := _status(server)).settle_debt_bytes <= debt:
            count = -status.durable % _FRAME or _FRAME
            members = [{"Key": f"frame/{number}"} for number in range(count)]
            client.delete_objects(Bucket=BUCKET, Delete={"Objects": members, "Quiet": True})  # one group of markers
            added += count
    return added


def _still(server: Server) -> int:
    """The debt once it is zero or the settler has stopped working at it, in bytes.

    Raises:
        Failed: That takes too long.
    """
    end, last, since = time.monotonic() + _DRAIN_S, -1, 0.0
    while (debt := _status(server).settle_debt_bytes) and (debt != last or time.monotonic() - since < _IDLE_S):
        if time.monotonic() > end:
            raise Failed(f"{debt} bytes of closed segments have not settled in {_DRAIN_S} s")
        if debt != last:
            last, since = debt, time.monotonic()
        time.sleep(0.2)
    return debt


class _Status(msgspec.Struct):
    durable: int
    settle_debt_bytes: int


def _status(server: Server) -> _Status:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{server.audit}/readyz", timeout=_DRAIN_S) as answer:
        return msgspec.json.decode(answer.read(), type=_Status)


def demo(home: Path, results: Results) -> None:
    """Store the demo's day with small segments, as the demo does, and see how well settled records are compressed.

    Raises:
        Failed: They do not settle.
    """
    vault = vaults.make(home, SETTINGS)
    with vault.serve() as server:
        firm = Firm(vault, server)
        firm.open_buckets()
        items = day()
        places = firm.store(items)
        first = {item.kind: place for item, place in reversed(list(zip(items, places, strict=True)))}
        make(firm, attempts(firm, first, firm.store_drafts()))
        (directory,) = vault.data.glob("streams/*/ledger")
        end = time.monotonic() + _DRAIN_S
        while not any(int(path.name[17:33]) >= SETTLED for path in directory.glob("*.zst")):
            if time.monotonic() > end:
                raise Failed(f"fewer than {SETTLED} records have settled in {_DRAIN_S} s")
            time.sleep(0.2)
    plain = sum(len(data) + 1 for _, data in SettledLedger(directory).iterate(0))
    packed = sum(path.stat().st_size for path in directory.glob("*.zst"))
    count = SettledLedger(directory).end
    results.add(
        "settled records of the demo",
        {
            "ratio": plain / packed,
            "records": count,
            "bytes of a record": plain / count,
            "of that compressed": packed / count,
        },
    )
