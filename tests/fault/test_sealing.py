"""A crash before every system call of a seal over a file anchor, and then a start that goes on."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.anchor.file import FileAnchor
from audit.checkpoint import open_checkpoint
from audit.note import Signer
from audit.sealing import Sealer, start_sealer
from audit.tile_store import TileStore
from audit.tiles import root_at
from tests.doubles.syscalls import EIO, Crash, Syscalls
from vault import durable, merkle
from vault.errors import DurabilityError

if TYPE_CHECKING:
    from pathlib import Path

ORIGIN = "log.example/a"
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes(32)))
LEAVES = [sha256(n.to_bytes(4, "big")).digest() for n in range(600)]


def start(root: Path) -> Sealer:
    path = root / "log" / "checkpoint"
    return start_sealer(
        signer=SIGNER,
        anchor=FileAnchor(root / "anchor"),
        tiles=TileStore(root / "log"),
        publish=partial(durable.replace, path),
        published=path.read_bytes() if path.exists() else None,
        durable_size=len(LEAVES),
    )


def log_of(root: Path) -> Sealer:
    """A log that was sealed at sizes 10 and 250."""
    durable.make_dirs(root / "log")
    sealer = start(root)
    sealer.seal(LEAVES[:10])
    sealer.seal(LEAVES[10:250])
    return sealer


def size_of(path: Path) -> int:
    """The size of a checkpoint that opens and whose root the tiles give."""
    checkpoint = open_checkpoint(path.read_bytes(), ORIGIN, [SIGNER.verifier])
    tiles = TileStore(path.parent.parent / "log")
    assert root_at(checkpoint.size, tiles.read) == checkpoint.root == merkle.root(LEAVES[: checkpoint.size])
    return checkpoint.size


def anchored_path(root: Path) -> Path:
    return root / "anchor" / sha256(ORIGIN.encode()).hexdigest()


def steps(root: Path) -> int:
    sealer = log_of(root)
    with pytest.MonkeyPatch.context() as patch:
        calls = Syscalls(patch)
        sealer.seal(LEAVES[250:520])
    return len(calls.trace)


def test_after_a_crash_at_any_step_published_is_anchored_and_the_log_goes_on(tmp_path: Path) -> None:
    outcomes = set()
    for point in range(steps(tmp_path / "undisturbed")):
        root = tmp_path / str(point)
        sealer = log_of(root)
        with pytest.MonkeyPatch.context() as patch:
            Syscalls(patch, stop_at=point)
            with pytest.raises(Crash):
                sealer.seal(LEAVES[250:520])
        anchored, published = size_of(anchored_path(root)), size_of(root / "log" / "checkpoint")
        assert published <= anchored
        outcomes.add((anchored, published))
        again = start(root)
        assert again.size == anchored == size_of(root / "log" / "checkpoint")
        again.seal(LEAVES[again.size : 600])
        assert size_of(anchored_path(root)) == size_of(root / "log" / "checkpoint") == 600
    assert outcomes == {(250, 250), (520, 250), (520, 520)}


def test_an_error_at_any_step_of_the_tiles_is_fatal_and_nothing_is_signed(tmp_path: Path) -> None:
    sealer = log_of(tmp_path / "undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        calls = Syscalls(patch)
        sealer.seal(LEAVES[250:520])
    anchoring = next(number for number, call in enumerate(calls.trace) if call.endswith(".lock"))
    for point in (number for number in range(anchoring) if calls.trace[number].startswith("fsync")):
        root = tmp_path / str(point)
        sealer = log_of(root)
        with pytest.MonkeyPatch.context() as patch:
            Syscalls(patch, stop_at=point, error=EIO)
            with pytest.raises(DurabilityError):
                sealer.seal(LEAVES[250:520])
        assert size_of(anchored_path(root)) == 250
