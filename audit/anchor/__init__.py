"""Anchors: places outside the data directory that remember the last checkpoint of each log.

An anchor is what stops a restored backup from signing a second history. It is trusted with
one property, that a compare-and-swap is one, and with no secret: it sees signed notes only.

Not handled here: what a note says, and what to do when anchor and ledger disagree
(``audit.sealing``).
"""

from __future__ import annotations

from typing import Protocol


class Anchor(Protocol):
    """A register of bytes for each origin, changed by compare-and-swap only.

    **Durable** when a call returns: a value that :meth:`read` returned or :meth:`swap`
    stored survives a power cut of whatever holds it.
    **Linearizable** per origin: of two swaps that expect the same value one wins, and a read
    that begins after a swap returned sees it or a later one, from any process or machine.
    **Thread-safe**; a call may block as long as the implementation's documented timeout.
    **Nobody in here tries again**: the sealer offers a checkpoint anew at the next seal, and
    after :class:`~audit.errors.AnchorUnknown` it is the same one, byte for byte.
    """

    def read(self, origin: str) -> bytes | None:
        """Return the value of ``origin``, ``None`` where there never was one.

        Raises:
            AnchorUnavailable: The value is not known.
        """
        ...

    def swap(self, origin: str, expected: bytes | None, new: bytes) -> None:
        """Set ``origin`` to ``new`` where it holds ``expected``; ``None`` means no value.

        Raises:
            AnchorConflict: It holds another value, which the error carries; nothing was changed.
            AnchorUnavailable: Nothing was changed, nor will be.
            AnchorUnknown: It may have been changed, or may yet be.
        """
        ...
