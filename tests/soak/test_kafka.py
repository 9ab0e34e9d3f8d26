"""Many kills of relay, broker and server, and both standing still for longer than a transaction may last.

``make soak-kafka``: some ten minutes; RECORDS=… SEED=….
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import pytest

from tests.kafka.test_kills import Kills

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kafka.conftest import Starts

RECORDS: Final = int(os.environ.get("SOAK_RECORDS", "1000000"))
SEED: Final = int(os.environ.get("SOAK_SEED", "1"))
#: Longer than a transaction may stay open (60 s).
STILL_SECONDS: Final = 75.0


@pytest.mark.timeout(3 * 3600)
def test_a_million_records_through_forty_kills(tmp_path: Path, cluster: Starts) -> None:
    kills = Kills(tmp_path, cluster, seed=SEED, batch=500)
    rounds = 0
    while rounds < 10 or kills.records < RECORDS:
        for kill in (kills.kill_relay, kills.kill_server, kills.kill_relay_inside_a_commit, kills.kill_broker):
            kill()
        rounds += 1
        if rounds in {3, 6}:
            kills.pause("relay" if rounds == 3 else "broker", STILL_SECONDS)
        print(f"round {rounds}: {kills.records} records, {kills.counts}", flush=True)  # noqa: T201 - it takes long
    count = kills.end()
    print(f"{count} records, each there once, through {kills.counts}")  # noqa: T201 - what was seen
    assert count >= RECORDS
    assert kills.counts["relay"] >= 20
    assert 3 * kills.counts["relay inside a commit"] >= kills.counts["relay"]
    assert kills.counts["broker"] >= 10
    assert kills.counts["server"] >= 10
