"""kill -9 at every named crash point of a real server under load: nothing that a client was told is lost or doubled."""

from __future__ import annotations

import ast
import json
import signal
from typing import TYPE_CHECKING, Final

import pytest

from tests.fault.judge import problems, verified
from tests.fault.load import Client, Load
from tests.integration.served import Server, command
from tests.readme import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fault.load import Outcome

#: Small segments and short intervals: everything happens within seconds.
FAST: Final = {
    "STRONGROOM_LEDGER__SEGMENT_MIB": "1",
    "STRONGROOM_CHECKPOINT__INTERVAL_S": "0.05",
    "STRONGROOM_INDEX__SYNC_INTERVAL_S": "0.2",
}
#: Crash points under load, each with the passing at which it strikes: the first ones belong to the start.
UNDER_LOAD: Final = {
    "commit.before-write": 60,
    "commit.after-write": 60,
    "settle.records": 1,
    "settle.bodies": 1,
    "settle.verified": 1,
    "settle.retired": 1,
    "settle.zeroing": 1,
    "settle.recycled": 1,
    "erase.judged": 1,
    "erase.blobs": 1,
    "erase.packs": 1,
    "erase.keys": 1,
    "erase.recorded": 1,
    "seal.tiles": 12,
    "seal.anchored": 12,
    "seal.published": 12,
}
AT_START: Final = ("recover.quarantined", "recover.before-rewrite", "recover.opened", "recover.after-rewrite")
#: Of a takeover: struck by ``test_recover``.
TAKEOVER: Final = ("takeover.key", "takeover.views", "takeover.named")
#: Of keys: struck by ``test_keys``.
ROTATE: Final = (
    "rotate.written", "rotate.first", "rotate.second", "rotate.opened", "rotate.recorded", "rotate.replaced",
)  # fmt: skip
RESTORE: Final = ("restore.noted", "restore.kek", "restore.keyring", "restore.files", "restore.recorded")
BACKUP: Final = ("backup.written",)
#: Of backups of the data directory: struck by ``test_backup``.
DIRECTORY: Final = ("backup.cut", "backup.keys", "backup.complete", "backup.named", "backup.restored")
#: Of pruning: struck by ``test_pruning``.
PRUNING: Final = ("prune.recorded", "prune.written", "prune.thinned")
#: Of a production, each with its passing: struck by ``test_production``.
PRODUCE: Final = {
    "produce.asked": 1,
    "produce.sealed": 1,
    "produce.upload": 1,
    "produce.part": 2,
    "produce.kept": 1,
    "produce.complete": 1,
}
_BLOCK: Final = 4096


class Struck:
    """A vault that is killed again and again, and everything that its clients were ever told."""

    def __init__(self, root: Path) -> None:
        self.server = Server(root, FAST)
        self.outcomes: list[Outcome] = []
        self._loads = 0
        owner = Client(self.server.endpoint, self.server.access_key, self.server.secret_key, "owner")
        assert owner.ask("PUT", headers={"x-amz-bucket-object-lock-enabled": "true"}).status == 200
        owner.close()
        self.outcomes += owner.outcomes
        assert self.server.stop() == 0

    @property
    def data(self) -> Path:
        return self.server.data

    def load(self, turns: int = 10_000) -> None:
        """Work until the server is gone or all turns are taken."""
        self._loads += 1
        self.outcomes += Load(self.server, seed=self._loads, turns=turns, names=f"{self._loads}-").wait()

    def start_into(self, point: str) -> int:
        """Start a server that does not live to answer; its exit code."""
        ports = ("--s3", "127.0.0.1:0", "--audit", "127.0.0.1:0")
        return command("serve", "--data", self.data, *ports, env={**FAST, "STRONGROOM_CRASH_POINT": point}).returncode

    def goes_on(self) -> None:
        """The next start works, stops in order, and every promise was kept."""
        assert verified(self.data) == ""
        self.server.start()
        self.load(turns=1)
        assert self.server.stop() == 0, self.server.errors
        assert problems(self.data, self.outcomes) == []


@pytest.fixture(scope="module")
def struck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Struck]:
    vault = Struck(tmp_path_factory.mktemp("struck"))
    yield vault
    if vault.server.running:
        vault.server.kill()


@pytest.mark.parametrize("point", UNDER_LOAD)
def test_a_kill_under_load_loses_and_doubles_nothing(struck: Struck, point: str) -> None:
    struck.server.start({"STRONGROOM_CRASH_POINT": f"{point}:{UNDER_LOAD[point]}"})
    before = len(struck.outcomes)
    struck.load()
    assert struck.server.wait() == -signal.SIGKILL, struck.server.errors
    told = struck.outcomes[before:]
    assert any(outcome.record for outcome in told), "it was killed before anybody was told anything"
    struck.goes_on()


def test_kills_at_every_point_of_a_recovery_leave_the_same_work_to_the_next_start(struck: Struck) -> None:
    struck.server.start({"STRONGROOM_CRASH_POINT": "commit.after-write:20"})
    struck.load()
    assert struck.server.wait() == -signal.SIGKILL
    torn = tear(struck.data)
    for point in AT_START:
        assert struck.start_into(point) == -signal.SIGKILL
        assert verified(struck.data) == ""
    struck.goes_on()
    assert quarantined(struck.data).count(torn) == 1


def tear(data: Path) -> str:
    """Put the beginning of a group after the last good one, as a cut-off write; its name in quarantine."""
    segment = max((data / "streams" / "site-a.node-1" / "commit").iterdir())
    end = -(-len(segment.read_bytes().rstrip(b"\0")) // _BLOCK) * _BLOCK
    with segment.open("r+b") as file:
        file.seek(end)
        file.write(b"SRGRPv1\n" + b"\x55" * 500)
    return f"{segment.stem}-{end}.bin"


def quarantined(data: Path) -> list[str]:
    """What ``ledger.recover`` records name."""
    target = data.parent / "exported"
    done = command("log", "export", "site-a.node-1", target, "--data", data)
    assert done.returncode == 0, done.stderr
    named = []
    for bundle in sorted((target / "tile" / "entries").rglob("*")):
        rest = bundle.read_bytes() if bundle.is_file() else b""
        while rest:
            length = int.from_bytes(rest[:2], "big")
            record, rest = json.loads(rest[2 : 2 + length]), rest[2 + length :]
            if record["op"] == "ledger.recover":
                named.append(record["ledger"]["quarantined"])
    for path in sorted(target.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    target.rmdir()
    return named


def test_every_crash_point_is_struck() -> None:
    calls = [
        node
        for path in sorted((ROOT / "audit").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "crash_point"
    ]
    assert {ast.literal_eval(call.args[0]) for call in calls} == {
        *UNDER_LOAD, *AT_START, *TAKEOVER, *ROTATE, *RESTORE, *BACKUP, *DIRECTORY, *PRUNING,
        *PRODUCE,
    }  # fmt: skip
