"""A data directory, whole and tampered with: every kind of file, and the states that are no fault."""

from __future__ import annotations

import json
import shutil
import struct
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from tests.doubles.logbuilder import LogBuilder, instant
from tests.doubles.vaultbuilder import Plan, commit_segment, crc, pack, settled_segment, write_vault
from tests.integration.verify.conftest import ERASED, whole_log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.verify.conftest import Museum, Verify

S = "streams/site-a.node-1"
BLOBS = sorted(f"blobs/{name[:2]}/{name}" for name in whole_log().blobs)
EVIDENCE = [
    f"{S}/checkpoint",
    f"{S}/commit/0000000003.log", f"{S}/commit/0000000005.log",
    f"{S}/ledger/0000000000000000-0000000000000256.ndjson.zst",
    f"{S}/ledger/0000000000000256-0000000000000512.ndjson.zst",
    f"{S}/tile/0/000", f"{S}/tile/0/001", f"{S}/tile/0/002.p/89", f"{S}/tile/1/000.p/2",
    "packs/site-a.node-1-4-0.pack", "packs/site-a.node-1-5-1.pack",
    *BLOBS,
    "keys/keyring-a", "keys/keyring-b", "keys/site-a.node-1.vkey",
]  # fmt: skip
SEALED = ["keys/site-a.node-1.signing", "keys/secrets/p1"]  # their bytes tell nothing without the KEK
OPTIONAL = ["keys/kek", "root.credentials"]  # may be kept elsewhere, or removed as advised


def places(answer: dict[str, Any]) -> str:
    return " ".join(finding["place"] for finding in answer["findings"])


def test_a_whole_data_directory_is_good(museum: Museum, verify: Verify) -> None:
    code, answer = verify(museum.vault)
    assert (code, answer["size"], answer["root"]) == (0, 601, museum.log_root())
    assert [state["name"] for state in answer["states"]] == ["erasure"]
    assert (answer["counts"]["bodies"], answer["counts"]["blobs checked"]) == (9, 3)
    files = {str(path.relative_to(museum.vault)) for path in museum.vault.rglob("*") if path.is_file()}
    assert files == {*EVIDENCE, *SEALED, *OPTIONAL, "vault.json", "views/lock"}


@pytest.mark.parametrize("name", EVIDENCE)
@pytest.mark.parametrize("part", range(6))
def test_a_flipped_bit_anywhere_is_found(vault: Path, verify: Verify, name: str, part: int) -> None:
    data = bytearray((vault / name).read_bytes())
    data[(len(data) - 1) * part // 5] ^= 1 << part
    (vault / name).write_bytes(data)
    code, answer = verify(vault)
    assert code == 1
    sealed_document = "packs" in name and "blobs" in places(answer)  # its root covers both
    assert name.replace("keyring-a", "keyring-b") in places(answer) or sealed_document


@pytest.mark.parametrize("name", [*EVIDENCE, *SEALED])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-2]), id="cut"),
        pytest.param(lambda path: path.write_bytes(bytes(path.stat().st_size)), id="zeroed"),
        pytest.param(lambda path: path.unlink(), id="removed"),
        pytest.param(lambda path: (path.unlink(), path.symlink_to("/dev/null")), id="a link"),
        pytest.param(lambda path: shutil.copy(path, f"{path}.copy"), id="copied beside"),
    ],
)
def test_damaged_files_are_named(
    vault: Path, verify: Verify, request: pytest.FixtureRequest, name: str, damage: Callable[[Path], object]
) -> None:
    damage(vault / name)
    code, answer = verify(vault)
    if name in SEALED and any(word in request.node.name for word in ("cut", "zeroed")):
        assert code == 0
        return
    assert code == 1
    if "removed" in request.node.name and name.startswith((f"{S}/commit", f"{S}/ledger", "packs")):
        assert answer["first_bad"]["seq"] in {0, 4, 5, 256, 512, 550}  # what is missing, not in which file it was
    else:
        assert name.replace("keyring-a", "keyring-") in places(answer)


@pytest.mark.parametrize("name", OPTIONAL)
def test_what_may_be_kept_elsewhere_may_be_missing(vault: Path, verify: Verify, name: str) -> None:
    (vault / name).unlink()
    assert verify(vault)[0] == 0


@pytest.mark.parametrize(
    "name",
    [
        "junk", "views.txt", "keys/junk", "keys/other.signing", "keys/secrets/nobody", f"{S}/junk", f"{S}/commit/4.log",
        f"{S}/commit/0000000009.log", f"{S}/ledger/0000000000000512-0000000000000768.ndjson.zst", f"{S}/tile/0/003",
        f"{S}/tile/entries/000", f"{S}/quarantine/x.bin", "packs/junk", "packs/other-4-0.pack",
        "packs/site-a.node-1-4-1.pack", "packs/site-a.node-1-4-7.pack", "blobs/ab/abc", "blobs/ab/xyz", "blobs/junk",
        "streams/other.node-2/commit/0000000000.log",
    ],
)  # fmt: skip
def test_files_that_have_no_place_are_named(vault: Path, verify: Verify, name: str) -> None:
    (vault / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(vault / "packs/site-a.node-1-4-0.pack", vault / name)
    code, answer = verify(vault)
    assert code == 1
    assert name in places(answer)


@pytest.mark.parametrize("name", ["views/index/data.mdb", "stage/ab.tmp", "stage/ab", "vault.json.0123.tmp"])
def test_what_can_be_rebuilt_or_was_cut_short_is_no_fault(vault: Path, verify: Verify, name: str) -> None:
    (vault / name).parent.mkdir(parents=True, exist_ok=True)
    (vault / name).write_bytes(b"anything")
    assert verify(vault)[0] == 0


def test_swapped_blobs_packs_and_segments_are_found(vault: Path, verify: Verify) -> None:
    pairs = [(BLOBS[0], BLOBS[1]), (EVIDENCE[3], EVIDENCE[4]), (EVIDENCE[9], EVIDENCE[10]), (EVIDENCE[1], EVIDENCE[2])]
    for one, other in pairs:
        a, b = (vault / one).read_bytes(), (vault / other).read_bytes()
        (vault / one).write_bytes(b)
        (vault / other).write_bytes(a)
        code, answer = verify(vault)
        assert code == 1
        assert one in places(answer)
        (vault / one).write_bytes(a)
        (vault / other).write_bytes(b)
    assert verify(vault)[0] == 0


# --- the commit log ---


def crashed(tmp_path: Path, size: int = 40, checkpoint: int = 30) -> tuple[LogBuilder, Path]:
    """A stream that never settled and did not stop in order: groups of ten, two segments of one incarnation."""
    log = LogBuilder()
    log.start()
    log.put("k", size=3000)
    log.fill(size)
    groups = [(first, 10) for first in range(0, size, 10)]
    write_vault(log, tmp_path / "vault", Plan(0, 0, [(0, 1, groups[:2]), (1, 1, groups[2:])], checkpoint))
    return log, tmp_path / "vault"


def test_a_torn_last_group_is_an_unrecovered_tail_and_no_fault(tmp_path: Path, verify: Verify) -> None:
    _, vault = crashed(tmp_path)
    segment = vault / S / "commit/0000000001.log"
    data = segment.read_bytes()
    last = data.rindex(b"SRGRPv1\n")
    for torn in (data[: last + 1000], data[: last + 600] + b"x" * 100, data[:last] + b"\0" * 8 + data[last + 8 :]):
        segment.write_bytes(torn.ljust(len(data), b"\0"))
        code, answer = verify(vault)
        assert (code, answer["size"]) == (0, 30)
        assert answer["states"][0]["name"] == "unrecovered tail"
        assert str(last)[:-3] in answer["states"][0]["place"]


def test_a_torn_tail_that_a_checkpoint_covers_is_lost_evidence(tmp_path: Path, verify: Verify) -> None:
    _, vault = crashed(tmp_path, checkpoint=31)
    segment = vault / S / "commit/0000000001.log"
    data = segment.read_bytes()
    segment.write_bytes(data[: data.rindex(b"SRGRPv1\n")].ljust(len(data), b"\0"))
    code, answer = verify(vault)
    assert (code, answer["first_bad"]["seq"]) == (1, 30)


def test_a_damaged_group_before_a_good_one_is_found(tmp_path: Path, verify: Verify) -> None:
    _, vault = crashed(tmp_path)
    segment = vault / S / "commit/0000000001.log"
    for change in (b"x", b""):  # damaged; or gone altogether
        data = bytearray(segment.read_bytes())
        data[4096 : 4096 + (4096 if not change else 1)] = change or bytes(4096)
        segment.write_bytes(data)
        code, answer = verify(vault)
        assert (code, answer["first_bad"]["seq"]) == (1, 20)
        assert "good one follows" in answer["first_bad"]["why"]


def test_only_the_last_segment_may_be_torn(tmp_path: Path, verify: Verify) -> None:
    _, vault = crashed(tmp_path)
    segment = vault / S / "commit/0000000000.log"
    segment.write_bytes(segment.read_bytes()[:-10] + b"torn bytes")
    code, answer = verify(vault)
    assert (code, answer["first_bad"]["seq"]) == (1, 20)


def recovered(tmp_path: Path, tail: bytes, *, named: bool) -> Path:
    """A crash tore ``tail``; the next incarnation wrote the last group again, and named what it cut, or did not."""
    log = LogBuilder()
    log.start()
    log.fill(20)
    if named:
        cut = {"incarnation": 2, "quarantined": "0000000000-9.bin", "digest": sha256(tail).hexdigest()}
        log.record("ledger.recover", ledger=cut | {"bytes": len(tail)})
    log.fill(30)
    write_vault(log, tmp_path / "vault", Plan(0, 0, [(0, 1, [(0, 10), (10, 10)]), (1, 2, [(10, 10), (20, 10)])]))
    vault = tmp_path / "vault"
    segment = vault / S / "commit/0000000000.log"
    segment.write_bytes(segment.read_bytes()[: -4 * 4096] + tail.ljust(4 * 4096, b"\0"))
    if named:
        (vault / S / "quarantine").mkdir()
        (vault / S / "quarantine/0000000000-9.bin").write_bytes(tail)
    return vault


def test_a_tail_that_a_recovery_cut_and_named_is_no_fault(tmp_path: Path, verify: Verify) -> None:
    vault = recovered(tmp_path, b"torn", named=True)
    assert verify(vault)[0] == 0
    (vault / S / "quarantine/0000000000-9.bin").write_bytes(b"other")
    code, answer = verify(vault)
    assert (code, answer["first_bad"]["seq"]) == (1, 20)
    (vault / S / "quarantine/0000000000-9.bin").unlink()
    assert verify(vault)[0] == 1


def test_a_tail_that_nothing_says_was_cut_is_found(tmp_path: Path, verify: Verify) -> None:
    code, answer = verify(recovered(tmp_path, b"torn", named=False))
    assert (code, answer["first_bad"]["seq"]) == (1, 20)
    assert "ledger.recover" in answer["first_bad"]["why"]


def test_the_same_seq_with_other_bytes_is_found(museum: Museum, vault: Path, verify: Verify) -> None:
    other = whole_log()
    other.entries[525].fields["origin"]["ip"] = "203.0.113.9"
    other.rechain(525)
    path = vault / S / "commit/0000000005.log"
    path.write_bytes(commit_segment(other, 5, 2, [(520, 30), (550, 40), (590, 11)]))
    code, answer = verify(vault)
    assert (code, answer["first_bad"]["seq"]) == (1, 525)
    assert "twice" in answer["first_bad"]["why"]


def test_a_retired_segment_is_not_read(vault: Path, verify: Verify) -> None:
    path = vault / S / "commit/0000000002.log"
    path.write_bytes(b"SRRETIRE" + b"anything" * 1023)
    assert verify(vault)[0] == 0


def test_a_live_segment_made_to_look_retired_leaves_a_gap(vault: Path, verify: Verify) -> None:
    path = vault / S / "commit/0000000003.log"
    path.write_bytes(b"SRRETIRE" + path.read_bytes()[8:])
    code, answer = verify(vault)
    assert (code, answer["first_bad"]["seq"]) == (1, 512)


@pytest.mark.parametrize(
    ("offset", "value"),
    [(12, 0), (12, 2**32 - 1), (16, 2**63), (16, 0), (24, 9), (32, 0), (40, 7), (48, 0), (48, 2**64 - 1), (56, 1)],
)
def test_group_headers_that_lie_are_found_although_their_checksum_fits(
    vault: Path, verify: Verify, offset: int, value: int
) -> None:
    path = vault / S / "commit/0000000005.log"
    data = bytearray(path.read_bytes())
    at = data.index(b"SRGRPv1\n", data.index(b"SRGRPv1\n") + 1)
    [length] = struct.unpack_from(">Q", data, at + 16)
    struct.pack_into(">I" if offset == 12 else ">Q", data, at + offset, value)
    data[at + 8 : at + 12] = crc(bytes(data[at + 12 : at + 96 + length]))
    path.write_bytes(data)
    code, answer = verify(vault)
    assert (code, answer["first_bad"]["seq"]) == (1, 550)


# --- bodies ---


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


def test_a_blob_that_no_record_names_is_a_state_only_after_a_crash(tmp_path: Path, verify: Verify) -> None:
    _, vault = crashed(tmp_path)
    (vault / "blobs/ab").mkdir(parents=True)
    (vault / "blobs/ab/abcdef").write_bytes(b"linked, and then the power went")
    code, answer = verify(vault)
    assert (code, answer["states"][0]["name"]) == (0, "unswept")


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


# --- settled segments, locks, identity ---


@pytest.mark.parametrize("name", ["0000000000000000-0000000000000255", "0000000000000001-0000000000000257"])
def test_settled_segments_begin_and_end_at_tiles(museum: Museum, vault: Path, verify: Verify, name: str) -> None:
    (vault / f"{S}/ledger/0000000000000000-0000000000000256.ndjson.zst").rename(vault / f"{S}/ledger/{name}.ndjson.zst")
    assert verify(vault)[0] == 1


def test_settled_records_that_were_changed_are_found(museum: Museum, vault: Path, verify: Verify) -> None:
    log = whole_log()
    log.entries[100].fields["origin"]["ip"] = "203.0.113.9"
    path = vault / f"{S}/ledger/0000000000000000-0000000000000256.ndjson.zst"
    path.write_bytes(settled_segment(log, 0, 256))
    code, answer = verify(vault)
    assert (code, answer["first_bad"]["seq"]) == (1, 100)


def test_a_zstandard_bomb_is_refused(vault: Path, verify: Verify) -> None:
    path = vault / f"{S}/ledger/0000000000000000-0000000000000256.ndjson.zst"
    bomb = bytes.fromhex("28b52ffda0ffffff7f") + bytes(8)  # a frame that declares 2 GiB
    table = struct.pack("<II", len(bomb), 1) + struct.pack("<IBI", 1, 0, 0x8F92EAB1)
    path.write_bytes(bomb + struct.pack("<II", 0x184D2A5E, len(table)) + table)
    code, answer = verify(vault)
    assert code == 1
    assert "larger" in answer["first_bad"]["why"]


def test_deletions_are_held_against_locks(tmp_path: Path, verify: Verify) -> None:
    log = LogBuilder()
    log.start()
    log.on("object.delete", log.put("k", lock={"mode": "COMPLIANCE", "until": instant(0, 9)}))
    write_vault(log, tmp_path / "vault", Plan(0, 0, [(0, 1, [(0, log.size)])]))
    code, answer = verify(tmp_path / "vault")
    assert (code, answer["first_bad"]["seq"]) == (1, 5)


def test_a_vault_that_says_it_is_another_one_is_found(vault: Path, verify: Verify) -> None:
    identity = json.loads((vault / "vault.json").read_text())
    (vault / "vault.json").write_text(json.dumps(identity | {"vault": "f" * 16}))
    assert verify(vault)[0] == 1
    for change in ({"node": "node-2"}, {"site": "b"}, {"format": 2}, {"vault": 1}):
        (vault / "vault.json").write_text(json.dumps(identity | change))
        assert verify(vault)[0] == 1


def test_every_stream_is_verified_and_must_be_anchored(
    museum: Museum, vault: Path, tmp_path: Path, verify: Verify
) -> None:
    older = LogBuilder(stream="site-a.node-0", seed=b"\4" * 32)
    older.start()
    write_vault(older, tmp_path / "older", Plan(0, 0, [(0, 1, [(0, 4)])]))
    for name in ("streams/site-a.node-0", "keys"):
        shutil.copytree(tmp_path / "older" / name, vault / name, dirs_exist_ok=True)
    code, answer = verify(vault, "--vkey", museum.vkey)
    assert (code, answer["size"], [log["size"] for log in answer["logs"]]) == (0, 601, [4, 601])
    assert answer["anchored"] is False
    (tmp_path / "saved").write_bytes(older.checkpoint())
    assert verify(vault, "--vkey", museum.vkey, "--checkpoint", tmp_path / "saved", "--require-anchor")[0] == 0
    path = vault / "streams/site-a.node-0/commit/0000000000.log"
    path.write_bytes(path.read_bytes().replace(b'"bucket":"b"', b'"bucket":"c"'))
    assert verify(vault, "--vkey", museum.vkey)[0] == 1


def test_a_checkpoint_that_was_removed_is_missed_where_the_local_anchor_tells(tmp_path: Path, verify: Verify) -> None:
    _, vault = crashed(tmp_path, checkpoint=40)
    (vault / S / "checkpoint").unlink()
    assert verify(vault)[0] == 0  # a crash between the anchor and publishing leaves just this
    segment = vault / S / "commit/0000000001.log"
    data = segment.read_bytes()
    segment.write_bytes(data[: data.rindex(b"SRGRPv1\n")].ljust(len(data), b"\0"))
    assert verify(vault)[0] == 1
