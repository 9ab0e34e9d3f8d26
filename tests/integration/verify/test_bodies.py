"""Bodies in the commit log, packs and blobs: which must be there, which must be gone, and whose they are."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.doubles.logbuilder import LogBuilder
from tests.doubles.vaultbuilder import Plan, pack, write_vault
from tests.integration.verify.conftest import ERASED

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.verify.conftest import Museum, Verify

S = "streams/site-a.node-1"


def test_an_unsettled_stream_with_every_kind_of_body_is_good(museum: Museum, tmp_path: Path, verify: Verify) -> None:
    groups = [(first, min(50, 601 - first)) for first in range(0, 601, 50)]
    write_vault(museum.log, tmp_path / "vault", Plan(0, 0, [(0, 1, groups)]))
    code, answer = verify(tmp_path / "vault")
    assert code == 0
    assert [state["name"] for state in answer["states"]] == ["erasure pending"]  # the log is not recycled yet


def test_a_body_missing_from_its_pack_is_found(museum: Museum, tmp_path: Path, verify: Verify) -> None:
    plan = Plan(512, 512, [(0, 1, [(512, 89)])])
    for seq in (4, 5, 7, 9):
        write_vault(museum.log, tmp_path / f"vault{seq}", plan, unpacked=frozenset([ERASED, seq]))
        code, answer = verify(tmp_path / f"vault{seq}")
        assert (code, answer["first_bad"]["seq"]) == (1, seq)


def test_an_erased_body_that_is_still_there_is_found(museum: Museum, tmp_path: Path, verify: Verify) -> None:
    write_vault(museum.log, tmp_path / "vault", Plan(512, 512, [(0, 1, [(512, 89)])]))
    code, answer = verify(tmp_path / "vault")
    assert (code, answer["first_bad"]["seq"]) == (1, ERASED)


def test_bytes_removed_after_a_deletion_whose_erasure_is_not_recorded_yet_are_a_state(
    tmp_path: Path, verify: Verify
) -> None:
    log = LogBuilder()
    log.start()
    log.on("object.delete", log.put("k"))
    log.fill(256)
    write_vault(log, tmp_path / "vault", Plan(256, 256, []), unpacked=frozenset([4]))
    code, answer = verify(tmp_path / "vault")
    assert code == 0
    assert [state["name"] for state in answer["states"]] == ["erasure pending"]


def test_a_compaction_cut_short_is_a_state_and_a_copy_is_not(museum: Museum, vault: Path, verify: Verify) -> None:
    copy = vault / "packs/site-a.node-1-4-5.pack"
    copy.write_bytes(pack(museum.log, [6], ""))
    (vault / "packs/site-a.node-1-6-9.pack").write_bytes(pack(museum.log, [6], ""))
    copy.unlink()
    code, answer = verify(vault)
    assert code == 0
    assert "compaction unfinished" in {state["name"] for state in answer["states"]}
    shutil.copy(vault / "packs/site-a.node-1-5-1.pack", copy.with_name("site-a.node-1-5-2.pack"))
    assert verify(vault)[0] == 1


@pytest.mark.parametrize(("old", "new"), [(b'"bucket":"b"', b'"bucket":"c"'), (b'"until":"20', b'"until":"30')])
def test_a_pack_that_is_labelled_otherwise_than_its_records_is_found(
    vault: Path, verify: Verify, old: bytes, new: bytes
) -> None:
    path = vault / "packs/site-a.node-1-4-0.pack"
    path.write_bytes(path.read_bytes().replace(old, new))
    code, answer = verify(vault)
    assert (code, answer["first_bad"]["place"]) == (1, "packs/site-a.node-1-4-0.pack")


def test_a_list_of_parts_that_names_other_records_is_found(tmp_path: Path, verify: Verify) -> None:
    for wrong in ([1, 4, 200], [1, 6, 201], [2, 6, 200]):
        log = LogBuilder()
        log.start()
        log.put("k")
        log.upload("m", "u")
        log.part("m", "u", 1, 200)
        log.parts["u"] = {wrong[0]: (wrong[1], wrong[2])}
        log.complete("m", "u")
        root = tmp_path / "-".join(map(str, wrong))
        write_vault(log, root, Plan(0, 0, [(0, 1, [(0, log.size)])]))
        code, answer = verify(root)
        assert (code, answer["first_bad"]["seq"]) == (1, 7)
