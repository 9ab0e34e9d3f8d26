"""What version 1 left behind is opened, read and verified by every later version."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from audit.config import load
from audit.node import Node
from audit.verify.command import main
from tests.golden.make import CHECKPOINT, DATA, LOG, VKEY, expected, unpack
from vault.service.documents import Documents
from vault.service.plaintext import Plaintext
from vault.state import lookup
from vault.state.rows import VersionRow
from vault.times import parse_rfc3339

if TYPE_CHECKING:
    from pathlib import Path

    from tests.golden.life import Stored

EXPECTED = expected()
SETTINGS = load(None, {"STRONGROOM_LEDGER__SEGMENT_MIB": "1", "STRONGROOM_DISK__RESERVE_MIB": "0"})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    unpack(DATA, tmp_path)
    return tmp_path / "data"


def verified(target: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What the verifier says of a target that is good in the eyes of who kept the old key and checkpoint."""
    options = ["--vkey", str(VKEY), "--checkpoint", str(CHECKPOINT), "--require-anchor", "--json"]
    code = main([str(target), *options])
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (code, answer["anchored"]) == (0, True), answer
    return answer


def test_a_data_directory_is_verified(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = verified(data, capsys)
    assert (answer["size"], answer["root"]) == (EXPECTED.size, EXPECTED.root)
    assert [state["name"] for state in answer["states"]] == ["erasure"]


def test_an_exported_log_is_verified(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unpack(LOG, tmp_path)
    assert verified(tmp_path / "log", capsys)["size"] >= EXPECTED.size  # an export is a start, too


@pytest.mark.parametrize("views", ["as they were left", "gone"])
def test_a_data_directory_is_opened_and_everything_in_it_is_read(
    data: Path, capsys: pytest.CaptureFixture[str], views: str
) -> None:
    if views == "gone":
        shutil.rmtree(data / "views")
    with Node.open(data, SETTINGS) as node:
        root = next(row for row in node.principals.all() if row.access_key == EXPECTED.access_key)
        assert (root.roles, node.secrets.get(root.id)) == (("root",), EXPECTED.secret_key)
        assert [read(node, stored) for stored in EXPECTED.stored] == EXPECTED.stored
        made = [row for _, row in node.stores.index.scan(b"v", b"w") if isinstance(row, VersionRow)]
        assert {row.actor for row in made} == {root.id}  # which the index of then did not know
        assert node.status().problems == []
    assert verified(data, capsys)["size"] > EXPECTED.size


def read(node: Node, stored: Stored) -> Stored:
    """What a version is now."""
    index = node.stores.index
    row = lookup.resolve(index, stored.bucket, stored.key, stored.version_id)
    pieces = Plaintext(Documents(node.stores, node.keyring), node.stores.blobs, index).pieces(row, 0, row.size - 1)
    digest = hashlib.sha256(b"".join(pieces)).hexdigest()
    if row.mode:
        assert row.until == parse_rfc3339(stored.until)
    return stored._replace(sha256=digest, mode=row.mode, until=stored.until if row.mode else "", hold=row.hold)
