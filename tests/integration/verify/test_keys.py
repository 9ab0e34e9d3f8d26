"""Keys that are being changed are named states, and what is wrong with them is still found."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from tests.doubles.logbuilder import LogBuilder
from tests.doubles.vaultbuilder import Plan, write_vault

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.verify.conftest import Verify


def states(answer: dict[str, list[dict[str, str]]]) -> set[str]:
    return {state["name"] for state in answer["states"]}


def test_a_rotation_cut_short_is_a_state_and_a_kek_of_nothing_is_bad(vault: Path, verify: Verify) -> None:
    kek = (vault / "keys" / "kek").read_bytes()
    (vault / "keys" / "kek.next").write_bytes(b"bmV4dA==\n")
    code, answer = verify(vault)
    assert (code, "rotation unfinished" in states(answer)) == (0, True)
    (vault / "keys" / "kek").write_bytes(b"bmV4dA==\n")
    (vault / "keys" / "kek.next").write_bytes(kek)
    assert verify(vault)[0] == 0
    (vault / "keys" / "kek.next").write_bytes(b"b3RoZXI=\n")
    code, answer = verify(vault)
    assert (code, answer["first_bad"]["place"]) == (1, "keys/kek")


def test_what_is_not_recorded_yet_is_a_state(vault: Path, verify: Verify) -> None:
    (vault / "keys" / "unrecorded.json").write_bytes(b"[]")
    code, answer = verify(vault)
    assert (code, "unrecorded" in states(answer)) == (0, True)


@pytest.mark.parametrize("op", ["key.backup", "key.restore", "key.rotate"])
def test_records_of_keys_are_known_and_their_form_is_checked(tmp_path: Path, verify: Verify, op: str) -> None:
    log = LogBuilder()
    log.start()
    keys = {"kek": "0a1b2c3d", "generation": 3, "domains": 1, "digest": sha256(b"").hexdigest(), "holds_kek": True}
    log.record(op, keys=keys)
    write_vault(log, tmp_path / "vault", Plan(0, 0, [(0, 1, [(0, log.size)])]))
    code, answer = verify(tmp_path / "vault")
    assert (code, answer["counts"][op], "unknown" in json.dumps(answer["states"])) == (0, 1, False)
    log.record(op, keys={"kek": 7})
    write_vault(log, tmp_path / "other", Plan(0, 0, [(0, 1, [(0, log.size)])]))
    assert verify(tmp_path / "other")[0] == 1
