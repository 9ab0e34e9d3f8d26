"""Many images of one recording, each started and judged in a process of its own."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from itertools import islice, zip_longest
from multiprocessing import get_context
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

from click.testing import CliRunner

from audit.cli import cli
from tests.doubles.memory import memory_directory
from tests.fault.judge import ENVIRONMENT, problems, verified
from tests.fault.powerloss import image
from tests.fault.powerloss.replay import Replay

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tests.fault.load import Outcome
    from tests.fault.powerloss.recording import Recording

#: Images that wait for a process; each takes some megabytes of memory.
_WAITING: Final = 2


class Image(NamedTuple):
    """One image: the same step and seed make it again. Without a seed it holds what was promised and nothing else."""

    step: int
    kind: str
    seed: int | None


def kinds(recording: Recording) -> list[str]:
    """The kind of each step."""
    return list(Replay(recording.root).play(recording.events))


def choose(kinds: Sequence[str], count: int, seed: int, first: int = 0) -> list[int]:
    """Choose steps at which the power fails: of every kind as many as of any other, as far as there are.

    Args:
        kinds: Of all steps.
        count: How many.
        seed: The same one chooses the same.
        first: None before this one.
    """
    random = Random(seed)
    places = defaultdict(list)
    for step, kind in enumerate(kinds[first:], first):
        places[kind].append(step)
    for some in places.values():
        random.shuffle(some)
    rounds = (step for turn in zip_longest(*places.values()) for step in turn if step is not None)
    return sorted(islice(rounds, count))


def judge(
    recording: Recording, wanted: Mapping[int, Sequence[int | None]], muted: str = ""
) -> Iterator[tuple[Image, list[str]]]:
    """Make images and judge them.

    Args:
        recording: What the server did.
        wanted: Seeds by step.
        muted: A kind of step, or a place in the program, whose syncs did nothing.

    Yields:
        Each image with what is wrong with it, in the order in which they are done. An image that kills the process
        which judges it is the last. Closing it ends all work.
    """
    replay = Replay(recording.root, muted)
    running: dict[Future[list[str]], Image] = {}
    processes = len(os.sched_getaffinity(0))
    with memory_directory() as memory, ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            for step, kind in enumerate(replay.play(recording.events)):
                for seed in wanted.get(step, ()):
                    place = memory / f"{step} {seed}"
                    image.write(replay.disk, place, image.Promised() if seed is None else image.Chance(place.name))
                    told = recording.told(replay.acknowledged)
                    task = pool.submit(_judge, place, told, replay.checkpoint, made=replay.processes > recording.inits)
                    running[task] = Image(step, kind, seed)
                    while len(running) >= processes + _WAITING:
                        yield from _done(running)
            while running:
                yield from _done(running)
        except BrokenExecutor:
            yield from _done(running)
        finally:
            pool.shutdown(cancel_futures=True)


def _done(running: dict[Future[list[str]], Image]) -> Iterator[tuple[Image, list[str]]]:
    for task in wait(running, return_when=FIRST_COMPLETED).done:
        name = running.pop(task)
        try:
            yield name, task.result()
        except BrokenExecutor:
            yield name, ["a process that judged it or another image died"]


def _judge(place: Path, told: Sequence[Outcome], checkpoint: bytes, *, made: bool) -> list[str]:
    """Judge an image and remove it."""
    data, saved = place / "data", []
    if checkpoint:
        saved = [place / "saved-checkpoint"]
        saved[0].write_bytes(checkpoint)
    found = _cold(data, saved) if made else _finish_init(data)
    found = found or problems(data, told, *saved)
    shutil.rmtree(place)
    return found


def _cold(data: Path, saved: Sequence[Path]) -> list[str]:
    """What the verifier says before anybody mends anything."""
    bad = verified(data, *saved)
    return [f"before the start: {bad}"] if bad else []


def _finish_init(data: Path) -> list[str]:
    """The same command completes an init that was cut short."""
    done = CliRunner().invoke(cli, ["init", "--data", str(data)], env=ENVIRONMENT)
    return [] if done.exit_code == 0 or "is a vault already" in done.output else [f"init: {done.output}"]
