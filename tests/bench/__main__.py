"""``make bench``: measure Strongroom on this machine; prints, and writes ``build/bench.json``.

Nothing here fails because something was slow. All traffic stays on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench import ledger, objects, vaults
from tests.bench.load import ROOT, Load
from tests.bench.measure import Results, machine
from tests.demo.firm import isolate

if TYPE_CHECKING:
    from collections.abc import Sequence

BENCHES: Final = ("small", "large", "sustained", "ledger", "restart")


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", choices=BENCHES, action="append", help="may be repeated; default: all")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each measurement (default: 3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one run under load (default: 4)")
    parser.add_argument("--records", type=int, default=200_000, help="objects before a kill -9 (default: 200000)")
    options = parser.parse_args()
    isolate()
    results, circumstances = Results(), machine()
    print(" ".join(f"{name}={value}" for name, value in circumstances.items()))
    load = Load()
    if load.note:
        print(load.note)
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as name:
        _measure(Path(name), load, results, options)
    results.save(ROOT / "build" / "bench.json", {"machine": circumstances, "note": load.note})


def _measure(home: Path, load: Load, results: Results, options: argparse.Namespace) -> None:
    wanted: Sequence[str] = options.only or BENCHES
    repeats, seconds = options.repeats, options.seconds
    if "small" in wanted or "large" in wanted:
        with vaults.serve(vaults.make(home / "objects")) as (target, _):
            for turn in range(repeats):
                if "small" in wanted:
                    objects.small(load, target, results, turn=turn, seconds=seconds)
                if "large" in wanted:
                    objects.large(load, target, results, turn=turn, count=8)
        results.print_new()
    if "sustained" in wanted:
        vault = vaults.make(home / "sustained", {"LEDGER__SEGMENT_MIB": str(objects.SEGMENT_MIB)})
        objects.sustained(load, vault, results, seconds=10 * seconds)
        results.print_new()
    if "ledger" in wanted:
        ledger.verify(ledger.append(home / "ledger", results, repeats=repeats), results, repeats=repeats)
        results.print_new()
    if "restart" in wanted:
        ledger.restart(home / "restart", results, count=options.records)
        results.print_new()


if __name__ == "__main__":
    main()
