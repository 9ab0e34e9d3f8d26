"""A proof from the audit port, as golang.org/x/mod/sumdb reads it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from audit.proof import NotSealedYet, tlog_proof
from tests.doubles.node import FakeNode

if TYPE_CHECKING:
    from pathlib import Path

    from audit.tiles import Tile


def sealed(size: int) -> FakeNode:
    node = FakeNode()
    node.write(size)
    node.seal()
    return node


def prove(node: FakeNode, index: int) -> bytes:
    stream = node.identity.stream

    def read(tile: Tile) -> bytes:
        return node.tile(stream, tile.path)

    return tlog_proof(index, node.checkpoint(stream), read)


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 700])
def test_a_stranger_accepts_a_proof_of_any_record(tlog_checker: Path, tmp_path: Path, size: int) -> None:
    node = sealed(size)
    for index in sorted({0, size // 2, size - 1}):
        (tmp_path / "proof").write_bytes(prove(node, index))
        (tmp_path / "record").write_bytes(node.written[index])
        checked = subprocess.run(
            [tlog_checker, tmp_path / "proof", tmp_path / "record", node.signer.verifier.encode()],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (checked.stdout, checked.stderr) == (f"{index} {size}\n", "")


@pytest.mark.parametrize("harm", ["record", "index", "hash", "checkpoint"])
def test_a_stranger_refuses_anything_else(tlog_checker: Path, tmp_path: Path, harm: str) -> None:
    node = sealed(300)
    proof, record = prove(node, 17), node.written[17]
    if harm == "record":
        record = record[:-2] + bytes([record[-2] ^ 1]) + record[-1:]
    lines = proof.split(b"\n")
    if harm == "index":
        lines[1] = b"index 18"
    if harm == "hash":
        lines[2], lines[3] = lines[3], lines[2]
    if harm == "checkpoint":
        at = lines.index(b"") + 2
        lines[at] = b"301"
    (tmp_path / "proof").write_bytes(b"\n".join(lines))
    (tmp_path / "record").write_bytes(record)
    vkey = node.signer.verifier.encode()
    checked = subprocess.run(
        [tlog_checker, tmp_path / "proof", tmp_path / "record", vkey], capture_output=True, check=False
    )
    assert checked.returncode == 1


def test_what_no_checkpoint_covers_has_no_proof_yet() -> None:
    node = sealed(3)
    node.write(1)
    with pytest.raises(NotSealedYet, match="covers 3 records, not yet record 3"):
        prove(node, 3)
    with pytest.raises(NotSealedYet, match="covers 0 records"):
        tlog_proof(0, None, lambda tile: b"")
