"""What the anchor says of a data directory that was restored: all that can be known of what was lost.

The anchor remembers the last checkpoint that was signed. A backup is older than the vault it was made of, so mostly
records are lost, and the anchor shows that: the server does not start, and ``strongroom recover`` goes on in a new
stream that names them. What it cannot show is what nobody had signed yet.

Not handled here: going on (``audit.takeover``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import msgspec

from audit.anchor.place import anchor_url
from audit.anchor.url import open_anchor
from audit.errors import AnchorUnavailable, ConfigInvalid, NoteInvalid, RecoverRequired
from audit.identity import Layout, load_identity
from audit.note import VerifierKey
from audit.sealing import adopt
from audit.streams import open_to_read
from audit.takeover import known_checkpoints, survey
from audit.tile_store import TileStore
from audit.writer_lock import take_lock
from vault import durable

if TYPE_CHECKING:
    from pathlib import Path

    from audit.config import Settings
    from audit.takeover import Known

#: The anchor's last checkpoint is of records that are here: the server starts.
HERE: Final = "here"
#: The anchor knows of records that are not here.
LOST: Final = "lost"
#: The anchor knows of other records.
OTHER: Final = "other"
#: The anchor has no checkpoint of this log, although there were some.
ABSENT: Final = "absent"
#: Nothing was ever signed.
UNSIGNED: Final = "unsigned"
#: The anchor could not be asked.
UNKNOWN: Final = "unknown"


class Standing(msgspec.Struct, frozen=True):
    """What the anchor says.

    Attributes:
        state: One of this module's words.
        anchor: Where it was looked.
        stream: The stream that was asked about.
        records: How many records of it are here.
        anchored: How many the anchor's last checkpoint covers; -1 where none is known.
        detail: Why, in the words of the start that would fail; empty where it would not.
    """

    state: str
    anchor: str
    stream: str
    records: int
    anchored: int = -1
    detail: str = ""


def standing(root: Path, settings: Settings) -> Standing:
    """Ask the anchor about a data directory that no process has open. Nothing that counts is written.

    Args:
        root: The data directory.
        settings: Validated configuration; may name another anchor.

    Raises:
        AlreadyRunning: A process has it open.
        LedgerCorrupt: Its records do not chain.
    """
    layout = Layout(root)
    identity = load_identity(layout)
    for directory in layout.directories(identity.stream):
        durable.make_dirs(directory)
    lock = take_lock(layout)
    try:
        strands, _ = open_to_read(layout, identity, identity.streams, settings.ledger.segment_mib << 20)
        strand, place = strands[-1], anchor_url(settings, identity, layout)
        held = strand.log.durable_end
        try:
            key = VerifierKey.parse(layout.vkey(strand.name).read_text("utf-8").strip())
            anchor = open_anchor(place, settings.anchor)
            found = known_checkpoints(layout, identity, strand.name, anchor, key)
        except (AnchorUnavailable, ConfigInvalid, NoteInvalid) as error:
            return Standing(UNKNOWN, place, strand.name, held, detail=str(error))
        roots = survey(strand, found, TileStore(layout.stream(strand.name)).leaf).roots
        for opened in strands:
            opened.log.close()
        return _judged(found, place, strand.name, held, roots)
    finally:
        os.close(lock)


def _judged(found: Known, place: str, stream: str, held: int, roots: dict[int, bytes]) -> Standing:
    anchored = found.anchored.size if found.anchored is not None else -1
    state, detail = (HERE if found.anchored is not None else UNSIGNED), ""
    try:
        adopt(found.anchored, found.published, held, roots.__getitem__)
    except RecoverRequired as required:
        state, detail = (LOST if anchored > held else OTHER), required.problem
        if found.anchored is None:
            state = ABSENT
    return Standing(state, place, stream, held, anchored, detail)
