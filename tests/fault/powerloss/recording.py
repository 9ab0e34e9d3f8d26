"""Records a real server at work: made, loaded, killed in the middle of it, started again, stopped in order."""

from __future__ import annotations

import re
import shutil
import time
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

import httpx

from tests.fault.load import LOST, Client, Load
from tests.fault.powerloss import image, trace
from tests.fault.powerloss.replay import CALLS, HIDDEN, Replay
from tests.fault.watched import Watched
from tests.integration.served import STRONGROOM, command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.fault.load import Outcome
    from tests.fault.powerloss.trace import Event

#: Small segments and short intervals: everything happens within seconds.
ENVIRONMENT: Final = {
    "STRONGROOM_LEDGER__SEGMENT_MIB": "1",
    "STRONGROOM_CHECKPOINT__INTERVAL_S": "0.2",
    "STRONGROOM_INDEX__SYNC_INTERVAL_S": "0.3",
}
#: Records at which the server is killed: some were settled, and bodies erased.
KILL_AT: Final = 700
#: Turns of each client after the kill.
TURNS: Final = 12
#: How long the server erases nothing more before it is stopped, in seconds, and how long that is waited for.
_REST: Final = 2.5
_ERASED: Final = 60
_ERASING: Final = re.compile(r"^strongroom_erased_objects_total\{.*\} (\d+)$", re.MULTILINE)
#: A kill during a call leaves what no trace tells; then it is done again.
_ATTEMPTS: Final = 4


@dataclass(frozen=True)
class Recording:
    """What a server did, and what its clients were told in the end.

    Attributes:
        root: The directory that ``data`` and ``data.anchor`` were made in.
        events: Of all processes, in order.
        outcomes: Of all requests.
        inits: How many of the processes made the vault, the first ones.
    """

    root: Path
    events: Sequence[Event]
    outcomes: Sequence[Outcome]
    inits: int = 1

    def told(self, acknowledged: set[str]) -> list[Outcome]:
        """What clients knew when these answers had begun to leave the server; of the rest they knew nothing."""
        return [
            outcome if outcome.record in acknowledged else replace(outcome, status=LOST, record="", kept=-1)
            for outcome in self.outcomes
        ]


def record(root: Path, program: Sequence[str | Path] = (STRONGROOM,)) -> Recording:
    """Record a server, and check that the model of the disk agrees with the real one.

    Args:
        root: An empty directory.
        program: ``strongroom``, or what runs it with marks.
    """
    for attempt in range(_ATTEMPTS):
        vault, written = root / f"{attempt}", root / f"{attempt}.trace"
        vault.mkdir()
        outcomes = _work(vault, trace.strace(written, CALLS), program)
        made = Recording(vault, trace.read(written), outcomes)
        written.unlink()
        untrue = _differences(made, root / f"{attempt}.model")
        if not untrue:
            return made
    raise AssertionError(f"the model differs from the real files: {untrue}")


def strike(recording: Recording, step: int, program: Sequence[str | Path] = (STRONGROOM,)) -> Recording:
    """Kill the server at a step of a recording instead, and let a command work on what it left.

    Args:
        recording: Its directory is used again.
        step: The last one.
        program: As for :func:`record`.

    Returns:
        What the processes did up to there, and after them the command.
    """
    replay = Replay(recording.root)
    before: list[Event] = []

    def fed() -> Iterator[Event]:
        for event in recording.events:
            before.append(event)
            yield event

    next(islice(replay.play(fed()), step, None))
    root = recording.root
    shutil.rmtree(root)
    image.write(replay.disk, root, image.Everything())
    written = root.with_name("struck.trace")
    written.unlink(missing_ok=True)
    made = replay.processes > recording.inits
    words = ["principal", "add", "later", "--role", "auditor"] if made else ["init"]
    done = command(*words, "--data", root / "data", env=ENVIRONMENT, program=[*trace.strace(written, CALLS), *program])
    assert done.returncode == 0 or "is a vault already" in done.stderr, done.stderr
    events = [*before, *trace.read(written)]
    return Recording(root, events, recording.outcomes, recording.inits + (not made))


def _work(vault: Path, strace: Sequence[str], program: Sequence[str | Path]) -> list[Outcome]:
    server = Watched(vault, strace, ENVIRONMENT, program)
    owner = Client(server.endpoint, server.access_key, server.secret_key, "owner")
    assert owner.ask("PUT", headers={"x-amz-bucket-object-lock-enabled": "true"}).status == 200
    owner.close()
    load = Load(server, seed=1, names="a")
    _look_on(server, load, until=KILL_AT)
    server.kill()
    outcomes = [*owner.outcomes, *load.wait()]
    server.start()
    load = Load(server, seed=2, names="b", turns=TURNS)
    _look_on(server, load, until=KILL_AT)
    outcomes += load.wait()
    _rest(server)
    assert server.stop() == 0, server.errors
    return outcomes


def _rest(server: Watched) -> None:
    """Wait until some of what was removed is erased, and nothing more: the rest lies where more is still written to."""
    end, since, last = time.monotonic() + _ERASED, time.monotonic(), 0
    while not last or time.monotonic() < since + _REST:
        told = _ERASING.search(httpx.get(f"{server.audit_endpoint}/metrics").text)
        assert told is not None
        if int(told[1]) != last:
            since, last = time.monotonic(), int(told[1])
        assert time.monotonic() < end, f"{last} bodies erased, and no end of it"
        time.sleep(0.2)


def _look_on(server: Watched, load: Load, until: int) -> None:
    """Fetch checkpoints while a load is at work."""
    while load.working and len(load.outcomes) < until:
        httpx.get(f"{server.audit_endpoint}/v1/log/site-a.node-1/checkpoint")
        time.sleep(0.1)


def _differences(made: Recording, model: Path) -> list[str]:
    """Files that are not the same in the recorded directory and in the model of it."""
    replay = Replay(made.root)
    for _ in replay.play(made.events):
        pass
    image.write(replay.disk, model, image.Everything())
    return sorted(
        str(path)
        for one, other in ((model, made.root), (made.root, model))
        for top in ("data", "data.anchor")
        for path in (one / top).rglob("*")
        if path.is_file() and path.name != HIDDEN and not _same(path, other / path.relative_to(one))
    )


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.read_bytes() == other.read_bytes()
