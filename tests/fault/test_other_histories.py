"""One writer, one history: a second server, an old backup, and root with every key, against what is known outside."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Final

import pytest

from tests.demo.exported import records
from tests.fault.forger import Forger
from tests.fault.load import Client, Load
from tests.integration.served import Server, command

if TYPE_CHECKING:
    from pathlib import Path

PORTS: Final = ("--s3", "127.0.0.1:0", "--audit", "127.0.0.1:0")
#: The forged record stands at this seq or after it.
RECORDS: Final = 1000
#: At least, of three clients.
RECORDS_OF_A_TURN: Final = 15
FAST: Final = {"STRONGROOM_LEDGER__SEGMENT_MIB": "1", "STRONGROOM_CHECKPOINT__INTERVAL_S": "0.05"}


class Vault:
    """A vault with some history, stopped, and copies of it.

    Attributes:
        data: Its directory.
        old: A backup from the middle of its history, with its anchor beside it.
        outcomes_of_old: What clients were told until then.
        saved: Its last checkpoint, kept elsewhere.
        size: Of that checkpoint.
    """

    def __init__(self, root: Path) -> None:
        server = Server(root, FAST)
        self.data = server.data
        owner = Client(server.endpoint, server.access_key, server.secret_key, "owner")
        assert owner.ask("PUT", headers={"x-amz-bucket-object-lock-enabled": "true"}).status == 200
        self.outcomes_of_old = Load(server, turns=8, names="a").wait()
        assert server.stop() == 0
        self.old = copied(self.data, root / "old" / "data")
        server.start()
        Load(server, turns=RECORDS // RECORDS_OF_A_TURN, names="b").wait()
        settled = self.data / "streams" / "site-a.node-1" / "ledger"
        while not list(settled.iterdir()):
            owner.ask("GET", "nothing")
        owner.close()
        assert server.stop() == 0
        self.saved = root / "saved-checkpoint"
        self.saved.write_bytes((self.data / "streams" / "site-a.node-1" / "checkpoint").read_bytes())
        self.size = int(self.saved.read_text().split("\n")[1])


def copied(data: Path, to: Path, anchor: Path | None = None) -> Path:
    """Copy a data directory with its anchor, or with another one."""
    shutil.copytree(data, to)
    shutil.copytree(anchor or data.with_name("data.anchor"), to.with_name("data.anchor"))
    return to


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault(tmp_path_factory.mktemp("vault"))


def test_a_second_server_on_the_same_directory_is_refused(tmp_path: Path) -> None:
    first = Server(tmp_path)
    second = command("serve", "--data", first.data, *PORTS)
    assert second.returncode not in {0, 3}
    assert f"{first.data} is open in another process" in second.stderr
    assert "Traceback" not in second.stderr
    assert first.stop() == 0


def test_an_old_backup_beside_a_newer_anchor_does_not_start(vault: Vault, tmp_path: Path) -> None:
    data = copied(vault.old, tmp_path / "data", anchor=vault.data.with_name("data.anchor"))
    refused = command("serve", "--data", data, *PORTS)
    assert refused.returncode not in {0, 3}
    assert "strongroom recover" in refused.stderr
    assert f"size {vault.size} was anchored" in refused.stderr
    segments = [path.name for path in (data / "streams" / "site-a.node-1" / "commit").iterdir()]
    assert command("serve", "--data", data, *PORTS).returncode == refused.returncode
    again = [path.name for path in (data / "streams" / "site-a.node-1" / "commit").iterdir()]
    assert again == segments  # nothing was written, however often somebody tries
    assert "Traceback" not in refused.stderr


def test_a_backup_without_its_anchor_does_not_start_and_names_recover(vault: Vault, tmp_path: Path) -> None:
    shutil.copytree(vault.old, tmp_path / "data")
    before = sorted(path for path in (tmp_path / "data").rglob("*") if "views" not in path.parts)
    refused = command("serve", "--data", tmp_path / "data", *PORTS)
    assert refused.returncode == 2
    assert "is empty, while this ledger has published size" in refused.stderr
    assert "strongroom recover" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "data.anchor").exists()
    assert sorted(path for path in (tmp_path / "data").rglob("*") if "views" not in path.parts) == before
    assert command("verify", tmp_path / "data").returncode == 0  # by itself it is whole
    told = command("verify", tmp_path / "data", "--checkpoint", vault.saved)
    assert (told.returncode, f"it says the log has {vault.size} records" in told.stdout) == (1, True)


def test_an_old_backup_with_its_own_anchor_starts_and_a_saved_checkpoint_tells(vault: Vault, tmp_path: Path) -> None:
    data = copied(vault.old, tmp_path / "data")
    added = command("principal", "add", "later", "--role", "auditor", "--data", data)
    assert added.returncode == 0, added.stderr
    assert command("verify", data).returncode == 0
    told = command("verify", data, "--checkpoint", vault.saved)
    assert told.returncode == 1
    assert f"it says the log has {vault.size} records" in told.stdout


class Lie:
    """Another client's address in one record, the first of a PUT from seq 1000 on.

    Attributes:
        seq: Of that record; -1 before it was met.
    """

    def __init__(self) -> None:
        self.seq = -1

    def __call__(self, record: bytes) -> bytes:
        seq = int(json.loads(record)["seq"])
        if self.seq >= 0 or seq < RECORDS or b'"op":"object.put"' not in record:
            return record
        self.seq = seq
        return record.replace(b'"ip":"127.0.0.1"', b'"ip":"127.0.0.9"')


def leaves(data: Path, to: Path) -> list[bytes]:
    """Every record of a vault in order, as exported."""
    assert command("log", "export", "site-a.node-1", to, "--data", data).returncode == 0
    return [record for _, record in sorted(records(to).items())]


def test_a_history_rewritten_with_every_key_is_found_by_a_saved_checkpoint_alone(vault: Vault, tmp_path: Path) -> None:
    data = copied(vault.data, tmp_path / "data")
    assert command("verify", data, "--checkpoint", vault.saved).returncode == 0
    lie = Lie()
    assert Forger(data, lie).rewrite() == vault.size
    assert RECORDS <= lie.seq < vault.size
    true, false = leaves(vault.data, tmp_path / "true"), leaves(data, tmp_path / "false")
    changed = [seq for seq, (one, other) in enumerate(zip(true, false, strict=True)) if one != other]
    assert changed == list(range(lie.seq, vault.size))  # the record, and after it what chains to it
    alone = command("verify", data)
    assert (alone.returncode, "NOT ANCHORED" in alone.stdout) == (0, True), alone.stdout
    added = command("principal", "add", "later", "--role", "auditor", "--data", data)
    assert added.returncode == 0, added.stderr
    told = command("verify", data, "--checkpoint", vault.saved)
    assert told.returncode == 1
    assert f"its root at size {vault.size} is not the root of the records" in told.stdout
