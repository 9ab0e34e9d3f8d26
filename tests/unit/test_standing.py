"""What the anchor says of a restored directory, for each way in which both may stand to each other."""

from __future__ import annotations

import pytest

from audit.backup import standing
from audit.checkpoint import Checkpoint
from audit.takeover import Known

MINE, OTHERS = b"\x01" * 32, b"\x02" * 32
HELD = 100


def at(size: int, root: bytes = MINE) -> Checkpoint:
    return Checkpoint("strongroom/0/site-a.node-1", size, root)


@pytest.mark.parametrize(
    ("anchored", "published", "state"),
    [
        (at(100), at(90), standing.HERE),
        (at(90), at(90), standing.HERE),
        (at(80), at(90), standing.HERE),
        (at(101), at(90), standing.LOST),
        (at(101, OTHERS), at(90), standing.LOST),
        (at(95, OTHERS), at(90), standing.OTHER),
        (None, at(90), standing.ABSENT),
        (None, None, standing.UNSIGNED),
    ],
)
def test_each_case_has_its_word(anchored: Checkpoint | None, published: Checkpoint | None, state: str) -> None:
    roots = dict.fromkeys((80, 90, 95, 100), MINE)
    found = standing._judged(Known(anchored, published), "place", "site-a.node-1", HELD, roots)
    assert (found.state, found.records) == (state, HELD)
    assert found.anchored == (anchored.size if anchored is not None else -1)
    assert bool(found.detail) == (state not in {standing.HERE, standing.UNSIGNED})
