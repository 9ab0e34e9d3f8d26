"""ZIPs of strangers: what is no production's is named before it is unpacked, and nothing is left or led elsewhere."""

from __future__ import annotations

import json
import shutil
import stat
import struct
import tempfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.production.archive import pieces
from audit.verify import packed
from audit.verify.anchor import Outside
from audit.verify.command import main
from audit.verify.report import Bad, Report, Unchecked
from tests.unit.production.bags import ID, sealed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where things are unpacked; empty again after each test."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def said(path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    code = main([str(path), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == {"good": 0, "bad": 1, "unchecked": 2}[found["result"]]
    return found


def member(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo("x")
    made.filename, made.create_system, made.external_attr = name, 3, mode << 16
    return made


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (member("../escape"), "no name of a file"),
        (member("a/../../escape"), "no name of a file"),
        (member("a/.."), "no name of a file"),
        (member("/etc/escape"), "no name of a file"),
        (member("C:\\escape"), "no name of a file"),
        (member("a//b"), "no name of a file"),
        (member("\x1b[2J"), "no name of a file"),
        (member("a" * 1025), "no name of a file"),
        (member("link", stat.S_IFLNK | 0o777), "is no regular file"),
        (member("device", stat.S_IFCHR), "is no regular file"),
        (member("FIRST"), "two members are called"),
        (member("first/"), "two members are called"),
    ],
)
def test_what_a_production_never_has_is_bad(
    tmp_path: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str], entry: zipfile.ZipInfo, why: str
) -> None:
    with zipfile.ZipFile(tmp_path / "it.zip", "w") as out:
        out.writestr("first", b"")
        out.writestr(entry, b"out of here")
    found = said(tmp_path / "it.zip", capsys)
    assert found["result"] == "bad"
    assert why in found["first_bad"]["why"]
    assert list(elsewhere.iterdir()) == []
    assert not (tmp_path / "escape").exists()


def test_a_bomb_is_not_unpacked(tmp_path: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "it.zip", "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("bomb", bytes(50_000_000))
    assert "times its size" in said(tmp_path / "it.zip", capsys)["first_bad"]["why"]


def test_members_made_of_the_same_bytes_are_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(tmp_path / "it.zip", "w") as out:
        for name in "ab":
            out.writestr(name, bytes(100_000))
        out.filelist[1].header_offset = out.filelist[0].header_offset
        out.filelist[1].compress_size = out.filelist[1].file_size = 200_000
    assert said(tmp_path / "it.zip", capsys)["result"] == "bad"


def test_what_is_encrypted_or_packed_otherwise_is_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for method, flags in ((zipfile.ZIP_LZMA, 0), (zipfile.ZIP_STORED, 1)):
        with zipfile.ZipFile(tmp_path / "it.zip", "w", method) as out:
            out.writestr("a", b"a")
            out.filelist[0].flag_bits |= flags
        assert "is encrypted, or packed" in said(tmp_path / "it.zip", capsys)["first_bad"]["why"]


def test_without_room_it_cannot_be_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "it.zip").write_bytes(b"".join(pieces(sealed(tmp_path / "bag"), ID)))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    assert "set TMPDIR" in said(tmp_path / "it.zip", capsys)["unchecked"]


@pytest.mark.parametrize(
    ("data", "why"), [(b"age-encryption.org/v1\n", "decrypt it first"), (b"", "no ZIP"), (b"hello", "no ZIP")]
)
def test_what_is_no_zip_cannot_be_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: bytes, why: str
) -> None:
    (tmp_path / "it").write_bytes(data)
    assert why in said(tmp_path / "it", capsys)["unchecked"]


def test_a_place_is_named_as_in_the_zip(tmp_path: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "it.zip"
    target.write_bytes(b"".join(pieces(sealed(tmp_path / "bag"), ID)))
    found = said(target, capsys)
    assert found["first_bad"]["place"] == f"{target}/data/production.json"  # this bag is no whole production
    assert str(elsewhere) not in json.dumps(found)
    assert list(elsewhere.iterdir()) == []


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_zip_is_never_a_traceback(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    home = tmp_path_factory.mktemp("damaged")
    whole = bytearray(b"".join(pieces(sealed(home / "bag"), ID))[-6000:])
    whole[:4] = b"PK\x03\x04"
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(4, len(whole) - 4))
        whole[at : at + 4] = struct.pack("<I", data.draw(st.integers(0, 2**32 - 1)))
    (home / "it.zip").write_bytes(whole)
    report = packed_report(home / "it.zip")
    assert "internal error" not in report


def packed_report(path: Path) -> str:
    """What comes of it, with no way out but the two that there are."""
    try:
        packed.verify_packed(str(path), Outside([], []), Report(str(path)), lambda _: None)
    except (Bad, Unchecked) as error:
        return str(error)
    return ""
