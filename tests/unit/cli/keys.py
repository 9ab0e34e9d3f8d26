"""What tests of ``strongroom key`` share: a vault with cheap backups, and what its keys and its ledger are."""

from __future__ import annotations

import base64
import json
import shutil
from typing import TYPE_CHECKING

from tests.demo.exported import records

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    Run = Callable[..., Result]

PASSPHRASE = "a passphrase of the test"
STREAM = "site-a.node-1"
KEK = base64.b64encode(bytes(range(32))).decode()
OTHER = base64.b64encode(bytes(range(1, 33))).decode()


def restore(
    run: Run, file: Path, data: Path, passphrase: str = PASSPHRASE, env: dict[str, str] | None = None
) -> Result:
    return run("key", "restore", file, "--passphrase-stdin", "--data", data, stdin=passphrase, env=env)


def keys_of(data: Path) -> dict[str, bytes]:
    return {str(path.relative_to(data)): path.read_bytes() for path in (data / "keys").rglob("*") if path.is_file()}


def told(run: Run, data: Path, op: str) -> list[dict[str, object]]:
    """What the records of one operation say of the keys."""
    target = data.with_name("exported")
    assert run("log", "export", STREAM, target, "--data", data).exit_code == 0
    found = [json.loads(record) for _, record in sorted(records(target).items())]
    shutil.rmtree(target)
    return [record["keys"] for record in found if record["op"] == op]
