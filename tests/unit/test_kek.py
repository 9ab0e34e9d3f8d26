from __future__ import annotations

import base64
import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from vault import durable
from vault.crypto import kek
from vault.crypto.kek import VARIABLE, EnvironmentKek, FileKek
from vault.errors import KeyringError

if TYPE_CHECKING:
    from pathlib import Path

KEK = bytes(range(32))
TEXT = base64.b64encode(KEK)
BAD = {
    "empty": b"",
    "no base64": b"!" * 44,
    "too short": base64.b64encode(KEK[:31]),
    "too long": base64.b64encode(KEK + b"\0"),
    "raw": KEK,
    "not ASCII": "ü".encode() * 44,
    "with a tail": TEXT + b" " + TEXT,
}


def test_a_new_file_is_read_back_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    kek.write_new(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(FileKek(path).load()) == kek.KEK_BYTES
    with pytest.raises(durable.NameTaken):
        kek.write_new(path)


def test_file_and_variable_take_the_same_text(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    durable.write_new(path, TEXT + b"\n")
    assert FileKek(path).load() == KEK
    assert EnvironmentKek({VARIABLE: path.read_text()}).load() == KEK


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_is_no_kek_is_refused_without_being_quoted(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "kek"
    durable.write_new(path, text)
    for provider in (FileKek(path), EnvironmentKek({VARIABLE: text.decode(errors="replace")})):
        with pytest.raises(KeyringError, match="does not hold base64") as caught:
            provider.load()
        assert caught.value.__context__ is None or not str(caught.value.__context__).count(TEXT.decode()[:8])
        assert TEXT.decode()[:8] not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "kek"
    durable.write_new(path, TEXT)
    path.chmod(mode)
    with pytest.raises(KeyringError, match="chmod 600"):
        FileKek(path).load()


def test_no_file_a_link_and_a_pipe_are_refused(tmp_path: Path) -> None:
    real, link, pipe = tmp_path / "real", tmp_path / "link", tmp_path / "pipe"
    durable.write_new(real, TEXT)
    link.symlink_to(real)
    os.mkfifo(pipe, 0o600)
    for path in (tmp_path / "none", link, pipe, tmp_path):
        with pytest.raises(KeyringError):
            FileKek(path).load()


def test_no_variable_is_refused() -> None:
    with pytest.raises(KeyringError, match=VARIABLE):
        EnvironmentKek({}).load()


def test_the_id_is_a_digest_under_its_own_label() -> None:
    assert kek.kek_id(KEK) == hashlib.sha256(b"strongroom kek id" + KEK).hexdigest()[:8]
