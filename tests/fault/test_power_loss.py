"""The power fails at any point of a real server's life: everything that a client was told is there after it.

A server is recorded at work (``tests.fault.powerloss``); directories are built as the power may have left them at many
points, with only what was synced, and with chance in the rest; each is verified cold, started, compared with what
clients had been told by then, stopped and verified again.

``POWER_LOSS_STEPS`` says at how many points (100 where it is not set), ``POWER_LOSS_SEED`` chooses others, and both
are what ``make soak`` changes. A failure names step and seed of its image; the recording is another in each run.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from tests.fault.powerloss import campaign, recording
from tests.fault.watched import needs_strace

if TYPE_CHECKING:
    from tests.fault.powerloss.recording import Recording

STEPS: Final = int(os.environ.get("POWER_LOSS_STEPS", "100"))
SEED: Final = int(os.environ.get("POWER_LOSS_SEED", "1"))
#: Points at which a kill comes first, and the power cut after what the next process did.
STRIKES: Final = max(4, STEPS // 25)
#: Images of each of those.
_AFTER: Final = 10
#: Without these the load did not do what it is there for.
_REACHED: Final = frozenset(
    {
        "rename commit",  # a segment was opened
        "link ledger",  # records were settled
        "link packs",  # bodies too
        "rename spare",  # a segment was recycled
        "unlink packs",  # bodies were erased from packs
        "link blobs",
        "unlink blobs",  # and from blobs
        "rename keys",  # domain keys were made
        "rename checkpoint",
        "rename data.anchor",  # and anchored
        "link tile/1",
        "pwrite64 index",
        "answer",
    }
)

pytestmark = [needs_strace, pytest.mark.timeout(600 + 20 * STEPS)]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return recording.record(tmp_path_factory.mktemp("recorded"))


def failures(made: Recording, steps: list[int]) -> list[str]:
    """Two images at each step: what was promised, and by chance more."""
    judged = campaign.judge(made, dict.fromkeys(steps, (None, SEED)))
    return [f"{name}: {problem}" for name, found in judged for problem in found]


def test_the_recorded_load_reached_everything(recorded: Recording) -> None:
    assert set(campaign.kinds(recorded)) >= _REACHED


def test_a_power_cut_at_any_point_loses_nothing_that_was_acknowledged(recorded: Recording) -> None:
    steps = campaign.choose(campaign.kinds(recorded), STEPS, SEED)
    assert len(steps) == STEPS
    assert failures(recorded, steps) == []


@pytest.mark.parametrize("number", range(STRIKES))
def test_a_kill_and_then_a_power_cut_lose_nothing_that_was_acknowledged(recorded: Recording, number: int) -> None:
    kinds = campaign.kinds(recorded)
    struck = campaign.choose(kinds, STRIKES, SEED)[number]
    again = recording.strike(recorded, struck)
    steps = campaign.choose(campaign.kinds(again), _AFTER, SEED, first=struck + 1)
    assert failures(again, steps) == []
