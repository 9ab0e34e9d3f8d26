"""The verifier: its hash pass alone, and the whole of it, for a core and for all cores together."""

from __future__ import annotations

import resource
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Final

import msgspec

from audit.verify.exported import parse_bundle
from audit.verify.tree import TILE_WIDTH, Frontier, leaf_hash, subtree_root, tile_path
from tests.bench.goals import AMOUNT
from tests.demo.exported import checkpoint_size
from tests.demo.server import Failed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.measure import Results
    from tests.demo.server import Vault

#: Of a tile's root above its leaves.
_TILE_HEIGHT: Final = 8


def verify(vault: Vault, results: Results, what: str, *, repeats: int) -> None:
    """Verify a data directory, every byte of it, and the log exported from it."""
    stream = vault.run("log", "list", "--data", vault.data).split("\t")[0]
    exported = vault.home / "exported"
    vault.run("log", "export", stream, exported, "--data", vault.data)
    for _ in range(repeats):
        figures = _full_pass(vault, vault.data, "full pass")
        figures |= {AMOUNT: figures.pop("full pass, records")}
        figures |= _hash_pass(exported)
        others = _full_pass(vault, exported, "exported log")
        figures |= {name: value for name, value in others.items() if not name.endswith("records")}
        results.add(f"verify: {what}", figures)


def _full_pass(vault: Vault, target: Path, name: str) -> dict[str, float]:
    """The command, on all cores; a core's share by the processor time of all of its processes."""
    before, started = _children_cpu(), time.monotonic()
    size = msgspec.json.decode(vault.run("verify", target, "--json"))["size"]
    took, cpu = time.monotonic() - started, _children_cpu() - before
    return {
        f"{name}, records": size,
        f"{name}, records a second a core": size / cpu,
        f"{name}, records a second, wall, all cores": size / took,
    }


def _hash_pass(exported: Path) -> dict[str, float]:
    """The verifier's own leaf hashes and tree over every record, and nothing else, in this one process.

    Raises:
        Failed: The root is not that of the checkpoint, so something else was measured.
    """
    note = (exported / "checkpoint").read_bytes()
    size, tree, cpu = checkpoint_size(note), Frontier(), 0.0
    for number in range(-(-size // TILE_WIDTH)):
        path = tile_path("entries", number, min(TILE_WIDTH, size - number * TILE_WIDTH))
        records = parse_bundle((exported / path).read_bytes(), path)
        started = time.thread_time()
        leaves = [leaf_hash(record) for record in records]
        if len(leaves) == TILE_WIDTH:
            tree.append(subtree_root(leaves), _TILE_HEIGHT)
        else:
            for leaf in leaves:
                tree.append(leaf)
        cpu += time.thread_time() - started
    if b64encode(tree.root()) != note.split(b"\n")[2]:
        raise Failed("the hash pass did not end at the root of the checkpoint")
    return {"hash pass, records a second a core": size / cpu}


def _children_cpu() -> float:
    """Processor time of all processes that we started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
