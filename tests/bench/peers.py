"""``make bench-peers``: the same load on Strongroom and on MinIO, in turns, on this machine.

MinIO is built from its published source at a pinned version, with ``go install``, into ``build/peers``. Both answer a
PUT once the object is on disk (MinIO: O_DSYNC); only Strongroom keeps a record of every operation. Nothing here fails
because something was slow. All load stays on 127.0.0.1.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.bench import goals, objects, vaults
from tests.bench.disk import disk
from tests.bench.load import ROOT, Load, Target
from tests.bench.measure import Results, machine
from tests.demo.firm import isolate
from tests.demo.server import PATIENCE_S, Failed
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: MinIO's last published version, of 12 February 2026.
MINIO: Final = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
_PLACE: Final = ROOT / "build" / "peers"
_KEY: Final = "benchbench"
#: How much of each load is compared: turns, seconds of a turn, and large objects of a turn.
_TURNS: Final = 3
_LARGE: Final = 4
#: Metrics that begin so are not compared: they are no performance of the server, or near zero.
_ABSOLUTE: Final = ("amount", "client", "most", "memory", "p50 of one", "p50 beyond")


def build(environ: Mapping[str, str]) -> Path:
    """Build MinIO, if it was not built so before; of several processes that want it, one builds and the others wait.

    Args:
        environ: Of the compiler.

    Raises:
        Failed: There is no Go, or the sources cannot be had.
    """
    way = sha256(environ["GOFLAGS"].encode()).hexdigest()[:8]
    binary = _PLACE / f"{MINIO.rpartition('@')[2]}-{way}" / "minio"
    binary.parent.mkdir(parents=True, exist_ok=True)
    with (binary.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists():
            _build(binary, environ)
    return binary


def _build(binary: Path, environ: Mapping[str, str]) -> None:
    go = shutil.which("go")
    if go is None:
        raise Failed("MinIO cannot be built: Go is not installed")
    print(f"building {MINIO}; this takes some minutes", flush=True)
    built = subprocess.run(
        [go, "install", MINIO],
        env={**environ, "GOBIN": str(binary.parent)},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if built.returncode:
        raise Failed(f"MinIO cannot be built:\n{built.stderr[-2000:]}")


@contextmanager
def serve_minio(binary: Path, home: Path) -> Iterator[Target]:
    """Run MinIO on one directory, on ports that are free."""
    address, console = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    environ = {**os.environ, "MINIO_ROOT_USER": _KEY, "MINIO_ROOT_PASSWORD": _KEY, "MINIO_BROWSER": "off"}
    command = [binary, "server", home / "minio", "--quiet", "--address", address, "--console-address", console]
    with subprocess.Popen([str(word) for word in command], env=environ, stdout=subprocess.DEVNULL) as process:
        try:
            _await(f"http://{address}/minio/health/ready", process)
            target = Target("minio", process.pid, address, _KEY, _KEY)
            vaults.ensure_bucket(target)
            yield target
        finally:
            process.terminate()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    end = time.monotonic() + PATIENCE_S
    while process.poll() is None and time.monotonic() < end:
        try:
            opener.open(url, timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise Failed("MinIO does not start; it says why above")


def main() -> int:
    """Compare; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short turn")
    parser.add_argument("--turns", type=int, help=f"of each server (default: {_TURNS}; quick: 1)")
    parser.add_argument("--seconds", type=float, help="length of one run under load (default: 4; quick: 2)")
    options = parser.parse_args()
    turns, seconds = options.turns or (1 if options.quick else _TURNS), options.seconds or (2 if options.quick else 4)
    isolate()
    results, circumstances = Results(), machine()
    try:
        binary = build({**os.environ, "GOFLAGS": "-buildvcs=false", "GOTOOLCHAIN": "local"})
        load = Load()
        with tempfile.TemporaryDirectory(prefix="strongroom-bench-") as name:
            home = Path(name)
            ours, theirs = vaults.serve(vaults.make(home / "strongroom")), serve_minio(binary, home)
            with ours as (strongroom, _), theirs as minio, disk(home) as alone:
                for turn in range(turns):
                    for target in (strongroom, minio):
                        objects.small(load, target, results, alone, turn=turn, seconds=seconds)
                        objects.large(load, target, results, turn=turn, count=_LARGE)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    results.print_new()
    _print_ratios(results)
    verdicts = goals.judge(results, goals.PEER_GOALS, peer="minio")
    goals.show(verdicts)
    about = {"machine": circumstances, "peer": MINIO, "note": load.note, "goals": goals.as_json(verdicts)}
    results.save(ROOT / "build" / "bench-peers.json", about)
    return 0


def _print_ratios(results: Results) -> None:
    print("\nStrongroom to MinIO, medians of this run (2 means twice as much)")
    for what in results.values:
        if what.startswith("strongroom: "):
            load = what.partition(": ")[2]
            metrics = results.values[what].keys() & results.values[f"minio: {load}"].keys()
            ratios = (
                f"{metric} {results.median(what, metric) / results.median(f'minio: {load}', metric):.2f}"
                for metric in results.values[what]
                if metric in metrics and not metric.startswith(_ABSOLUTE)
            )
            print(f"   {load}: {', '.join(ratios)}")


if __name__ == "__main__":
    sys.exit(main())
