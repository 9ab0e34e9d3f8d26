"""Taking a stream over: the one way on for a vault whose ledger and anchor disagree (DESIGN §4, ``recover``).

A stream must never sign two histories. Where the anchor, the published checkpoint or a view knows of records that are
not here, or of other ones, the server does not start; whoever cannot restore the newest data directory opens a *new
stream* instead. Its first record says which stream it goes on from, how many records of it were there and with which
root, and the largest checkpoint of it that was known: what was lost stays visible for good, and what was kept is under
the new stream's signatures. Buckets, versions, locks, principals and the clock go on; uploads under way are aborted.

    judge → key of the new stream → views removed → vault.json replaced → first start of the new stream

The replacement is the commit point. A crash before it leaves the old stream and a key that the next try uses; a crash
after it leaves a vault whose next start writes that first record.

Not handled here: reading streams that were taken over (``audit.streams``), settling and erasing what they hold.
"""

from __future__ import annotations

import os
import shutil
from itertools import count, islice
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from audit.anchor.place import anchor_url
from audit.anchor.url import open_anchor
from audit.checkpoint import open_checkpoint
from audit.crash import crash_point
from audit.errors import AuditError, ConfigInvalid, NoteInvalid, RecoverRequired
from audit.feed import furthest
from audit.identity import Layout, load_identity, new_identity, replace_identity
from audit.init import ensure_signing_key, load_signer
from audit.keys.kek import open_keyring
from audit.sealing import adopt
from audit.streams import open_to_read
from audit.tile_store import TileStore
from audit.tiles import TileTree
from audit.writer_lock import require_owner, take_lock
from vault import durable
from vault.errors import CorruptError
from vault.merkle import leaf_hash
from vault.storage.index import Index
from vault.takeover import Takeover

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit.anchor import Anchor
    from audit.checkpoint import Checkpoint
    from audit.config import Settings
    from audit.identity import Identity
    from audit.note import VerifierKey
    from audit.strand import Strand
    from audit.streams import Opened
    from vault.crypto.keyring import Keyring

#: Records hashed at once.
_BATCH: Final = 4096


class RecoverNotNeeded(AuditError):
    """Nothing keeps the stream from going on; another one would only hide that."""

    code = "recover-not-needed"
    status = 409


class Known(NamedTuple):
    """Checkpoints known of a stream, each None where there is none by its key."""

    anchored: Checkpoint | None
    published: Checkpoint | None


class Survey(NamedTuple):
    """A stream read whole: what its successor says of it, and its root at each size that was asked for."""

    takeover: Takeover
    roots: dict[int, bytes]


class Taken(NamedTuple):
    """What was done: the new stream's name, what it takes over, and why the old one could not go on."""

    stream: str
    takeover: Takeover
    why: str


def taken_over(layout: Layout, identity: Identity, keyring: Keyring, opened: Opened, anchor: Anchor) -> Takeover | None:
    """What a stream that has no record yet took over; None where it is the vault's first.

    Raises:
        AnchorUnavailable: The anchor could not be read.
    """
    if not identity.earlier:
        return None
    old = opened.strands[-2]
    key = load_signer(layout, identity, keyring, old.name).verifier
    told = known_checkpoints(layout, identity, old.name, anchor, key)
    return survey(old, told, TileStore(layout.stream(old.name)).leaf).takeover


def known_checkpoints(layout: Layout, identity: Identity, stream: str, anchor: Anchor, key: VerifierKey) -> Known:
    """What anchor and directory say of a stream.

    Raises:
        AnchorUnavailable: The anchor could not be read.
    """
    origin, published = identity.origin_of(stream), layout.stream(stream) / "checkpoint"
    return Known(
        _opened(anchor.read(origin), origin, key),
        _opened(published.read_bytes() if published.exists() else None, origin, key),
    )


def _opened(note: bytes | None, origin: str, key: VerifierKey) -> Checkpoint | None:
    try:
        return open_checkpoint(note, origin, [key]) if note is not None else None
    except NoteInvalid:
        return None


def survey(
    strand: Strand, known: Known, leaf: Callable[[int], bytes], progress: Callable[[int], None] = lambda _: None
) -> Survey:
    """Read a whole stream, its chain checked on the way, and hold it against the checkpoints known of it.

    Args:
        strand: The stream.
        known: Its checkpoints.
        leaf: Gives the leaf hash of a record that was pruned.
        progress: Called with the number of records just read.

    Raises:
        LedgerCorrupt: Its records do not chain.
    """
    held = strand.log.durable_end
    sizes = {held, *(found.size for found in known if found is not None)}
    tree, roots = TileTree(), dict[int, bytes]()
    records = strand.feed.read(0)
    for size in sorted(size for size in sizes if size <= held):
        while tree.size < size:
            some = islice(records, min(_BATCH, size - tree.size))
            leaves = [leaf_hash(data) if data else leaf(seq) for seq, data in some]
            tree.append(leaves)
            progress(len(leaves))
        roots[size] = tree.root()

    def weight(found: Checkpoint) -> tuple[bool, int]:
        return roots.get(found.size) != found.root, found.size  # one that contradicts says more than one that does not

    told = max((found for found in known if found is not None), key=weight, default=None)
    takeover = Takeover(
        stream=strand.name,
        held=held,
        root=roots[held].hex(),
        known=told.size if told is not None else 0,
        known_root=told.root.hex() if told is not None else "",
        position=strand.end,
    )
    return Survey(takeover, roots)


def take_over(root: Path, settings: Settings, node: str, progress: Callable[[int], None] = lambda _: None) -> Taken:
    """Make a new stream the one that is written. The caller opens the node next, which writes its first record.

    Args:
        root: The data directory, which no process has open.
        settings: Validated configuration.
        node: Name of the new writer; empty to have one made up.
        progress: Called with the number of records just read.

    Returns:
        What was done; durable.

    Raises:
        RecoverNotNeeded: The stream can go on; nothing was changed.
        AlreadyRunning: Another process holds the directory.
        AnchorUnavailable: The anchor could not be read; nothing was changed.
        ConfigInvalid: No new stream can have that name.
        LedgerCorrupt: The ledger is damaged otherwise than at its end: restore the newest copy of the directory first.
        VaultError: Keys or disk fail.
    """
    layout = Layout(root)
    identity = load_identity(layout)
    require_owner(layout)
    lock = take_lock(layout)
    try:
        keyring = open_keyring(layout, os.environ)
        key = load_signer(layout, identity, keyring).verifier
        anchor = open_anchor(anchor_url(settings, identity, layout), settings.anchor)
        known = known_checkpoints(layout, identity, identity.stream, anchor, key)
        strands, _ = open_to_read(layout, identity, identity.streams, settings.ledger.segment_mib << 20)
        takeover, roots = survey(strands[-1], known, TileStore(layout.stream(strands[-1].name)).leaf, progress)
        why = _why(layout, strands[-1], known, roots)
        new = _successor(identity, node)
        for directory in layout.directories(new.stream):
            durable.make_dirs(directory)
        ensure_signing_key(layout, new, keyring)
        crash_point("takeover.key")
        # They may tell of records that are lost.
        shutil.rmtree(layout.index, ignore_errors=True)
        shutil.rmtree(layout.cursors, ignore_errors=True)
        crash_point("takeover.views")
        # THE COMMIT POINT: before it the old stream is written, and does not start; after it the new one.
        replace_identity(layout, new)
        crash_point("takeover.named")
        for strand in strands:
            strand.log.close()
    finally:
        os.close(lock)
    return Taken(new.stream, takeover, why)


def _why(layout: Layout, strand: Strand, known: Known, roots: dict[int, bytes]) -> str:
    """Why a stream cannot go on.

    Raises:
        RecoverNotNeeded: It can.
    """
    held = strand.log.durable_end
    try:
        adopt(known.anchored, known.published, held, roots.__getitem__)
    except RecoverRequired as required:
        return required.problem
    seen = max(_seen_by_index(layout) - strand.base, furthest(layout.cursors, strand.name))
    if seen > held:
        return f"index or cursors have seen {seen} records, while this ledger holds {held}"
    raise RecoverNotNeeded(f"nothing keeps {strand.name} from going on: start the server")


def _seen_by_index(layout: Layout) -> int:
    try:
        index = Index(layout.index)
    except CorruptError:
        return 0  # a start makes it anew
    index.close()
    return index.synced


def _successor(identity: Identity, node: str) -> Identity:
    """The identity with a new stream.

    Raises:
        ConfigInvalid: The name cannot be used, or was.
    """
    root = identity.earlier[0].partition(".")[2] if identity.earlier else identity.node
    names = [node] if node else (f"{root}-r{number}" for number in count(len(identity.earlier) + 1))
    for name in names:
        made = new_identity(identity.vault, identity.site, name, identity.profile, identity.anchor)
        if made.stream not in identity.streams:
            return replace(made, earlier=identity.streams)
    raise ConfigInvalid(f"{identity.site}.{node} is a stream of this vault: give the new writer another name")
