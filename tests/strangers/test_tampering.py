"""Somebody with a shell changes a stopped vault: every kind of file, in every way that a file can be changed.

The data directory is a real one (``tests.golden.life``). Each test damages one file, asks the verifier, and mends it.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

from audit.verify.command import main
from tests.golden.life import STREAM, live
from tests.integration.served import command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HOME: Final = f"streams/{STREAM}"


class Kind(NamedTuple):
    """Files of one kind: which one is damaged, and another name of the kind, for a copy of it.

    ``apart`` says that two of them are told apart.
    """

    pattern: str
    twin: str
    which: int = 0
    apart: bool = True


KINDS: Final = {
    "identity": Kind("vault.json", "vault2.json"),
    "keyring": Kind("keys/keyring-?", "keys/keyring-c", apart=False),  # which are copies of each other
    "second keyring": Kind("keys/keyring-b", "keys/keyring-d"),
    "key-encryption key": Kind("keys/kek", "keys/kek2"),
    "signing key": Kind("keys/*.signing", "keys/site-b.node-1.signing"),
    "public key": Kind("keys/*.vkey", "keys/site-b.node-1.vkey"),
    "secret": Kind("keys/secrets/*", "keys/secrets/p0123456789abcdef"),
    "checkpoint": Kind(f"{_HOME}/checkpoint", f"{_HOME}/checkpoint2"),
    "oldest commit segment": Kind(f"{_HOME}/commit/*.log", f"{_HOME}/commit/0000000000.log"),
    "commit segment of a killed writer": Kind(f"{_HOME}/commit/*.log", f"{_HOME}/commit/0000000001.log", -3),
    "commit segment with a torn group": Kind(f"{_HOME}/commit/*.log", f"{_HOME}/commit/0000000098.log", -2),
    "newest commit segment": Kind(f"{_HOME}/commit/*.log", f"{_HOME}/commit/0000000099.log", -1),
    "settled segment": Kind(f"{_HOME}/ledger/*", f"{_HOME}/ledger/{9 << 20:016d}-{(9 << 20) + 256:016d}.ndjson.zst"),
    "tile": Kind(f"{_HOME}/tile/0/00?", f"{_HOME}/tile/0/009"),
    "upper tile": Kind(f"{_HOME}/tile/1/*/*", f"{_HOME}/tile/1/000.p/255", -1),
    "quarantine": Kind(f"{_HOME}/quarantine/*", f"{_HOME}/quarantine/0000000000-4096.bin"),
    "pack": Kind("packs/*", f"packs/{STREAM}-0-9.pack"),
    "blob": Kind("blobs/*/*", "blobs/ab/abcdef0123456789abcdef0123456789"),
}
#: Removed as ``doctor`` advises: no evidence.
ELSEWHERE: Final = {"root.credentials"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A vault that was stopped in order."""
    affinity = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(affinity)})  # so small a vault the verifier reads in this process
    yield live(tmp_path_factory.mktemp("life")).data
    os.sched_setaffinity(0, affinity)


class Judge:
    """The verifier."""

    def __init__(self, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._data, self._capsys = data, capsys

    def __call__(self) -> tuple[int, dict[str, Any]]:
        code = main([str(self._data), "--json"])
        captured = self._capsys.readouterr()
        assert captured.err == ""
        return code, json.loads(captured.out)

    def finds(self, *names: str) -> None:
        """It is bad, and one of these places or a record is named."""
        code, answer = self()
        places = " ".join(finding["place"] for finding in answer["findings"])
        assert (code, answer["unchecked"]) == (1, ""), (names, answer)
        assert any(name in places for name in names), (names, places)


@pytest.fixture
def judge(data: Path, capsys: pytest.CaptureFixture[str]) -> Judge:
    return Judge(data, capsys)


@contextmanager
def mended(*paths: Path) -> Iterator[None]:
    """Put files back as they were."""
    before = {path: path.read_bytes() if path.exists() else None for path in paths}
    try:
        yield
    finally:
        for path, content in before.items():
            if content is None:
                path.unlink()
            else:
                path.write_bytes(content)


def damaged(data: Path, kind: Kind) -> tuple[Path, str]:
    """The file of a kind that is damaged, and its name."""
    path = sorted(data.glob(kind.pattern))[kind.which]
    return path, str(path.relative_to(data)).removesuffix("-a")  # of two copies that differ, which one is bad?


def test_every_file_is_of_a_kind_that_is_damaged_here(data: Path, judge: Judge) -> None:
    assert judge()[0] == 0
    known = {path for kind in KINDS.values() for path in data.glob(kind.pattern)}
    known |= set(data.glob(f"{_HOME}/tile/0/*.p/*"))  # of which newer ones take the place of older ones
    files = {path for path in data.rglob("*") if path.is_file() and "views" not in path.relative_to(data).parts}
    assert {str(path.relative_to(data)) for path in files - known} == ELSEWHERE


@pytest.mark.parametrize("name", KINDS)
def test_flipped_bits_are_found(data: Path, judge: Judge, name: str) -> None:
    path, named = damaged(data, KINDS[name])
    content = path.read_bytes()
    whole, written = len(content), len(content.rstrip(b"\0"))  # of a commit segment, whose rest must be zeros
    for offset in {0, whole // 3, whole // 2, whole - 2, written - 2, min(written, whole - 1)}:
        with mended(path):
            path.write_bytes(content[:offset] + bytes([content[offset] ^ 4]) + content[offset + 1 :])
            judge.finds(named, f"{_HOME} record 0", "streams")  # a vault of another name has no good log


@pytest.mark.parametrize("name", KINDS)
def test_cut_and_zeroed_files_are_found(data: Path, judge: Judge, name: str) -> None:
    path, named = damaged(data, KINDS[name])
    content = path.read_bytes()
    for changed in (b"", content[: len(content) // 2], bytes(len(content))):
        with mended(path):
            path.write_bytes(changed)
            judge.finds(named)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "key-encryption key"])
def test_removed_files_are_missed(data: Path, judge: Judge, name: str) -> None:
    kind = KINDS[name]
    paths = sorted(data.glob(kind.pattern)) if name == "secret" else [damaged(data, kind)[0]]  # one is disabled: may go
    with mended(*paths):
        for path in paths:
            path.unlink()
        code, answer = judge()
        assert code == 1
        named = any(str(path.relative_to(data)) in finding["place"] for path in paths for finding in answer["findings"])
        assert named or answer["first_bad"]["seq"] is not None or _HOME in answer["first_bad"]["place"]


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind.apart])
def test_files_in_each_others_place_are_found(data: Path, judge: Judge, name: str) -> None:
    path, named = damaged(data, KINDS[name])
    others = list(data.glob(KINDS[name].pattern))
    others += [damaged(data, kind)[0] for other, kind in KINDS.items() if KINDS[name].pattern != kind.pattern]
    content = path.read_bytes()
    for other in [other for other in others if other.read_bytes() != content]:
        with mended(path, other):
            path.write_bytes(other.read_bytes())
            other.write_bytes(content)
            judge.finds(named, str(other.relative_to(data)), f"{_HOME}/checkpoint")


@pytest.mark.parametrize("name", KINDS)
def test_copies_under_another_name_are_found(data: Path, judge: Judge, name: str) -> None:
    path, _ = damaged(data, KINDS[name])
    twin = data / KINDS[name].twin
    fresh = not twin.parent.exists()
    twin.parent.mkdir(exist_ok=True)
    with mended(twin):
        shutil.copy(path, twin)
        judge.finds(KINDS[name].twin)
    if fresh:
        twin.parent.rmdir()


def test_the_anchor_beside_it_must_agree(data: Path, judge: Judge) -> None:
    [anchor] = [path for path in data.with_name("data.anchor").iterdir() if path.suffix != ".lock"]
    content = anchor.read_bytes()
    middle = len(content) // 2
    for changed in (bytes(len(content)), content[:middle], content[:middle] + b"+" + content[middle + 1 :]):
        with mended(anchor):
            anchor.write_bytes(changed)
            judge.finds(anchor.name)


@pytest.mark.parametrize(("name", "said"), [("kek", "key-encryption key"), (f"{STREAM}.signing", "signing key of")])
def test_a_key_that_does_not_open_stops_the_next_start(data: Path, name: str, said: str) -> None:
    path = data / "keys" / name
    with mended(path):
        content = path.read_bytes()
        path.write_bytes(content[:30] + bytes([content[30] ^ 1]) + content[31:])
        refused = command("doctor", "--data", data)
    assert refused.returncode == 2
    assert said in refused.stderr


def test_views_are_no_evidence_and_the_next_start_makes_them_anew(data: Path, tmp_path: Path, judge: Judge) -> None:
    shutil.copytree(data.with_name("data.anchor"), tmp_path / "data.anchor")
    copy = shutil.copytree(data, tmp_path / "data", ignore=shutil.ignore_patterns("views"))
    for _ in range(2):
        assert json.loads(command("verify", copy, "--json").stdout)["result"] == "good"
        assert command("principal", "list", "--data", copy).stdout.count("enabled") == 3
    assert (copy / "views/index").is_dir()
