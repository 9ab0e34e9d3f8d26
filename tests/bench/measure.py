"""What is measured, and how it is told: each figure is a median of several runs beside its smallest and largest.

Processor time per operation says more than a rate: it hardly depends on what else the machine does at the time.
"""

from __future__ import annotations

import os
import platform
import time
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from statistics import median
from threading import Event, Thread
from timeit import timeit
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


#: How long a server is watched, in seconds: longer than its jobs wait between two looks at what there is to do.
_WATCH_SECONDS: Final = 3.0
#: Processor seconds that one which has nothing to do takes meanwhile, at most.
_IDLE: Final = 0.3


class Process:
    """What the kernel knows of a process, all its threads together.

    Args:
        pid: Of a process of ours.
    """

    def __init__(self, pid: int) -> None:
        self._proc = Path("/proc") / str(pid)

    def cpu_seconds(self) -> float:
        """Processor time taken so far, in user mode and in the kernel; it advances in steps of 10 ms."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def wait_until_idle(self) -> None:
        """Wait until what a burst put off is done: a server that nobody asks takes next to no processor time."""
        used = -_IDLE
        while self.cpu_seconds() - used >= _IDLE:
            used = self.cpu_seconds()
            time.sleep(_WATCH_SECONDS)

    def given_bytes(self) -> int:
        """Bytes given to write calls, on files and on sockets."""
        return self._value("io", "wchar:")

    def dirtied_bytes(self) -> int:
        """Bytes of page cache made dirty: whole folios, of up to a MiB."""
        return self._value("io", "write_bytes:")

    def resident_bytes(self) -> int:
        """Memory that it holds."""
        return self._value("status", "VmRSS:") * 1024

    def anonymous_bytes(self) -> int:
        """Memory that it holds and no file does: what it needs, where the rest is cache that the kernel may take."""
        return self._value("status", "RssAnon:") * 1024

    def peak_bytes(self) -> int:
        """Most memory that it held since :meth:`forget_peak`."""
        return self._value("status", "VmHWM:") * 1024

    def forget_peak(self) -> None:
        """Begin to look for the peak anew (proc(5), clear_refs)."""
        (self._proc / "clear_refs").write_text("5")

    def _value(self, file: str, name: str) -> int:
        for line in (self._proc / file).read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1])
        raise ValueError(f"{self._proc / file} has no {name}")


@contextmanager
def most_anonymous(process: Process) -> Iterator[list[int]]:
    """See how much anonymous memory a process holds at most while the block runs; looked at ten times a second.

    Yields:
        A list, whose one item is the figure in bytes.
    """
    most, stop = [process.anonymous_bytes()], Event()

    def look() -> None:
        while not stop.wait(0.1):
            most[0] = max(most[0], process.anonymous_bytes())

    looking = Thread(target=look, name="memory")
    looking.start()
    try:
        yield most
    finally:
        stop.set()
        looking.join()


@dataclass(slots=True)
class Results:
    """Everything measured so far: by what was done, then by metric, one value for each run."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    shown: int = 0

    def add(self, what: str, metrics: Mapping[str, float]) -> None:
        """Take the metrics of one run."""
        for metric, value in metrics.items():
            self.values[what][metric].append(value)

    def median(self, what: str, metric: str) -> float:
        """The middle of a metric's values."""
        return median(self.values[what][metric])

    def print_new(self) -> None:
        """Show what was not shown yet: medians, and the range where there was more than one run."""
        for what in list(self.values)[self.shown :]:
            print(f"\n{what}")
            for metric, values in self.values[what].items():
                spread = f"   ({_number(min(values))} to {_number(max(values))})" if len(values) > 1 else ""
                print(f"   {metric:<36} {_number(median(values)):>10}{spread}", flush=True)
        self.shown = len(self.values)

    def save(self, path: Path, about: Mapping[str, Any]) -> None:
        """Write all of it as JSON.

        Args:
            path: The file.
            about: Circumstances, which stand beside the values.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        found = {
            what: {metric: {"median": median(values), "runs": values} for metric, values in metrics.items()}
            for what, metrics in self.values.items()
        }
        path.write_bytes(msgspec.json.format(msgspec.json.encode({**about, "results": found})) + b"\n")


def machine() -> dict[str, Any]:
    """What this machine is, and how busy it is now."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
        "sha256_kib_us": _sha256_kib_us(),
    }


def _sha256_kib_us() -> float:
    """What SHA-256 of a KiB takes: some hours, a shared machine is half as fast as in others."""
    data, count = bytes(1024), 20_000
    return round(timeit(lambda: sha256(data).digest(), timer=time.process_time, number=count) * 1e6 / count, 2)


def _number(value: float) -> str:
    """Three digits that mean something."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
