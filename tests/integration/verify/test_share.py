"""``verify --share K/N``: whatever is bad in packs and blobs is found in some share, and all else in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.doubles.logbuilder import LogBuilder
from tests.doubles.vaultbuilder import Plan, write_vault

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.verify.conftest import Verify

SHARES = ("1/3", "2/3", "3/3")


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    """Bodies of each kind at positions of each of three shares."""
    log = LogBuilder()
    log.start()
    for turn in range(3):
        log.fill(turn * 256 + 10)
        log.put(f"small {turn}", size=900)
        log.put(f"large {turn}", size=3000, kind="blob")
        log.upload(f"parts {turn}", f"u{turn}")
        log.part(f"parts {turn}", f"u{turn}", 1, 200)
        log.part(f"parts {turn}", f"u{turn}", 2, 300, kind="blob")
        log.complete(f"parts {turn}", f"u{turn}")
    log.fill(800)
    write_vault(log, tmp_path / "vault", Plan(768, 768, [(768, 1, [(768, 32)])]))
    return tmp_path / "vault"


def test_shares_together_read_all_bodies_and_each_says_what_it_left_out(vault: Path, verify: Verify) -> None:
    code, whole = verify(vault)
    assert (code, "bodies left out" in whole["counts"]) == (0, False)
    left = 0
    for share in SHARES:
        code, answer = verify(vault, "--share", share)
        assert code == 0
        assert any(f"share {share[0]} of 3" in note for note in answer["notes"])
        assert answer["size"] == whole["size"]
        left += answer["counts"]["bodies left out"]
    lists = 3  # of parts, which say what else must be there: read each time
    assert left == 2 * (whole["counts"]["bodies"] - lists)


def test_a_flipped_byte_anywhere_in_packs_and_blobs_is_found_in_some_share(vault: Path, verify: Verify) -> None:
    paths = [*vault.glob("packs/*"), *vault.glob("blobs/*/*")]
    assert len(paths) >= 7
    for path in paths:
        good = path.read_bytes()
        for at in range(0, len(good), max(1, len(good) // 12)):
            path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            assert 1 in [verify(vault, "--share", share)[0] for share in SHARES], (path, at)
        path.write_bytes(good)


def test_what_is_missing_or_of_another_length_is_found_in_each_share(vault: Path, verify: Verify) -> None:
    for path in (*vault.glob("packs/*"), *vault.glob("blobs/*/*")):
        good = path.read_bytes()
        for damage in (path.unlink, lambda: path.write_bytes(good[:-1]), lambda: path.write_bytes(good + b"?")):  # noqa: B023
            damage()
            assert [verify(vault, "--share", share)[0] for share in SHARES] == [1, 1, 1], path
            path.write_bytes(good)


def test_a_share_of_anything_else_cannot_be_checked(vault: Path, export: Path, verify: Verify) -> None:
    for target in (export, "http://127.0.0.1:9/log"):
        code, answer = verify(target, "--share", "1/3")
        assert (code, "--share" in answer["unchecked"]) == (2, True) if target is export else code == 2
    code, answer = verify(vault, "--share", "4/3")
    assert (code, "4/3" in answer["unchecked"]) == (2, True)
