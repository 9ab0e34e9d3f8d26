"""Sealing: the one order in which a log's tree grows, is signed, anchored and published.

    grow → write and sync tiles → sign → swap the anchor → publish

The swap is the commit point. A crash before it leaves tiles that the next start makes again
with the same bytes. A crash after it leaves an anchored checkpoint that nobody was shown; the
next start adopts and publishes it. No signature leaves this module before its swap.

Not handled here: when to seal, which records are durable, and the thread that does it
(``audit.background``).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from audit.checkpoint import Checkpoint, open_checkpoint
from audit.crash import crash_point
from audit.errors import AnchorConflict, AnchorUnavailable, AnchorUnknown, LedgerCorrupt, NoteInvalid, RecoverRequired
from audit.note import sign_note
from audit.tiles import TileTree, root_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audit.anchor import Anchor
    from audit.note import Signer, VerifierKey
    from audit.tile_store import TileStore
    from audit.tiles import Tile


class Sealed(NamedTuple):
    """A checkpoint and the note it is signed in."""

    checkpoint: Checkpoint
    note: bytes


class Sealer:
    """Seals one log. Not thread-safe; one owner, which discards it after any error but AnchorUnavailable.

    Args:
        signer: Its name is the log's origin.
        anchor: Where the last checkpoint is remembered.
        tiles: Where the hashes are kept.
        publish: Shows a note to readers and makes it durable (``vault.durable.replace``).
        tree: The tree so far.
        last: What the anchor holds.

    Attributes:
        last: The last anchored checkpoint, which is published or is so by the next call; ``None`` before the first.
    """

    def __init__(
        self,
        *,
        signer: Signer,
        anchor: Anchor,
        tiles: TileStore,
        publish: Callable[[bytes], None],
        tree: TileTree,
        last: Sealed | None,
    ) -> None:
        self.last = last
        self._signer = signer
        self._anchor = anchor
        self._tiles = tiles
        self._publish = publish
        self._tree = tree
        self._unknown: Sealed | None = None
        self._shown = True
        self._full: list[tuple[Tile, bytes]] = []  # full tiles that were not written yet

    @property
    def size(self) -> int:
        """Leaves in the tree, sealed or not; the next call of :meth:`seal` continues here."""
        return self._tree.size

    def seal(self, hashes: Sequence[bytes] = ()) -> Sealed | None:
        """Grow the tree and seal it.

        Args:
            hashes: The leaf hashes from :attr:`size` on, all of durable records.

        Returns:
            The last published checkpoint, of the size grown to; ``None`` while the log is empty.

        Raises:
            AnchorUnavailable: Nothing was published, and nothing is while the anchor is away or has lost what it held.
                The leaves are in the tree: do not pass them again; the next call seals them with what is new then.
            Unavailable: There is no room on disk. As above.
            RecoverRequired: The anchor holds somebody else's checkpoint.
            LedgerCorrupt: A tile on disk is another one than the leaves make.
            DurabilityError: A write or sync failed.
        """
        self._full += self._tree.append(hashes)
        self._tiles.write([*self._full, *self._tree.partials()])
        self._full.clear()
        crash_point("seal.tiles")
        self._show()
        if self._unknown is not None:
            # Its swap may yet happen, so nothing else is offered before its fate is known.
            self._commit(self._unknown)
        if self._tree.size > (self.last.checkpoint.size if self.last else 0):
            self._commit(self._sign())
        return self.last

    def _sign(self) -> Sealed:
        checkpoint = Checkpoint(self._signer.verifier.name, self._tree.size, self._tree.root())
        return Sealed(checkpoint, sign_note(checkpoint.text(), self._signer))

    def _commit(self, offered: Sealed) -> None:
        origin = offered.checkpoint.origin
        expected = self.last.note if self.last else None
        try:
            self._anchor.swap(origin, expected, offered.note)
        except AnchorConflict as conflict:
            if conflict.current is None and expected is not None:
                raise self._lost() from conflict
            if conflict.current != offered.note:
                raise self._foreign(conflict.current or b"") from conflict
        except AnchorUnknown as unknown:
            self._unknown = offered
            current = self._anchor.read(origin)
            if current == expected:
                raise AnchorUnavailable(f"the anchor has not taken the checkpoint so far: {unknown}") from unknown
            if current is None:
                raise self._lost() from unknown
            if current != offered.note:
                raise self._foreign(current) from unknown
        # Committed. A crash from here on: the next start finds the anchored checkpoint and publishes it.
        crash_point("seal.anchored")
        self._unknown = None
        self.last, self._shown = offered, False
        self._show()
        crash_point("seal.published")

    def _show(self) -> None:
        """Publish what was anchored last, unless that was done."""
        if not self._shown and self.last is not None:
            self._publish(self.last.note)
        self._shown = True

    def _anchored_size(self) -> int:
        return self.last.checkpoint.size if self.last else 0

    def _lost(self) -> AnchorUnavailable:
        """The anchor is empty: writes go on, and nothing is signed (DESIGN §4); the next start would not go on."""
        problem = f"the anchor has lost the checkpoint of {self._signer.verifier.name} at size {self._anchored_size()}"
        return AnchorUnavailable(f"{problem}: nothing is signed until it is put back there")

    def _foreign(self, current: bytes) -> RecoverRequired:
        origin, mine = self._signer.verifier.name, self._anchored_size()
        try:
            other = open_checkpoint(current, origin, [self._signer.verifier])
        except NoteInvalid as error:
            return RecoverRequired(f"the anchor holds something else than a checkpoint of {origin}: {error}")
        return RecoverRequired(
            f"the anchor holds a checkpoint of {origin} at size {other.size} that another process signed, "
            f"while this one had anchored size {mine}"
        )


def adopt(
    anchored: Checkpoint | None,
    local: Checkpoint | None,
    durable_size: int,
    tree_root: Callable[[int], bytes],
    *,
    place: str = "",
) -> None:
    """Decide at the start whether this ledger may go on signing (DESIGN §4).

    1. An empty anchor is only right where nothing was ever published.
    2. The anchored checkpoint is at or below the durable size, also after an unknown swap or a crash
       before its publication.
    3. Its root is this ledger's at that size.
    4. What was published locally holds the same way: it may be the newer one, where the anchor was restored.

    Args:
        anchored: What the anchor holds.
        local: What was published from this directory.
        durable_size: Records that the ledger holds durably.
        tree_root: This ledger's root at a size, asked only for sizes up to ``durable_size``.
        place: Where the anchor is, for messages.

    Raises:
        RecoverRequired: It may not.
    """
    if anchored is None and local is not None:
        raise RecoverRequired(
            f"{f'the anchor {place}' if place else 'the anchor'} is empty, while this ledger has published size "
            f"{local.size}",
            "is it not mounted? was the data directory renamed, so that the anchor beside it (DIR.anchor) has another "
            "name? was the anchor moved? then copy its files there, and start again; only if it is lost: ",
        )
    for what, checkpoint in (("anchored", anchored), ("published", local)):
        if checkpoint is None:
            continue
        if checkpoint.size > durable_size:
            raise RecoverRequired(f"size {checkpoint.size} was {what}, while this ledger holds {durable_size} records")
        own = tree_root(checkpoint.size)
        if own != checkpoint.root:
            raise RecoverRequired(
                f"size {checkpoint.size} was {what} with root {checkpoint.root.hex()}, "
                f"while this ledger, of {durable_size} records, has root {own.hex()} there"
            )


def known(key: VerifierKey, note: bytes | None, published: bytes | None) -> tuple[Checkpoint | None, Checkpoint | None]:
    """The checkpoints that anchor and directory hold of a log.

    Raises:
        RecoverRequired: The anchor holds something else.
        LedgerCorrupt: The ``checkpoint`` file is damaged.
    """
    origin = key.name
    try:
        anchored = open_checkpoint(note, origin, [key]) if note is not None else None
    except NoteInvalid as error:
        raise RecoverRequired(f"the anchor holds something else than a checkpoint of {origin}: {error}") from error
    try:
        return anchored, open_checkpoint(published, origin, [key]) if published is not None else None
    except NoteInvalid as error:
        raise LedgerCorrupt("checkpoint", str(error)) from error


def start_sealer(
    *,
    signer: Signer,
    anchor: Anchor,
    tiles: TileStore,
    publish: Callable[[bytes], None],
    published: bytes | None,
    durable_size: int,
) -> Sealer:
    """Read the anchor, decide by :func:`adopt`, and take up the tree where it was sealed last.

    Args:
        signer: Its name is the log's origin.
        anchor: Read before anything is served.
        tiles: The log's tiles.
        publish: As for :class:`Sealer`.
        published: The log's ``checkpoint`` file, ``None`` where there is none.
        durable_size: Records that the ledger holds durably.

    Returns:
        A sealer that wants the leaves from its ``size`` on.

    Raises:
        AnchorUnavailable: The anchor could not be read.
        RecoverRequired: Anchor and ledger disagree.
        LedgerCorrupt: The ``checkpoint`` file or a tile is damaged.
    """
    note = anchor.read(signer.verifier.name)
    anchored, local = known(signer.verifier, note, published)
    adopt(anchored, local, durable_size, partial(root_at, read=tiles.read))
    sizes = [checkpoint.size for checkpoint in (anchored, local) if checkpoint is not None]
    tree = TileTree.restore(max(sizes, default=0), tiles.read)
    last = Sealed(anchored, note) if anchored is not None and note is not None else None
    if last is not None and (local is None or local.size < last.checkpoint.size):
        publish(last.note)
    return Sealer(signer=signer, anchor=anchor, tiles=tiles, publish=publish, tree=tree, last=last)
