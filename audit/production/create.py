"""Making a production, step by step; cut short anywhere, the same question with the same directory goes on with it.

 1. Recorded: who asks for what and why (``production.create``). From here on its snapshot stands (``ask``). Who goes on
    with it is recorded in the same way, and ``ref`` is then the position of the first record.
 2. The bag is filled and sealed (``contents``).
 3. The bag as one ZIP, kept under lock in the vault (``archive``, ``keep``).
 4. Recorded: what it came to, the digest of its last manifest, which covers every byte, and what was kept
    (``production.complete``). Before this it is not complete, however good the bag is.

What is under way is remembered beside the bag (``state``): natives that are there and whole are not written again, a
bag that is sealed is not made again, and an archive that is kept is not stored again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from audit.crash import crash_point
from audit.production import archive
from audit.production import state as states
from audit.production.archive import BagChanged
from audit.production.contents import caught_up, fill
from audit.production.keep import BUCKET, Archive, Kept, keep, key_of
from audit.query.filter import condition
from vault.record import SUCCESS, ObjectRef, ProductionRef, Request, Tail

if TYPE_CHECKING:
    from pathlib import Path

    from audit.node import Node
    from audit.production.contents import Progress
    from audit.production.keep import Asker
    from audit.production.state import Made, State
    from vault.errors import S3Error


class Finished(NamedTuple):
    """A production that is complete: the bag, and what is kept of it."""

    made: Made
    kept: Kept


def ask(node: Node, asker: Asker, state: State, root: Path, refused: S3Error | None = None) -> State:
    """Record that a production is asked for, or gone on with, and have its directory remember it. Durable on return.

    Args:
        node: Open.
        asker: Who asks.
        state: As remembered; a snapshot below 0 where it is new.
        root: Its directory.
        refused: Why it cannot be, whatever the committer would say.

    Returns:
        The same, with its snapshot.

    Raises:
        S3Error: AccessDenied, or ``refused``; recorded, and nothing else was done.
        Unavailable: It could not be recorded.
        ProductionFailed: The directory cannot be written.
    """
    asked = msgspec.json.encode(state.asked).decode()
    tail = Tail(
        op="production.create",
        actor=asker.actor,
        origin=asker.origin,
        request=Request(http=asker.http) if asker.http else None,
        production=ProductionRef(state.id, reason=state.asked.reason, asked=asked),
        ref=state.snapshot,
    )
    recorded = node.asking.record(tail, refused)
    snapshot = recorded.position if state.snapshot < 0 else state.snapshot
    state = msgspec.structs.replace(state, snapshot=snapshot, stopped="", problem="")
    states.save(root, state)
    crash_point("produce.asked")
    return state


def make(node: Node, asker: Asker, state: State, root: Path, progress: Progress) -> Finished:
    """Make a production that was asked for, to its end.

    Args:
        node: Open.
        asker: Who asks.
        state: From :func:`ask`.
        root: Its directory.
        progress: Kept up to date; its ``stop`` cancels.

    Raises:
        ProductionFailed: The directory cannot be used, or the archive not be kept.
        Cancelled: It was told to stop.
        ViewBehind: The view of records is being built; ask again.
        LedgerCorrupt: A record or tile cannot be read.
        VaultError: Of keeping it.
    """
    made, packed = state.made, state.packed
    if made is None:
        made = fill(node, state, root, progress)
        state = msgspec.structs.replace(state, made=made)
        states.save(root, state)
        crash_point("produce.sealed")
    progress.versions = progress.done = made.versions
    progress.bytes = made.bytes
    resumed = packed is not None
    try:
        if packed is None:
            progress.stage = "packing"
            packed = archive.measured(root, state.id, progress.check)
            state = msgspec.structs.replace(state, packed=packed)
            states.save(root, state)
        progress.stage = "keeping under lock"
        kept = keep(node, asker, Archive(state.id, packed, root), progress.stop)
    except BagChanged:  # the next attempt shall not meet the same
        states.save(root, msgspec.structs.replace(state, made=None, packed=None))
        raise
    crash_point("produce.kept")
    if not (resumed and _completed(node, state, progress)):
        _complete(node, asker, state, made, kept)
    crash_point("produce.complete")
    states.forget(root)
    progress.stage = "done"
    return Finished(made, kept)


def _completed(node: Node, state: State, progress: Progress) -> bool:
    """Whether an earlier attempt came to its last record, and died right after it."""
    caught_up(node, node.stores.strands[-1].end, progress)
    of_it = [("op", "production.complete"), ("outcome", SUCCESS), ("bucket", BUCKET), ("key", key_of(state.id))]
    return bool(node.asking.select("position", condition(of_it), "LIMIT 1"))


def _complete(node: Node, asker: Asker, state: State, made: Made, kept: Kept) -> None:
    """Record it: the commit point. What died before is gone on with; what died after it is complete."""
    done = ProductionRef(
        state.id,
        reason=state.asked.reason,
        asked=msgspec.json.encode(state.asked).decode(),
        versions=made.versions,
        natives=made.natives,
        bytes=made.bytes,
        digest=made.digest,
        archive=kept.sha256,
        failed=made.failed,
    )
    named = ObjectRef(kept.bucket, kept.key, kept.version_id, size=kept.size)
    tail = Tail(
        op="production.complete",
        actor=asker.actor,
        origin=asker.origin,
        object=named,
        production=done,
        ref=state.snapshot,
    )
    node.asking.record(tail)
