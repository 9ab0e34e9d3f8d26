"""Load on an S3 server: the Go generator in ``load/``, or where Go is missing the slower ``tests.bench.client``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tests.bench.measure import Process
from tests.demo.server import Failed

ROOT: Final = Path(__file__).parents[2]
BUCKET: Final = "bench"
#: How long one run may take at most, in seconds.
_PATIENCE_S: Final = 3600


class Target(NamedTuple):
    """A server under load, with a bucket :data:`BUCKET` that has Object Lock."""

    name: str
    pid: int
    address: str
    access_key: str
    secret_key: str


class Run(msgspec.Struct):
    """What the generator reports of one run; ``received`` counts every byte that the server wrote to a socket."""

    ops: int
    errors: dict[str, int]
    seconds: float
    p50_ms: float
    p99_ms: float
    client_cpu_us_op: float
    bytes: int
    received: int
    server_cpu_us_op: float = 0.0

    @property
    def per_second(self) -> float:
        """Operations a second."""
        return self.ops / self.seconds

    @property
    def mb_per_second(self) -> float:
        """Payload, in 10⁶ bytes a second."""
        return self.bytes / self.seconds / 1e6


class Load:
    """Makes load; builds the generator first.

    Attributes:
        note: What a reader of the figures should know of the client; may be empty.
    """

    def __init__(self) -> None:
        self.note = ""
        self._command: list[str | Path] = [sys.executable, "-m", "tests.bench.client"]
        go = shutil.which("go")
        if go is None:
            self.note = "Go is missing: a Python client made the load and limits the rates, but not CPU an operation"
            return
        binary = ROOT / "build" / "load"
        environ = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
        subprocess.run([go, "build", "-o", binary, "."], cwd=Path(__file__).with_name("load"), env=environ, check=True)
        self._command = [binary]

    def run(self, target: Target, op: str, **options: float | str) -> Run:
        """Make load until the time is over or the count is reached.

        Args:
            target: On whom.
            op: ``put`` (COMPLIANCE for a day) or ``get``.
            options: Of the generator: ``size``, ``conns``, ``seconds``, ``count``, ``prefix``, ``keys``.

        Returns:
            What happened, with the processor time that the server took meanwhile.

        Raises:
            Failed: Something was answered otherwise than 200.
        """
        chosen = [f"-{name}={value}" for name, value in options.items()]
        keys = {"AWS_ACCESS_KEY_ID": target.access_key, "AWS_SECRET_ACCESS_KEY": target.secret_key}
        process = Process(target.pid)
        before = process.cpu_seconds()
        done = subprocess.run(
            [*self._command, f"-op={op}", f"-address={target.address}", f"-bucket={BUCKET}", *chosen],
            env=os.environ | keys,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            timeout=_PATIENCE_S,
            check=True,
        )
        run = msgspec.json.decode(done.stdout, type=Run)
        if run.errors or not run.ops:
            raise Failed(f"{op} on {target.name}: {run.ops} done, {run.errors}")
        run.server_cpu_us_op = (process.cpu_seconds() - before) * 1e6 / run.ops
        return run
