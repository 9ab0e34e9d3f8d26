"""Backups of a vault under load, restored beside anchors that know more, less and nothing; and kills in the middle."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from audit.backup.create import create
from audit.errors import ControlFailed
from tests.fault.judge import SETTINGS, problems, verified
from tests.fault.load import Client, Load
from tests.fault.small_disk import small_disk
from tests.fault.test_kill import DIRECTORY, FAST
from tests.integration.served import Server, command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.fault.load import Outcome

#: Crash points of ``backup``, and the one of ``restore``.
*MAKING, RESTORING = DIRECTORY

pytestmark = pytest.mark.timeout(180)


@dataclass
class Lived:
    """A vault that worked all the time, what its clients were told, and its backup: made while three of them worked."""

    server: Server
    outcomes: Sequence[Outcome]
    target: Path
    made: dict[str, Any]
    anchor_before: Path

    @property
    def before(self) -> list[Outcome]:
        """What was told by records below the backup's N."""
        end = self.made["streams"][-1]["records"]
        return [outcome for outcome in self.outcomes if outcome.record and int(outcome.record.split("/")[1]) < end]


def copied_anchor(data: Path, target: Path) -> Path:
    """A copy of the anchor's directory, without what a swap that goes on meanwhile is about to rename."""
    return shutil.copytree(data.with_name("data.anchor"), target, ignore=shutil.ignore_patterns("*.tmp"))


def backed_up(server: Server, target: Path, env: dict[str, str] | None = None) -> dict[str, Any]:
    done = command("backup", target, "--data", server.data, "--json", env={**FAST, **(env or {})})
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lived]:
    root = tmp_path_factory.mktemp("lived")
    server = Server(root, FAST)
    owner = Client(server.endpoint, server.access_key, server.secret_key, "owner")
    assert owner.ask("PUT", headers={"x-amz-bucket-object-lock-enabled": "true"}).status == 200
    owner.close()
    early = Load(server, seed=1, turns=40, names="early").wait()
    load = Load(server, seed=2, names="during")
    backed_up(server, root / "target")
    before = copied_anchor(server.data, root / "anchor-before")
    made = backed_up(server, root / "target")
    during = load.stop()
    late = Load(server, seed=3, turns=5, names="late").wait()
    yield Lived(server, [*early, *during, *late], root / "target", made, before)
    if server.running:
        assert server.stop() == 0, server.errors


def restored(lived: Lived, data: Path, code: int, *options: str) -> dict[str, Any]:
    done = command("restore", lived.target, "--data", data, "--json", *options, env=FAST)
    assert done.returncode == code, done.stderr + done.stdout
    shutil.copy2(lived.server.data / "keys" / "kek", data / "keys" / "kek")
    return dict(json.loads(done.stdout))


def recovered(data: Path) -> dict[str, Any]:
    done = command("recover", "--data", data, "--json", env=FAST)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_records_of_the_backup_and_what_they_promise_are_all_there_where_the_anchor_knows_more(
    lived: Lived, tmp_path: Path
) -> None:
    copied_anchor(lived.server.data, tmp_path / "data.anchor")
    told = restored(lived, tmp_path / "data", 1)
    held = lived.made["streams"][-1]["records"]
    assert (told["anchor"]["state"], told["anchor"]["records"]) == ("lost", held)
    assert told["anchor"]["anchored"] > held
    refused = command("serve", "--data", tmp_path / "data", "--s3", "127.0.0.1:0", "--audit", "127.0.0.1:0", env=FAST)
    assert (refused.returncode, "strongroom recover" in refused.stderr) == (2, True), refused.stderr
    assert recovered(tmp_path / "data")["lost"] == told["anchor"]["anchored"] - held
    assert len(lived.before) > 100
    assert problems(tmp_path / "data", lived.before) == []


def test_a_restore_goes_on_by_itself_where_all_that_was_anchored_is_in_it(lived: Lived, tmp_path: Path) -> None:
    shutil.copytree(lived.anchor_before, tmp_path / "data.anchor")
    told = restored(lived, tmp_path / "data", 0)
    assert (told["anchor"]["state"], told["anchor"]["detail"]) == ("here", "")
    assert verified(tmp_path / "data") == ""
    assert problems(tmp_path / "data", lived.before) == []


def test_without_its_anchor_a_restore_says_so_and_recovers(lived: Lived, tmp_path: Path) -> None:
    told = restored(lived, tmp_path / "data", 1)
    assert (told["anchor"]["state"], told["anchor"]["anchored"]) == ("absent", -1)
    assert verified(tmp_path / "data") == ""
    recovered(tmp_path / "data")
    assert problems(tmp_path / "data", lived.before) == []
    twice = command("backup", tmp_path / "target", "--data", tmp_path / "data", "--json", env=FAST)
    assert twice.returncode == 0, twice.stderr
    assert [reach["stream"] for reach in json.loads(twice.stdout)["streams"]] == ["site-a.node-1", "site-a.node-1-r1"]
    shutil.copytree(tmp_path / "data.anchor", tmp_path / "again.anchor")
    again = command("restore", tmp_path / "target", "--data", tmp_path / "again", env=FAST)
    assert (again.returncode, "strongroom recover" in again.stdout) == (1, True), again.stderr
    shutil.copy2(tmp_path / "data" / "keys" / "kek", tmp_path / "again" / "keys" / "kek")
    recovered(tmp_path / "again")
    assert problems(tmp_path / "again", lived.before) == []


def test_an_anchor_of_another_history_is_told_apart(lived: Lived, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Server(tmp_path / "other", FAST)
    assert other.stop() == 0
    copied_anchor(other.data, tmp_path / "data.anchor")
    (note,) = (path for path in (tmp_path / "data.anchor").iterdir() if not path.name.endswith(".lock"))
    (mine,) = (path for path in lived.anchor_before.iterdir() if len(path.name) == 64)  # copied amid a swap, perhaps
    shutil.copy2(note, note.with_name(mine.name))
    assert restored(lived, tmp_path / "data", 1)["anchor"]["state"] == "absent"  # it is not signed by this log


def test_what_is_immutable_is_copied_once(lived: Lived) -> None:
    (place,) = (path for path in lived.target.iterdir() if path.name.isdecimal())
    names = [line.split("  ")[1] for line in (place / "SHA256SUMS").read_text().splitlines()]
    kept = [name for name in names if name.startswith(("data/packs/", "data/blobs/")) or name.endswith(".zst")]
    assert len(kept) > 5
    assert lived.made["copied"] < lived.made["bytes"]
    again = backed_up(lived.server, lived.target)
    assert again["copied"] < again["bytes"] * 2 // 3
    lived.made = again  # the older one is gone, and this one holds all that it held


def test_nothing_that_opens_it_is_in_a_backup(lived: Lived) -> None:
    kek = (lived.server.data / "keys" / "kek").read_bytes().strip()
    names = set()
    for path in lived.target.rglob("*"):
        if path.is_file():
            names.add(path.name)
            assert kek not in path.read_bytes()
            assert lived.server.secret_key.encode() not in path.read_bytes()
    assert not names & {"kek", "kek.next", "root.credentials"}


@pytest.mark.parametrize("point", MAKING)
def test_a_backup_killed_anywhere_is_gone_on_with_and_the_one_before_it_stays(
    lived: Lived, tmp_path: Path, point: str
) -> None:
    target = tmp_path / "target"
    backed_up(lived.server, target)
    killed = command("backup", target, "--data", lived.server.data, env={**FAST, "STRONGROOM_CRASH_POINT": point})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    whole = sorted(path.name for path in target.iterdir() if path.name.isdecimal())
    assert whole == (["0000000001", "0000000002"] if point == "backup.named" else ["0000000001"])
    for name in whole:
        assert verified(target / name / "data") == ""
    made = backed_up(lived.server, target)
    assert [path.name for path in target.iterdir() if path.name.isdecimal()] == [made["place"].rpartition("/")[2]]
    assert not (target / "unfinished").exists()
    assert verified(target / made["place"] / "data") == ""


def test_a_restore_that_is_killed_leaves_no_vault_and_is_gone_on_with(lived: Lived, tmp_path: Path) -> None:
    restore = ("restore", lived.target, "--data", tmp_path / "data")
    killed = command(*restore, env={**FAST, "STRONGROOM_CRASH_POINT": RESTORING})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "data" / "vault.json").exists()
    done = command(*restore, env=FAST)
    assert done.returncode == 1, done.stderr
    assert verified(tmp_path / "data") == ""
    again = command(*restore, env=FAST)
    assert (again.returncode, "holds a vault" in again.stderr) == (2, True)


def test_a_server_killed_in_the_middle_ends_the_backup_and_the_next_call_goes_on(lived: Lived, tmp_path: Path) -> None:
    def kill(what: str, done: int) -> None:
        if what == "copied" and lived.server.running:
            lived.server.kill()

    with pytest.raises(ControlFailed):
        create(lived.server.data, tmp_path / "target", lambda: SETTINGS, kill)
    assert not [path for path in (tmp_path / "target").iterdir() if path.name.isdecimal()]
    lived.server.start()
    made = backed_up(lived.server, tmp_path / "target")
    assert verified(tmp_path / "target" / made["place"] / "data") == ""


def test_an_interrupt_ends_it_and_the_same_command_goes_on(lived: Lived, tmp_path: Path) -> None:
    def interrupt(what: str, done: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        create(lived.server.data, tmp_path / "target", lambda: SETTINGS, interrupt)
    assert (tmp_path / "target" / "unfinished").exists()
    status = json.loads(lived.server.cli("doctor", "--json").stdout)
    assert not [item for item in status if "backup is under way" in item["text"]]  # nothing is held any more
    made = backed_up(lived.server, tmp_path / "target")
    assert verified(tmp_path / "target" / made["place"] / "data") == ""


def test_a_full_disk_is_said_and_room_lets_the_same_command_go_on(lived: Lived, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 128) as disk:
        disk.fill(leaving=2 << 20)
        target = disk.root / "target"
        full = command("backup", target, "--data", lived.server.data, env=FAST)
        assert (full.returncode, "free some" in full.stderr) == (2, True), full.stderr
        disk.release()
        made = backed_up(lived.server, target)
        assert verified(target / made["place"] / "data") == ""


def test_a_vault_that_nobody_serves_is_backed_up_too(lived: Lived, tmp_path: Path) -> None:
    assert lived.server.stop() == 0, lived.server.errors
    made = backed_up(lived.server, tmp_path / "target")
    assert verified(tmp_path / "target" / made["place"] / "data") == ""
    lived.server.start()
