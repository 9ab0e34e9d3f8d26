"""The whole way: events over HTTP, durable in the ledger, committed in Kafka, all of it on this machine.

Afterwards, what it takes to read them back and verify them (``strongroom verify --kafka``); what single PUTs lose by a
relay; and how soon everything is there after the broker was away for a minute.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from tests.bench import vaults
from tests.bench.batching import batch
from tests.bench.ingesting import CONNECTIONS, lanes, paced, send
from tests.bench.relayed import Copied, Relayed, relayed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.bench.load import Load
    from tests.bench.measure import Results

WHAT: Final = "relay: 500 events of 400 bytes a request, 4 connections, into Kafka"
READ: Final = "relay: read back and verified"
LAG: Final = "relay: acknowledged until who reads what is committed has it, {:,} a second"
FULL_LAG: Final = "relay: the same, as many as come"
PUTS: Final = "relay: PUT 1 KiB under COMPLIANCE, 32 at a time"
BATCHES: Final = "relay: batch put of tars of 1,000 objects of 1 KiB, 2 connections, into Kafka"
OUTAGE: Final = "relay: 20,000 a second, the broker away for a minute"
#: Records a second at which the lag is measured, and for how many seconds.
LAG_RATE: Final = 10_000
_LAG_SECONDS: Final = 20.0
_OUTAGE_RATE: Final = 20_000
_OUTAGE_SECONDS: Final = 60.0
#: How long verifying all of it may take, in seconds: some twenty million records.
_VERIFY_SECONDS: Final = 1_800.0
_MS: Final = 1000


def relay(home: Path, results: Results, *, count: int, repeats: int, warm: float) -> None:
    """Send events as fast as they are taken, and wait until Kafka has them all; then some at a steady rate.

    Args:
        home: An existing directory.
        results: Where figures go.
        count: Events of one run.
        repeats: Runs.
        warm: Seconds for which the broker is warmed up.

    Raises:
        Failed: Kafka does not get them, or they do not verify.
    """
    with relayed(home, warm) as it:
        for run in range(repeats):
            it.processes["server"].wait_until_idle()
            _full(it, results, str(run), count)
        it.processes["server"].wait_until_idle()
        _lags(it, results, LAG.format(LAG_RATE), paced(it.address, it.token, "lag", LAG_RATE, lambda: _LAG_SECONDS))
        started = time.monotonic()
        said = json.loads(it.vault.run("verify", "--kafka", it.broker.address, "--json", patience=_VERIFY_SECONDS))
        results.add(READ, {"records a second": said["size"] / (time.monotonic() - started), "records": said["size"]})


def _full(it: Relayed, results: Results, name: str, count: int) -> None:
    requests = lanes(it.address, it.token, name, count)
    answers: list[tuple[float, int]] = []
    before = {part: process.cpu_seconds() for part, process in it.processes.items()}

    def used(part: str) -> float:
        return (it.processes[part].cpu_seconds() - before[part]) * 1e6 / stored

    with Copied(it.broker.address) as copied:
        started = time.monotonic()
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            stored = sum(pool.map(lambda lane: send(it.address, lane, _note(answers)), requests))
        acknowledged = time.monotonic()
        took = copied.wait(max(end for _, end in answers)) - started
        figures = {f"{part} CPU µs a record": used(part) for part in it.processes}
        figures["CPU µs a record, all three"] = sum(figures.values())
        rates = {
            "acknowledged a second": stored / (acknowledged - started),
            "committed in Kafka a second": stored / took,
        }
        lags = [(copied.when(end) - moment) * _MS for moment, end in answers]
    it.processes["server"].wait_until_idle()
    figures["the same with the view and settling, after it"] = sum(used(part) for part in it.processes)
    results.add(WHAT, {**rates, **figures})
    results.add(FULL_LAG, _spread(lags))


def _note(answers: list[tuple[float, int]]) -> Callable[[int], None]:
    return lambda end: answers.append((time.monotonic(), end))


def _lags(it: Relayed, results: Results, what: str, requests: Iterator[bytes]) -> None:
    answers: list[tuple[float, int]] = []
    with Copied(it.broker.address) as copied:
        copied.wait(it.durable())
        send(it.address, requests, _note(answers))
        copied.wait(answers[-1][1])
        results.add(what, _spread([(copied.when(end) - moment) * _MS for moment, end in answers]))


def _spread(milliseconds: list[float]) -> dict[str, float]:
    ordered = sorted(milliseconds)
    return {"median, ms": ordered[len(ordered) // 2], "99 of 100, ms": ordered[int(len(ordered) * 0.99)]}


def puts(home: Path, load: Load, results: Results, *, repeats: int, seconds: float, archives: int, warm: float) -> None:
    """PUTs to a vault with a relay and to one without, in turns; and archives until Kafka has the last record of them.

    Args:
        home: An existing directory.
        load: Makes it.
        results: Where figures go.
        repeats: Turns.
        seconds: Length of each.
        archives: Of one run.
        warm: Seconds for which the broker is warmed up.

    Raises:
        Failed: Kafka does not get the records.
    """
    alone = vaults.make(home / "alone")
    with relayed(home, warm) as it, vaults.serve(alone) as (without, _):
        with_relay = vaults.target(it.vault, it.server)
        for turn in range(repeats):
            rates = {}
            both = [("with a relay", with_relay), ("without", without)]
            for name, target in both if turn % 2 else reversed(both):
                run = load.run(target, "put", size=1024, conns=32, seconds=seconds, prefix=f"{turn}/")
                rates[name] = run.per_second
                results.add(PUTS, {f"{name}, a second": run.per_second, f"{name}, CPU µs": run.server_cpu_us_op})
                it.processes["server"].wait_until_idle()
            results.add(PUTS, {"with a relay, to without": rates["with a relay"] / rates["without"]})
        with Copied(it.broker.address) as copied:

            def finish() -> None:
                copied.wait(it.durable())

            batch(with_relay, results, archives=archives, repeats=repeats, what=BATCHES, finish=finish)


def outage(home: Path, results: Results, *, warm: float) -> None:
    """Events at a steady rate, while the broker is killed and comes back after a minute.

    Args:
        home: An existing directory.
        results: Where figures go.
        warm: Seconds for which the broker is warmed up, before it goes away.

    Raises:
        Failed: Kafka does not get them.
    """
    with relayed(home, warm) as it, Copied(it.broker.address) as copied, ThreadPoolExecutor(1) as pool:
        copied.wait(it.durable())
        answers: list[tuple[float, int]] = []
        until = [float("inf")]
        coming = paced(it.address, it.token, "outage", _OUTAGE_RATE, lambda: until[0])
        sending = pool.submit(send, it.address, coming, _note(answers))
        try:
            time.sleep(5)
            it.broker.crash()
            time.sleep(_OUTAGE_SECONDS)
            had = copied.count
            it.broker.begin()
            back = time.monotonic()
            it.broker.wait()
            copied.wait(had + 1)
            began = copied.when(had + 1)
            while copied.count < answers[-1][1] - _OUTAGE_RATE // 4:  # what comes within a quarter of a second
                time.sleep(0.01)
            took, came = time.monotonic() - began, copied.count - had
        finally:
            until[0] = 0.0
            sending.result()
        results.add(
            OUTAGE,
            {
                "records behind": answers[-1][1] - had,
                "seconds until the first of them": began - back,
                "seconds until all": took,
                "records a second meanwhile": came / took,
                "to those that came": came / took / _OUTAGE_RATE,
            },
        )
        copied.wait(it.durable())
