"""Prometheus' text exposition format 0.0.4."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vault.measures import Histogram

    #: Labels by name, and the value.
    Sample = tuple[dict[str, str], float]

#: What is served.
MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_ESCAPED: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Page:
    """One answer, family by family.

    Args:
        prefix: Begins every name.
        labels: What every sample has.
    """

    def __init__(self, prefix: str, **labels: str) -> None:
        self._prefix = prefix
        self._labels = labels
        self._lines: list[str] = []

    def gauge(self, name: str, about: str, *samples: Sample) -> None:
        """Add what goes up and down."""
        self._family(name, "gauge", about, [("", labels, value) for labels, value in samples])

    def counter(self, name: str, about: str, *samples: Sample) -> None:
        """Add what only grows until the process ends; its name ends in ``_total``."""
        self._family(name, "counter", about, [("", labels, value) for labels, value in samples])

    def histogram(self, name: str, about: str, *found: tuple[dict[str, str], Histogram]) -> None:
        """Add distributions; each is read once, so that its buckets and its count agree."""
        rows: list[tuple[str, dict[str, str], float]] = []
        for labels, histogram in found:
            total, counts = histogram.sum, list(accumulate(histogram.counts))
            bounds = [*(str(float(bound)) for bound in histogram.bounds), "+Inf"]
            rows += [("_bucket", {**labels, "le": bound}, n) for bound, n in zip(bounds, counts, strict=True)]
            rows += [("_sum", labels, total), ("_count", labels, counts[-1])]
        self._family(name, "histogram", about, rows)

    def _family(self, name: str, kind: str, about: str, rows: Iterable[tuple[str, dict[str, str], float]]) -> None:
        full = f"{self._prefix}_{name}"
        self._lines += [f"# HELP {full} {about}", f"# TYPE {full} {kind}"]
        for suffix, labels, value in rows:
            told = ",".join(f'{key}="{text.translate(_ESCAPED)}"' for key, text in (self._labels | labels).items())
            self._lines.append(f"{full}{suffix}{{{told}}} {value}" if told else f"{full}{suffix} {value}")

    def text(self) -> str:
        """All of it; ends with a line feed."""
        return "\n".join(self._lines) + "\n"
