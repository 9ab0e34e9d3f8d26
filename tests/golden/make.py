"""Writes the golden files of format 1: a data directory and its exported log, made by the product as it is now.

    python -m tests.golden.make

They are made once: later versions must read them as they are. A format 2 gets files of its own.
"""

from __future__ import annotations

import json
import sys
import tarfile
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tests.golden.life import STREAM, Stored, live
from tests.integration.served import command

HERE: Final = Path(__file__).parent
#: A data directory and its anchor, ``data`` and ``data.anchor``; compressed, whatever its name says.
DATA: Final = HERE / "datadir-v1.tar"
#: The log of that vault as ``strongroom log export`` writes it, ``log``.
LOG: Final = HERE / "log-v1.tar"
#: What somebody outside would have kept: the log's key, and a checkpoint from early in its life.
VKEY: Final = HERE / "v1.vkey"
CHECKPOINT: Final = HERE / "v1.checkpoint"
#: What the vault holds: see :class:`Expected`.
EXPECTED: Final = HERE / "v1.json"


@dataclass(frozen=True)
class Expected:
    """The size and root of the log when the vault was stopped, the first principal, and every version."""

    size: int
    root: str
    access_key: str
    secret_key: str
    stored: list[Stored]


def expected() -> Expected:
    """Read what the golden vault holds."""
    fields = json.loads(EXPECTED.read_text())
    return Expected(**{**fields, "stored": [Stored(*row) for row in fields["stored"]]})


def unpack(archive: Path, to: Path) -> None:
    """Unpack an archive as it was packed."""
    with tarfile.open(archive) as tar:
        tar.extractall(to, filter="data")


def make() -> None:
    """Make all files."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        life = live(root)
        told = json.loads(command("verify", life.data, "--json").stdout)
        credentials = dict(line.split(" = ") for line in (life.data / "root.credentials").read_text().splitlines())
        pack(DATA, life.data, life.data.with_name("data.anchor"))
        exported = command("log", "export", STREAM, root / "log", "--data", life.data)
        assert exported.returncode == 0, exported.stderr
        pack(LOG, root / "log")
    VKEY.write_text(life.vkey)
    CHECKPOINT.write_bytes(life.checkpoint)
    EXPECTED.write_text(
        json.dumps(asdict(Expected(told["size"], told["root"], **credentials, stored=life.stored)), indent=1) + "\n"
    )


def pack(archive: Path, *directories: Path) -> None:
    """Pack directories without what belongs to this machine: sockets, spare segments, owners."""

    def cleaned(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
        entry.uid = entry.gid = 0
        entry.uname = entry.gname = ""
        return entry if (entry.isfile() or entry.isdir()) and "/views/spare/" not in entry.name else None

    with tarfile.open(archive, "w:xz") as tar:
        for directory in directories:
            tar.add(directory, directory.name, filter=cleaned)


if __name__ == "__main__":
    if any(path.exists() for path in (DATA, LOG, VKEY, CHECKPOINT, EXPECTED)):
        sys.exit("the golden files of format 1 are there, and are not made again")
    make()
