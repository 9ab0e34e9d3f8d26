"""``make bench``: measure Strongroom on this machine; prints, and writes ``build/bench.json``.

Nothing here fails because something was slow. All traffic stays on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench import asking, batching, goals, indexing, ingesting, ledger, objects, relaying, settling, vaults
from tests.bench.disk import disk
from tests.bench.load import ROOT, Load
from tests.bench.measure import Results, machine
from tests.bench.verifying import verify
from tests.demo.firm import isolate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BENCHES: Final = (
    "small",
    "large",
    "sustained",
    "demo",
    "ledger",
    "ingest",
    "batch",
    "relay",
    "relay-puts",
    "relay-outage",
    "restart",
    "ask",
    "index",
    "produce",
)
#: Large objects of a GiB.
_LARGE_A_GIB: Final = 16
#: How long a broker is warmed up, in seconds; less in a quick look.
_WARM_SECONDS: Final = {False: 90.0, True: 5.0}


def main() -> None:
    """Measure what was asked for."""
    options = _options()
    isolate()
    results, circumstances = Results(), machine()
    print(" ".join(f"{name}={value}" for name, value in circumstances.items()))
    load = Load()
    if load.note:
        print(load.note)
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as name:
        try:
            _measure(Path(name), load, results, options)
        finally:
            results.print_new()  # also where what came next failed
    verdicts = goals.judge(results, goals.GOALS)
    goals.show(verdicts)
    print("`make bench-peers` measures what has to be reached in comparison with MinIO.")
    about = {"machine": circumstances, "note": load.note, "goals": goals.as_json(verdicts)}
    results.save(ROOT / "build" / "bench.json", about)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=BENCHES, action="append", help="may be repeated; default: all")
    parser.add_argument("--quick", action="store_true", help="a look at everything in some two minutes: less of each")
    parser.add_argument("--repeats", type=int, help="runs of each measurement (default: 3; quick: 1)")
    parser.add_argument("--seconds", type=float, help="length of one run under load (default: 4; quick: 2)")
    parser.add_argument("--records", type=int, help="to append, to verify, to replay (default: 1000000; quick: 50000)")
    parser.add_argument("--versions", type=int, help="in the index (default: 1000000; quick: 50000; 10000000: 13 GB)")
    parser.add_argument("--gib", type=float, help="of 64 MiB objects, each way (default: 5; quick: 0.5)")
    options = parser.parse_args()
    defaults = (1, 2.0, 50_000, 50_000, 0.5) if options.quick else (3, 4.0, 1_000_000, 1_000_000, 5.0)
    for name, default in zip(("repeats", "seconds", "records", "versions", "gib"), defaults, strict=True):
        if getattr(options, name) is None:
            setattr(options, name, default)
    return options


def _measure(home: Path, load: Load, results: Results, options: argparse.Namespace) -> None:
    wanted: Sequence[str] = options.only or BENCHES
    repeats, seconds = options.repeats, options.seconds
    if "small" in wanted:
        with vaults.serve(vaults.make(home / "small")) as (target, _), disk(home) as alone:
            for turn in range(repeats):
                objects.small(load, target, results, alone, turn=turn, seconds=seconds)
        results.print_new()
    if "large" in wanted:
        with vaults.serve(vaults.make(home / "large")) as (target, _):
            load.run(target, "put", size=objects.LARGE, count=1, prefix="warm/")
            objects.large(load, target, results, turn=0, count=max(1, round(_LARGE_A_GIB * options.gib)))
        shutil.rmtree(home / "large")
        results.print_new()
    if "sustained" in wanted:
        vault = vaults.make(home / "sustained", {"LEDGER__SEGMENT_MIB": str(settling.SEGMENT_MIB)})
        settling.sustained(load, vault, results, seconds=10 * seconds)
        results.print_new()
    if "demo" in wanted:
        settling.demo(home / "demo", results)
        results.print_new()
    _measure_records(home, load, results, options)


def _archives(options: argparse.Namespace) -> int:
    """How many a run of batch puts brings: a tenth as many objects as there are records to send."""
    return max(10, int(options.records) // 10_000)


def _measure_relay(home: Path, load: Load, results: Results, options: argparse.Namespace) -> None:
    if not options.only and not shutil.which("mvn"):  # brokers come from Maven Central
        return
    warm, repeats = _WARM_SECONDS[options.quick], options.repeats
    measures: dict[str, Callable[[Path], None]] = {
        "relay": lambda place: relaying.relay(place, results, count=options.records, repeats=repeats, warm=warm),
        "relay-puts": lambda place: relaying.puts(
            place, load, results, repeats=repeats, seconds=options.seconds, archives=_archives(options), warm=warm
        ),
        "relay-outage": lambda place: relaying.outage(place, results, warm=warm),
    }
    for name, measure in measures.items():
        if name in (options.only or BENCHES):
            (home / name).mkdir()
            measure(home / name)
            shutil.rmtree(home / name)
            results.print_new()


def _measure_records(home: Path, load: Load, results: Results, options: argparse.Namespace) -> None:
    wanted: Sequence[str] = options.only or BENCHES
    repeats = options.repeats
    if "ledger" in wanted:
        vault = ledger.append(home / "ledger", results, count=options.records)
        verify(vault, results, "records of 400 bytes", repeats=repeats)
        results.print_new()
    if "ingest" in wanted:
        ingesting.ingest(vaults.make(home / "ingest"), results, count=options.records // 4, repeats=repeats)
        results.print_new()
    if "batch" in wanted:
        with vaults.serve(vaults.make(home / "batch")) as (target, _):
            batching.batch(target, results, archives=_archives(options), repeats=repeats)
        results.print_new()
    _measure_relay(home, load, results, options)
    if "restart" in wanted:
        vault = ledger.restart(home / "restart", results, count=options.records)
        verify(vault, results, "a mixed load", repeats=1)
        results.print_new()
    if "ask" in wanted:
        asking.view(home / "ask", results, count=options.records)
        shutil.rmtree(home / "ask")
        results.print_new()
    if "index" in wanted:
        indexing.index(home / "index", results, count=options.versions)
        shutil.rmtree(home / "index")
        results.print_new()
    if "produce" in wanted:
        asking.production(home / "produce", load, results, count=min(asking.PRODUCED, options.records))
        results.print_new()


if __name__ == "__main__":
    main()
