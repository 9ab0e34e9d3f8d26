"""Checkpoints (C2SP tlog-checkpoint v1.0.0): the text that says how large a log is and what its root is.

Not handled here: signatures (``audit.note``), and whether the root is right.
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.errors import NoteInvalid
from audit.note import open_note
from vault.merkle import EMPTY_ROOT

if TYPE_CHECKING:
    from collections.abc import Collection

    from audit.note import VerifierKey

#: The largest size in leaves; it fits the signed 64-bit integers of other implementations.
MAX_SIZE: Final = 2**63 - 1

_TEXT: Final = re.compile(r"(?P<origin>[^\n]+)\n(?P<size>0|[1-9][0-9]{0,18})\n(?P<root>[A-Za-z0-9+/]{43}=)\n")


class Checkpoint(NamedTuple):
    """A log's size and root.

    Attributes:
        origin: The log's identity.
        size: In leaves.
        root: The RFC 6962 tree hash at that size.
    """

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """Write the note text."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read a note text in its one canonical form.

        Extension lines are refused: they are not recommended, this project writes none, and
        dropping them unread would sign away something that another log meant.

        Raises:
            NoteInvalid: The text is anything else.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise NoteInvalid("a checkpoint is the lines origin, size, root, and nothing else")
        root = base64.b64decode(match["root"])
        checkpoint = cls(match["origin"], int(match["size"]), root)
        if checkpoint.text() != text or checkpoint.size > MAX_SIZE:
            raise NoteInvalid("a checkpoint's root is canonical base64 and its size below 2**63")
        if checkpoint.size == 0 and root != EMPTY_ROOT:
            raise NoteInvalid("the root of an empty log is the hash of nothing")
        return checkpoint


def open_checkpoint(note: bytes, origin: str, keys: Collection[VerifierKey]) -> Checkpoint:
    """Return the checkpoint in a note that one of the keys has signed.

    Raises:
        NoteInvalid: The note does not open, or holds no checkpoint of ``origin``.
    """
    checkpoint = Checkpoint.parse(open_note(note, keys))
    if checkpoint.origin != origin:
        raise NoteInvalid(f"this is a checkpoint of {checkpoint.origin}, not of {origin}")
    return checkpoint
