"""A verification that keeps to a pace: bytes counted against a clock that only sleeping moves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.verify import pace, pool
from audit.verify.command import main
from audit.verify.pace import Pace
from tests.doubles.logbuilder import LogBuilder
from tests.doubles.vaultbuilder import Plan, write_vault

if TYPE_CHECKING:
    from pathlib import Path

RATE = 1 << 20


class Clock:
    now = 1000.0

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@given(st.lists(st.tuples(st.integers(0, 1 << 24), st.floats(0, 5)), max_size=50))
def test_no_more_is_read_than_the_time_allows_and_idle_time_is_not_saved_up(steps: list[tuple[int, float]]) -> None:
    clock = Clock()
    kept = Pace(RATE, lambda: clock.now, clock.sleep)
    seen = [(clock.now, 0)]
    for count, idle in steps:
        clock.now += idle
        kept.take(count)
        seen.append((clock.now, kept.taken))
    for at, (began, before) in enumerate(seen):  # from wherever one looks: what the rate gives, and a short debt
        assert all(taken - before <= RATE * (now - began + 0.021) for now, taken in seen[at:])


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    log = LogBuilder()
    log.start()
    log.put("large", size=200_000, kind="blob")
    log.fill(300)
    write_vault(log, tmp_path / "vault", Plan(256, 256, [(256, 1, [(256, 44)])]))
    return tmp_path / "vault"


def test_every_byte_of_a_vault_is_counted(vault: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    began = clock.now
    monkeypatch.setattr(pace, "Pace", lambda rate: Pace(rate, lambda: clock.now, clock.sleep))
    assert main([str(vault), "--rate", "1", "--json"]) == 0
    counted = capsys.readouterr().out
    held = sum(path.stat().st_size for path in vault.rglob("*") if path.is_file())
    read = int(counted.partition('"bytes read": ')[2].partition(",")[0].partition("}")[0])
    assert read >= held  # and headers more than once
    assert clock.now - began > read / RATE - 0.02
    assert pace.kept() is None


def test_a_pace_is_kept_in_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.verify.pool.os.sched_getaffinity", lambda _: {0, 1, 2})
    assert pool.cores() == 3
    pace.keep(Pace(RATE))
    try:
        assert pool.cores() == 1
    finally:
        pace.keep(None)


@pytest.mark.parametrize("rate", ["0", "-1", "1.5", "x", "9999999999"])
def test_what_is_no_rate_is_wrong_use(vault: Path, rate: str) -> None:
    assert main([str(vault), f"--rate={rate}"]) == 2
