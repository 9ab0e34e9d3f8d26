"""Asking and handing over: the view of records, questions over it, how fresh it is, a production and its check."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
import time
from statistics import median, quantiles
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from audit.app import GC_OBJECTS
from audit.config import load
from audit.node import Node
from audit.production.question import Question as Asked
from audit.query.records import Question
from audit.query.view import View
from tests.bench import vaults
from tests.bench.fill import BUCKET, MONTH_RECORDS, Calendar, fill, long_turns, month, people
from tests.bench.goals import AMOUNT, MEMORY
from tests.bench.load import BUCKET as PRODUCED_BUCKET
from tests.bench.measure import Process, most_anonymous
from tests.doubles.produced import produce
from vault.policy import SYSTEM
from vault.record import Actor, Origin, Tail
from vault.times import DAY_NS, parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.bench.load import Load
    from tests.bench.measure import Results
    from vault.ports import Intent

_HOST: Final = Actor(SYSTEM, person="bench")
_HERE: Final = Origin("cli")
#: Times that each question is asked.
_TIMES: Final = 15
#: Days that the records are of, and people who caused them.
_DAYS: Final = 30
_PEOPLE: Final = 50
_MIB: Final = 1024 * 1024
#: Records a second that come while it is seen how soon one is found, and for how many seconds.
_FRESH_RATE: Final = 2_000
_FRESH_SECONDS: Final = 15.0
#: Versions of the production that is measured.
PRODUCED: Final = 10_000


def view(home: Path, results: Results, *, count: int) -> None:
    """Fill a vault with what many people do in a month, build the view of it anew, and ask."""
    vault, process = vaults.make(home), Process(os.getpid())
    with Node.open(vault.data, load(None, {}), Calendar(_DAYS, count)) as node, most_anonymous(process) as most:
        gc.freeze()  # as the server does
        gc.set_threshold(GC_OBJECTS)
        people_there = people(node, _PEOPLE)
        cpu, started = time.process_time(), time.monotonic()
        make, operations = month(node, people_there), count * 10 // MONTH_RECORDS
        with long_turns():
            fill(node, operations, make)
        node.asking.fresh(node.stores.current.end, 3600)
        figures = {"records a second, wall": count / (time.monotonic() - started)}
        figures |= {"CPU µs a record, all threads": (time.process_time() - cpu) * 1e6 / count}
        results.add("fill: a month of many people, the view beside it", figures | {MEMORY: most[0] / _MIB})
        _wait_for_settling(node)  # nothing else is at work in this process while the view is built
        _build(home, node, results)
        most[0] = 0
        _ask(node, people_there[0], results, count)
        _fresh(node, make, operations, results)
        results.add("ask: all of it", {MEMORY: most[0] / _MIB, "load": os.getloadavg()[0]})


def _ask(node: Node, somebody: Actor, results: Results, count: int) -> None:
    middle = node.asking.time(node.stores.current.end // 2)
    day = [("from", middle[:10]), ("to", rfc3339(parse_rfc3339(f"{middle[:10]}T00:00:00Z") + DAY_NS))]
    found = node.asking.ask(_HOST, _HERE, Question([("bucket", BUCKET), ("op", "object.put")], "x", 1))
    key = _key(bytes(found.records[0].record))
    questions = {
        "one day, one actor": Question([("actor", somebody.id), *day], "x"),
        "the same, with the total": Question([("actor", somebody.id), *day], "x", total=True),
        "a page of one actor from a time on": Question([("actor", somebody.id), ("from", middle)], "x"),
        "a key's history": Question([("bucket", BUCKET), ("key", key)], "x"),
        "a key without any": Question([("bucket", BUCKET), ("key", f"{key}-none")], "x"),
        "count of all": Question([], "x", 1, total=True),
        "text anywhere": Question([("q", "LIST-OF")], "x", 10),
    }
    for name, question in questions.items():
        for _ in range(_TIMES):
            cpu, started = time.process_time(), time.monotonic()
            node.asking.ask(_HOST, _HERE, question)
            took, used = (time.monotonic() - started) * 1e3, (time.process_time() - cpu) * 1e3
            results.add(f"ask: {name}", {"ms": took, "CPU ms, all threads": used, AMOUNT: float(count)})


def _wait_for_settling(node: Node) -> None:
    debt = -1
    while node.status().settle_debt_bytes not in {0, debt}:
        debt = node.status().settle_debt_bytes
        time.sleep(3)


def _build(home: Path, node: Node, results: Results) -> None:
    place = home / "view"
    place.mkdir()
    built = View(place, node.stores.strands, node.history)
    end = node.stores.current.end
    process = Process(os.getpid())
    before = process.anonymous_bytes()
    with most_anonymous(process) as most:
        cpu, started = time.process_time(), time.monotonic()
        built.catch_up(end, 3600)
        built.step()
        used, took = time.process_time() - cpu, time.monotonic() - started
    written = built._parts.catalogue
    size = sum((place / file.name).stat().st_size for file in written.files)
    built.close()
    shutil.rmtree(place)
    what = "view of records, built anew"
    results.add(what, {"records a second a core": end / used, "records a second, wall": end / took})
    results.add(what, {"most anonymous memory beyond before, MiB": (most[0] - before) / _MIB})
    if written.end:
        results.add(what, {"bytes a record": size / written.end, AMOUNT: float(end)})


def _key(record: bytes) -> str:
    return record.partition(b'"key":"')[2].partition(b'"')[0].decode()


def _fresh(node: Node, make: Callable[[int], Intent], first: int, results: Results) -> None:
    """From a record's being durable until an answer holds it, while others come; the question's own commit included."""
    took: list[float] = []
    stop = Event()

    def pace() -> None:
        number, started = first, time.monotonic()
        while not stop.wait(max(0.0, started + (number - first) * MONTH_RECORDS / 10 / _FRESH_RATE - time.monotonic())):
            fill(node, 10, make, first=number)
            number += 10

    pacing = Thread(target=pace, name="pace")
    pacing.start()
    end = time.monotonic() + _FRESH_SECONDS
    while time.monotonic() < end:
        done = node.commit(Tail(op="bucket.list", actor=_HOST, origin=_HERE))
        started = time.monotonic()
        while node.asking.ask(_HOST, _HERE, Question([("op", "bucket.list")], "x", 1)).records[0].seq < done.head.seq:
            pass
        took.append((time.monotonic() - started) * 1e3)
    stop.set()
    pacing.join()
    figures = {"p50, ms": median(took), "p99, ms": quantiles(took, n=100)[-1], "records a second beside": _FRESH_RATE}
    results.add("ask: what was just recorded, while others come", figures)


def production(home: Path, generator: Load, results: Results, *, count: int) -> None:
    """Hand over versions of 1 KiB, and check them with the verifier that comes with them."""
    vault = vaults.make(home)
    with vaults.serve(vault) as (target, _):
        generator.run(target, "put", size=1024, count=count, conns=16, prefix="produced/")
    out = home / "out"
    with Node.open(vault.data, load(None, {})) as node:
        started, cpu = time.monotonic(), time.process_time()
        made = produce(node, _HOST, _HERE, Asked("bench", PRODUCED_BUCKET), out)
        took, used = time.monotonic() - started, time.process_time() - cpu
    started = time.monotonic()
    subprocess.run(
        [sys.executable, "-I", "-S", out / "strongroom-verify.pyz", out], check=True, stdout=subprocess.DEVNULL
    )
    what = "production of versions of 1 KiB"
    checked = time.monotonic() - started
    results.add(
        what, {"s": took, "CPU s of it": used, "s to verify, by the .pyz": checked, AMOUNT: float(made.natives)}
    )
