"""kill -9 while keys are rotated, restored and backed up: the vault opens with the KEK that the order of steps says."""

from __future__ import annotations

import base64
import json
import shutil
import signal
from collections import Counter
from typing import TYPE_CHECKING, Final

import pytest

from tests.demo.exported import records
from tests.fault.judge import problems, verified
from tests.fault.load import Client, Load
from tests.fault.test_kill import BACKUP, FAST, RESTORE, ROTATE
from tests.fault.test_other_histories import PORTS, copied
from tests.integration.served import Server, command
from vault.crypto.kek import VARIABLE, decode, kek_id
from vault.crypto.keyring import wrapped_by

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.fault.load import Outcome

PASSPHRASE: Final = "a passphrase of the test"
#: Steps after which the new KEK counts.
NEW_COUNTS: Final = frozenset(ROTATE) - {"rotate.written"}
OLD_KEK: Final = base64.b64encode(b"old".ljust(32, b".")).decode()
NEW_KEK: Final = base64.b64encode(b"new".ljust(32, b".")).decode()


class Kept:
    """A vault with some history, stopped, a backup of its keys, and what its clients were told."""

    def __init__(self, root: Path, env: Mapping[str, str]) -> None:
        server = Server(root, env)
        self.data, self.file = server.data, root / "backup"
        owner = Client(server.endpoint, server.access_key, server.secret_key, "owner")
        assert owner.ask("PUT", headers={"x-amz-bucket-object-lock-enabled": "true"}).status == 200
        for year in (2090, 2091):
            lock = {
                "x-amz-object-lock-mode": "COMPLIANCE",
                "x-amz-object-lock-retain-until-date": f"{year}-01-01T00:00:00Z",
            }
            assert owner.ask("PUT", f"in-{year}", body=b"x", headers=lock).status == 200
        owner.close()
        self.outcomes: Sequence[Outcome] = [*owner.outcomes, *Load(server, turns=4, names="k").wait()]
        made = server.cli("key", "backup", self.file, "--passphrase-stdin", stdin=PASSPHRASE)
        assert made.returncode == 0, made.stderr
        assert server.stop() == 0


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return Kept(tmp_path_factory.mktemp("kept"), FAST)


def ops(data: Path) -> Counter[str]:
    """How many records of each operation the ledger holds."""
    target = data.parent / "exported"
    assert command("log", "export", "site-a.node-1", target, "--data", data, env=FAST).returncode == 0
    found = Counter(json.loads(record)["op"] for record in records(target).values())
    shutil.rmtree(target)
    return found


def current(data: Path) -> str:
    """The id of the KEK that is kept beside the vault."""
    return kek_id(decode((data / "keys" / "kek").read_bytes(), ""))


def leftovers(data: Path) -> list[str]:
    return [name for name in ("kek.next", "unrecorded.json") if (data / "keys" / name).exists()]


@pytest.mark.parametrize("point", ROTATE)
def test_a_kill_while_a_command_rotates_is_completed_or_taken_back(kept: Kept, tmp_path: Path, point: str) -> None:
    data = copied(kept.data, tmp_path / "data")
    old = current(data)
    killed = command("key", "rotate", "--data", data, env={**FAST, "STRONGROOM_CRASH_POINT": point})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert verified(data) == ""
    assert problems(data, kept.outcomes) == []
    assert (current(data) != old) == (point in NEW_COUNTS)
    assert wrapped_by(data / "keys") == {current(data)}
    assert leftovers(data) == []
    assert ops(data)["key.rotate"] == (point in NEW_COUNTS)
    again = command("key", "rotate", "--data", data, env=FAST)
    assert again.returncode == 0, again.stderr
    assert problems(data, kept.outcomes) == []


@pytest.mark.parametrize("point", ROTATE)
def test_a_kill_of_a_server_that_rotates_under_load_loses_nothing(kept: Kept, tmp_path: Path, point: str) -> None:
    copied(kept.data, tmp_path / "data")
    server = Server(tmp_path, {**FAST, "STRONGROOM_CRASH_POINT": point})
    load = Load(server, names="r")
    told = server.cli("key", "rotate")
    assert server.wait() == -signal.SIGKILL, told.stderr
    assert told.returncode == 2
    outcomes = [*kept.outcomes, *load.wait()]
    assert verified(server.data) == ""
    assert problems(server.data, outcomes) == []
    assert leftovers(server.data) == []
    assert ops(server.data)["key.rotate"] == (point in NEW_COUNTS)


def test_a_rotation_under_load_is_seen_by_nobody(kept: Kept, tmp_path: Path) -> None:
    copied(kept.data, tmp_path / "data")
    server = Server(tmp_path, FAST)
    load = Load(server, names="l")
    for _ in range(3):
        done = server.cli("key", "rotate", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["kek"] == current(server.data)
    outcomes = load.stop()
    assert all(outcome.status < 500 for outcome in outcomes)
    server.kill()
    assert problems(server.data, [*kept.outcomes, *outcomes]) == []
    assert ops(server.data)["key.rotate"] == 3


@pytest.fixture(scope="module")
def external(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """A vault whose KEK is in the environment."""
    return Kept(tmp_path_factory.mktemp("external"), {**FAST, VARIABLE: OLD_KEK})


@pytest.mark.parametrize(
    ("point", "opens"),
    [
        ("rotate.written", {OLD_KEK}),
        ("rotate.first", {OLD_KEK, NEW_KEK}),
        ("rotate.second", {NEW_KEK}),
        ("rotate.opened", {NEW_KEK}),
        ("rotate.recorded", {NEW_KEK}),
        ("rotate.replaced", {NEW_KEK}),
    ],
)
def test_a_kek_of_the_environment_opens_as_the_order_of_steps_says(
    external: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, opens: set[str]
) -> None:
    data = copied(external.data, tmp_path / "data")
    new = tmp_path / "new"
    new.write_text(NEW_KEK)
    new.chmod(0o600)
    env = {**FAST, VARIABLE: OLD_KEK}
    killed = command("key", "rotate", "--kek-file", new, "--data", data, env={**env, "STRONGROOM_CRASH_POINT": point})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert verified(data) == ""
    for number, kek in enumerate((OLD_KEK, NEW_KEK)):
        some = copied(data, tmp_path / str(number) / "data")
        if kek in opens:
            monkeypatch.setenv(VARIABLE, kek)
            assert problems(some, external.outcomes) == []
            assert leftovers(some) == []
        else:
            refused = command("serve", "--data", some, *PORTS, env={**FAST, VARIABLE: kek})
            assert refused.returncode not in {0, 3}
            assert "wrapped by the key-encryption key" in refused.stderr


@pytest.mark.parametrize("point", RESTORE)
def test_a_kill_while_keys_are_restored_is_completed_by_the_same_command(
    kept: Kept, tmp_path: Path, point: str
) -> None:
    data = copied(kept.data, tmp_path / "data")
    shutil.rmtree(data / "keys")
    restore = ("key", "restore", kept.file, "--passphrase-stdin", "--data", data)
    killed = command(*restore, env={**FAST, "STRONGROOM_CRASH_POINT": point}, stdin=PASSPHRASE)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    if point in {"restore.files", "restore.recorded"}:  # all is in place: a start may come first, and records it
        assert verified(data) == ""
        assert problems(data, kept.outcomes) == []
    again = command(*restore, env=FAST, stdin=PASSPHRASE)
    assert again.returncode == 0, again.stderr
    assert problems(data, kept.outcomes) == []
    assert leftovers(data) == []
    assert 1 <= ops(data)["key.restore"] <= 2


def test_a_backup_cut_short_before_its_record_is_not_taken_for_one(kept: Kept, tmp_path: Path) -> None:
    (point,) = BACKUP
    data = copied(kept.data, tmp_path / "data")
    backup = ("key", "backup", tmp_path / "keys", "--passphrase-stdin", "--data", data)
    before = ops(data)["key.backup"]
    killed = command(*backup, env={**FAST, "STRONGROOM_CRASH_POINT": point}, stdin=PASSPHRASE)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600
    assert ops(data)["key.backup"] == before
    again = command(*backup, env=FAST, stdin=PASSPHRASE)
    assert (again.returncode, "no backup is written over" in again.stderr) == (2, True)
    shutil.rmtree(data / "keys")
    done = command(
        "key", "restore", tmp_path / "keys", "--passphrase-stdin", "--data", data, env=FAST, stdin=PASSPHRASE
    )
    assert done.returncode == 0, done.stderr
    assert problems(data, kept.outcomes) == []
