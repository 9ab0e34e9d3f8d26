"""What vouches for a log: keys and checkpoints from outside the target, and nothing inside it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.doubles.logbuilder import LogBuilder
from tests.doubles.vaultbuilder import write_vault
from tests.integration.verify.conftest import ERASED, PLAN, whole_log

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.verify.conftest import Museum, Verify


def places(answer: dict[str, list[dict[str, str]]]) -> set[str]:
    return {finding["place"] for finding in answer["findings"]}


def test_without_anything_from_outside_it_is_not_anchored(museum: Museum, verify: Verify) -> None:
    for target in (museum.export, museum.vault):
        assert verify(target)[1]["anchored"] is False
        assert verify(target, "--require-anchor")[0] == 2


def test_a_key_from_outside_anchors_up_to_the_checkpoint(museum: Museum, verify: Verify) -> None:
    for target in (museum.export, museum.vault):
        code, answer = verify(target, "--vkey", museum.vkey, "--require-anchor")
        assert (code, answer["anchored"], answer["logs"][0]["anchored_size"]) == (0, True, 601)


@pytest.mark.parametrize("size", [1, 255, 256, 300, 512, 550, 601])
def test_a_saved_checkpoint_anchors_up_to_its_size(museum: Museum, tmp_path: Path, verify: Verify, size: int) -> None:
    saved = tmp_path / "saved"
    saved.write_bytes(museum.log.checkpoint(size))
    for target in (museum.export, museum.vault):
        code, answer = verify(target, "--checkpoint", saved, "--require-anchor")
        assert (code, answer["logs"][0]["anchored_size"]) == (0, size)


def test_the_checkpoint_of_an_empty_log_anchors_nothing(museum: Museum, tmp_path: Path, verify: Verify) -> None:
    (tmp_path / "saved").write_bytes(museum.log.checkpoint(0))
    assert verify(museum.export, "--checkpoint", tmp_path / "saved", "--require-anchor")[0] == 2


def test_files_inside_the_target_or_its_local_anchor_vouch_for_nothing(vault: Path, verify: Verify) -> None:
    inside = vault / "keys/site-a.node-1.vkey"
    assert verify(vault, "--vkey", inside, "--require-anchor")[0] == 2
    [anchor] = vault.with_name("vault.anchor").iterdir()
    assert verify(vault, "--checkpoint", anchor, "--require-anchor")[0] == 2


@pytest.mark.parametrize("same_key", [True, False])
def test_a_history_rewritten_with_all_keys_is_found_by_a_saved_checkpoint(
    tmp_path: Path, verify: Verify, *, same_key: bool
) -> None:
    honest, forged = whole_log(), whole_log()
    (tmp_path / "saved").write_bytes(honest.checkpoint(400))
    forged.entries[300].fields["actor"]["id"] = "somebody-else"
    forged.rechain()
    if not same_key:
        forged.seed = b"\2" * 32
    forged.write_export(tmp_path / "export")
    write_vault(forged, tmp_path / "vault", PLAN, unpacked=frozenset([ERASED]))
    for target in (tmp_path / "export", tmp_path / "vault"):
        assert verify(target)[0] == 0  # self-consistent: nothing inside tells
        code, answer = verify(target, "--checkpoint", tmp_path / "saved")
        assert code == 1
        assert places(answer) == {str(tmp_path / "saved")}
        assert any("400" in finding["why"] for finding in answer["findings"])


def test_a_log_cut_back_is_found_by_a_saved_checkpoint(museum: Museum, tmp_path: Path, verify: Verify) -> None:
    museum.log.write_export(tmp_path / "export", 400)
    (tmp_path / "saved").write_bytes(museum.log.checkpoint(500))
    code, answer = verify(tmp_path / "export", "--checkpoint", tmp_path / "saved")
    assert (code, answer["first_bad"]["seq"]) == (1, 400)
    assert "500" in answer["first_bad"]["why"]


def test_another_key_than_the_one_given_is_found(museum: Museum, tmp_path: Path, verify: Verify) -> None:
    (tmp_path / "vkey").write_text(LogBuilder(seed=b"\3" * 32).vkey())
    for target in (museum.export, museum.vault):
        assert verify(target, "--vkey", tmp_path / "vkey")[0] == 1


def test_a_key_or_checkpoint_of_another_log_is_found(museum: Museum, tmp_path: Path, verify: Verify) -> None:
    other = LogBuilder(vault="f" * 16)
    (tmp_path / "vkey").write_text(other.vkey())
    (tmp_path / "saved").write_bytes(other.checkpoint())
    assert verify(museum.export, "--vkey", tmp_path / "vkey")[0] == 1
    assert verify(museum.export, "--checkpoint", tmp_path / "saved")[0] == 1


def test_a_saved_checkpoint_that_the_given_key_did_not_sign_proves_nothing(
    museum: Museum, tmp_path: Path, verify: Verify
) -> None:
    (tmp_path / "saved").write_bytes(LogBuilder(seed=b"\3" * 32).checkpoint())
    assert verify(museum.export, "--checkpoint", tmp_path / "saved", "--vkey", museum.vkey)[0] == 2


@pytest.mark.parametrize("option", ["--vkey", "--checkpoint", "--token-file"])
@pytest.mark.parametrize("content", [None, b"", b"junk", b"\xff\xfe", bytes(100_000)])
def test_what_the_caller_brought_and_cannot_be_read_is_not_the_logs_fault(
    tmp_path: Path, verify: Verify, option: str, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "file").write_bytes(content)
    target = "http://127.0.0.1:9/log"
    if option == "--token-file" and content == b"junk":
        target = "http://log.example/"  # a good token, which is not sent in the clear
    assert verify(target, option, tmp_path / "file")[0] == 2


def test_the_local_anchor_is_held_against_the_log(museum: Museum, vault: Path, verify: Verify) -> None:
    [anchor] = vault.with_name("vault.anchor").iterdir()
    newer = whole_log()
    newer.fill(700)
    for data in (newer.checkpoint(), b"junk", museum.log.checkpoint().replace(b"\n601\n", b"\n600\n")):
        anchor.write_bytes(data)
        code, answer = verify(vault)
        assert code == 1
        assert str(anchor) in places(answer)
    anchor.write_bytes(museum.log.checkpoint(300))
    assert verify(vault)[0] == 0
    shutil.rmtree(anchor.parent)
    assert verify(vault)[0] == 0
