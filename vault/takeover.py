"""What a stream's first record says of the stream that it goes on from (ARCHITECTURE, Takeover).

Not handled here: taking one over (``audit.takeover``).
"""

from __future__ import annotations

import msgspec


class Takeover(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """The stream that another one goes on from (``strongroom recover``), in the other's first record.

    ``held`` records of it were there, with tree root ``root``; ``known`` and ``known_root`` are of the largest
    checkpoint of it that was known (0 and empty where there was none). Records from ``held`` up to ``known`` are lost;
    where there are none, the roots tell two histories apart. ``position`` is how many records all streams before the
    new one hold together: there its own begin.
    """

    stream: str
    held: int
    root: str
    known: int
    known_root: str
    position: int
