"""A server settles records while those before them are read: they are followed to where they went, in one look."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from audit.verify import live
from audit.verify.anchor import Outside
from audit.verify.live import verify_datadir
from audit.verify.report import Report, Unchecked
from tests.doubles.vaultbuilder import Plan, write_vault
from tests.integration.verify.conftest import ERASED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.verify.conftest import Museum

S = "streams/site-a.node-1"
BEFORE = Plan(256, 256, [(3, 1, [(256, 200)]), (4, 1, [(456, 145)])])
AFTER = Plan(512, 256, [(5, 1, [(512, 89)])])


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One for each look, and whether records were missing."""
    seen: list[bool] = []
    look = live._look

    def counted(*arguments: object, still: bool) -> tuple[Report, bool]:
        found = look(*arguments, still=still)  # type: ignore[arg-type]
        seen.append(found[1])
        return found

    monkeypatch.setattr(live, "_look", counted)
    return seen


def moved_while_read(museum: Museum, root: Path, damage: str = "", after: int = 256) -> Report:
    """Verify a vault whose records are settled as soon as so many were read."""
    write_vault(museum.log, root / "vault", BEFORE, unpacked=frozenset([ERASED]))
    write_vault(museum.log, root / "after", AFTER, unpacked=frozenset([ERASED]))
    if damage:
        path = next((root / "after").glob(damage))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    done: list[bool] = []

    def settle(read: int) -> None:
        if not done and read >= after:
            done.append(True)
            for part in (f"{S}/commit", f"{S}/ledger", "packs"):
                shutil.rmtree(root / "vault" / part)
                shutil.copytree(root / "after" / part, root / "vault" / part)

    report = Report("vault")
    verify_datadir(str(root / "vault"), Outside([], []), report, settle)
    return report


@pytest.mark.parametrize("after", [256, 456])
def test_records_that_were_settled_meanwhile_are_followed(
    museum: Museum, tmp_path: Path, looks: list[bool], after: int
) -> None:
    report = moved_while_read(museum, tmp_path, after=after)
    assert (report.findings, report.unchecked, looks) == ([], "", [False])
    assert [(log.size, log.root) for log in report.logs] == [(601, museum.log_root())]
    assert sum(count for name, count in report.counts.items() if "." in name) == 601


def test_what_is_bad_where_they_went_is_found(museum: Museum, tmp_path: Path, looks: list[bool]) -> None:
    assert moved_while_read(museum, tmp_path, f"{S}/ledger/*-0000000000000512.ndjson.zst").findings


def test_records_that_went_nowhere_are_missing(museum: Museum, tmp_path: Path, looks: list[bool]) -> None:
    write_vault(museum.log, tmp_path / "vault", BEFORE, unpacked=frozenset([ERASED]))
    (tmp_path / "vault" / S / "commit").joinpath("0000000003.log").unlink()
    report = Report("vault")
    try:
        verify_datadir(str(tmp_path / "vault"), Outside([], []), report, lambda _: None)
    except Unchecked:
        pytest.fail("it holds still")
    assert report.findings
    assert looks == [True, False]
