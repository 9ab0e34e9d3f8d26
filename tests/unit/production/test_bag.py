"""A bag leaves the vault beside it what that needs."""

from __future__ import annotations

from pathlib import Path

import pytest

from audit.production import bag
from audit.production.bag import ProductionFailed, leave_room
from tests.unit.production.bags import FILES, sealed


def test_a_file_that_takes_what_the_vault_needs_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bag, "free_bytes", lambda _: 1000)
    leave_room(tmp_path, tmp_path, 900, 100)
    with pytest.raises(ProductionFailed, match="no room for 101 bytes"):
        leave_room(tmp_path, tmp_path, 900, 101)


def test_another_file_system_may_be_filled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bag, "free_bytes", lambda _: 0)
    leave_room(Path("/proc"), tmp_path, 900, 101)


def test_it_says_what_its_payload_comes_to(tmp_path: Path) -> None:
    info = (sealed(tmp_path / "bag") / "bag-info.txt").read_text()
    payload = [data for name, data in FILES.items() if name.startswith("data/")]
    assert f"Payload-Oxum: {sum(map(len, payload))}.{len(payload)}\n" in info


def test_a_file_of_somebody_elses_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "mine").write_text("mine")
    with pytest.raises(ProductionFailed, match="somebody else's, mine"):
        sealed(tmp_path / "bag")
