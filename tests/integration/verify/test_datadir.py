"""A data directory, whole and tampered with: every kind of file, and the states that are no fault."""

from __future__ import annotations

import base64
import json
import shutil
import struct
from typing import TYPE_CHECKING, Any

import pytest

from tests.doubles.logbuilder import LogBuilder, instant, mth
from tests.doubles.vaultbuilder import Plan, settled_segment, write_vault
from tests.integration.verify.conftest import whole_log

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
    "keys/keyring-a", "keys/keyring-b", "keys/site-a.node-1.vkey", "keys/site-a.node-1.signing", "keys/secrets/p1",
]  # fmt: skip
OPTIONAL = ["keys/kek", "root.credentials"]  # may be kept elsewhere, or removed as advised


def places(answer: dict[str, Any]) -> str:
    return " ".join(finding["place"] for finding in answer["findings"])


def test_a_whole_data_directory_is_good(museum: Museum, verify: Verify) -> None:
    code, answer = verify(museum.vault)
    assert (code, answer["size"], answer["root"]) == (0, 601, museum.log_root())
    assert [state["name"] for state in answer["states"]] == ["erasure"]
    assert (answer["counts"]["bodies"], answer["counts"]["blobs checked"]) == (9, 3)
    files = {str(path.relative_to(museum.vault)) for path in museum.vault.rglob("*") if path.is_file()}
    assert files == {*EVIDENCE, *OPTIONAL, "vault.json", "views/lock"}


@pytest.mark.parametrize("name", EVIDENCE)
@pytest.mark.parametrize("part", range(5))
def test_a_flipped_bit_anywhere_is_found(vault: Path, verify: Verify, name: str, part: int) -> None:
    data = bytearray((vault / name).read_bytes())
    data[(len(data) - 1) * part // 4] ^= 1 << part
    (vault / name).write_bytes(data)
    code, answer = verify(vault)
    assert code == 1
    sealed_document = "packs" in name and "blobs" in places(answer)  # its root covers both
    assert name.replace("keyring-a", "keyring-") in places(answer) or sealed_document


@pytest.mark.parametrize("name", EVIDENCE)
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


def test_two_copies_that_agree_are_no_keyring_for_that(vault: Path, verify: Verify) -> None:
    for copy in "ab":
        (vault / f"keys/keyring-{copy}").write_bytes(b"sealed bytes")
    assert places(verify(vault)[1]).split() == ["keys/keyring-a", "keys/keyring-b"]


@pytest.mark.parametrize(("name", "value"), [("stream", "site-b.node-1"), ("profile", "standarD"), ("anchor", 0)])
def test_an_identity_that_contradicts_itself_is_found(vault: Path, verify: Verify, name: str, value: object) -> None:
    identity = json.loads((vault / "vault.json").read_text())
    (vault / "vault.json").write_text(json.dumps(identity | {name: value}))
    code, answer = verify(vault)
    assert (code, places(answer)) == (1, "vault.json")


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


@pytest.fixture
def older() -> LogBuilder:
    """A stream that another one takes over."""
    older = LogBuilder(stream="site-a.node-0", seed=b"\4" * 32)
    older.start()
    return older


def take_over(older: LogBuilder, directory: Path, **lies: object) -> LogBuilder:
    """Write a vault of that stream and of the one that took it over; what the latter says of it, but for lies."""
    true = {"stream": older.stream, "held": 4, "root": mth(older.leaves()).hex(), "known": 4}
    newer = LogBuilder(stream="site-a.node-1", seed=b"\5" * 32)
    newer.start({**true, "known_root": mth(older.leaves()).hex(), "position": 4, **lies})
    for log in (older, newer):
        write_vault(log, directory, Plan(0, 0, [(0, 1, [(0, log.size)])]))
    named = json.loads((directory / "vault.json").read_text())
    (directory / "vault.json").write_text(json.dumps({**named, "earlier": [older.stream]}))
    return newer


def test_every_stream_is_verified_and_must_be_anchored(older: LogBuilder, tmp_path: Path, verify: Verify) -> None:
    root = tmp_path / "vault"
    newer = take_over(older, root)
    code, answer = verify(root)
    assert (code, [log["size"] for log in answer["logs"]]) == (0, [4, 4])
    for log, name in ((older, "old"), (newer, "new")):
        (tmp_path / name).write_bytes(log.checkpoint())
    assert verify(root, "--checkpoint", tmp_path / "new", "--require-anchor")[0] == 2
    both = ("--checkpoint", tmp_path / "old", "--checkpoint", tmp_path / "new")
    assert verify(root, *both, "--require-anchor")[0] == 0
    path = root / "streams/site-a.node-0/commit/0000000000.log"
    path.write_bytes(path.read_bytes().replace(b'"bucket":"b"', b'"bucket":"c"'))
    assert verify(root)[0] == 1


@pytest.mark.parametrize(
    ("lies", "said"),
    [
        ({"stream": "site-a.node-9"}, "does not say that it takes over site-a.node-0"),
        ({"held": 3}, "took it over with 3 records"),
        ({"root": "0" * 64}, "and another root"),
        ({"position": 5}, "position 5"),
    ],
)
def test_what_a_stream_says_of_the_one_it_took_over_must_be_so(
    older: LogBuilder, tmp_path: Path, verify: Verify, lies: dict[str, object], said: str
) -> None:
    take_over(older, tmp_path / "vault", **lies)
    code, answer = verify(tmp_path / "vault")
    assert code == 1
    assert any(said in finding["why"] for finding in answer["findings"]), answer["findings"]


def test_a_stream_that_vault_json_does_not_name_has_no_place(older: LogBuilder, tmp_path: Path, verify: Verify) -> None:
    root = tmp_path / "vault"
    take_over(older, root)
    named = json.loads((root / "vault.json").read_text())
    del named["earlier"]
    (root / "vault.json").write_text(json.dumps(named))
    code, answer = verify(root)
    assert code == 1
    assert "streams/site-a.node-0" in places(answer)


@pytest.mark.parametrize("known", [4, 9])
def test_what_a_takeover_tells_of_is_excused_and_a_checkpoint_from_outside_never_is(
    older: LogBuilder, tmp_path: Path, verify: Verify, known: int
) -> None:
    root = tmp_path / "vault"
    lost = LogBuilder(stream=older.stream, seed=b"\4" * 32)
    lost.start()
    for number in range(5):
        lost.put(f"lost-{number}")
    take_over(older, root, known=known, known_root=mth(lost.leaves()[:known]).hex())
    (root / f"streams/{older.stream}/checkpoint").write_bytes(lost.checkpoint())
    (tmp_path / "saved").write_bytes(lost.checkpoint())
    code, answer = verify(root)
    assert code == (0 if known == 9 else 1)
    assert any(state["name"] == "records lost" for state in answer["states"]) == (known == 9)
    assert verify(root, "--checkpoint", tmp_path / "saved")[0] == 1


def test_a_kek_that_opens_nothing_here_is_named(vault: Path, verify: Verify) -> None:
    for content in (b"", b"not one\n", base64.b64encode(b"j" * 32)):
        (vault / "keys/kek").write_bytes(content)
        code, answer = verify(vault)
        assert (code, places(answer)) == (1, "keys/kek")
