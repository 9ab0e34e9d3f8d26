"""What vouches from outside for a vault that verifies itself: the last checkpoint that its anchor holds.

It is read before the verification begins, so it is of records that are durable by then. The anchor beside the data
directory, the default, is not asked: whoever can write the vault can write that too, and the verifier reads it anyway.
An anchor that does not answer keeps no verification from being done: it is self-consistent then, and says so.

Of a stream that was taken over nothing is asked. The first record of the one after it names what was there, by its
root, and which signed records were lost (``audit.takeover``).

Not handled here: holding the checkpoint against the records, which the verifier does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.anchor.place import anchor_url
from audit.anchor.url import anchor_directory, open_anchor, s3_place
from audit.checkpoint import Checkpoint
from audit.errors import AnchorUnavailable, ConfigInvalid, NoteInvalid
from audit.note import parse_note

if TYPE_CHECKING:
    from audit.anchor import Anchor
    from audit.config import Settings
    from audit.identity import Identity, Layout


class Voucher(NamedTuple):
    """What an anchor gave.

    Attributes:
        anchor: Where it is; empty where there is none but the one beside the data directory.
        note: The checkpoint, as it was signed; empty where there is none.
        why: Why there is none, although there is such an anchor.
    """

    anchor: str = ""
    note: bytes = b""
    why: str = ""


#: Nothing outside vouches.
NOBODY: Final = Voucher()
#: For how long an anchor that refuses at once is asked again, and how often, in seconds: one in a directory has a lock
#: and waits for nobody, and the server may be storing a checkpoint in it just then.
_AGAIN_SECONDS: Final = 3.0
_PAUSE_SECONDS: Final = 0.1


def ask_anchor(layout: Layout, identity: Identity, settings: Settings) -> Voucher:
    """Read the checkpoint of the stream that is written.

    Args:
        layout: The data directory.
        identity: Whose it is.
        settings: Validated configuration; may name another anchor.
    """
    url, place = anchor_url(settings, identity, layout), ""
    try:
        remote = s3_place(url)
        if remote is None and anchor_directory(url) == layout.default_anchor:
            return NOBODY
        place = str(remote) if remote is not None else str(anchor_directory(url))
        note = _read(open_anchor(url, settings.anchor), identity.origin)
        if note is None:
            return Voucher(place, why="it holds no checkpoint of this log")
        Checkpoint.parse(parse_note(note).text)
    except (AnchorUnavailable, ConfigInvalid, NoteInvalid) as error:
        return Voucher(place, why=str(error))
    return Voucher(place, note)


def _read(anchor: Anchor, origin: str) -> bytes | None:
    end = time.monotonic() + _AGAIN_SECONDS
    while True:
        try:
            return anchor.read(origin)
        except AnchorUnavailable:
            if time.monotonic() >= end:
                raise
        time.sleep(_PAUSE_SECONDS)
