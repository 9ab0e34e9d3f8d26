"""Making a production, step by step; cut short anywhere, the same command goes on where it was.

 1. Recorded: who asks for what and why (``production.create``). From here on its snapshot stands.
 2. Its versions, their natives, their trail.
 3. The logs: records, tiles, checkpoint. The published checkpoint must cover the snapshot; there is one each second.
 4. The pages for people, the verifier, the bag's manifests.
 5. Recorded: what it came to, and the digest of its last manifest, which covers every byte (``production.complete``).

``.unfinished.json`` holds the snapshot while it is under way; whoever gives the directory again with the same question
goes on with it, and natives that are there and whole are not written again.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Final

import msgspec

from audit import __version__
from audit.checkpoint import Checkpoint
from audit.errors import AuditError, RecordPruned
from audit.note import parse_note
from audit.production import question
from audit.production.bag import Bag, ProductionFailed
from audit.production.logs import write_log
from audit.production.pages import how_to_check, write_pages
from audit.production.question import Question
from audit.production.versions import Versions
from audit.strand import holding
from audit.verify.build import archive
from vault.record import ProductionRef, Tail, decode

if TYPE_CHECKING:
    from pathlib import Path

    from audit.node import Node
    from audit.production.question import Found
    from audit.production.versions import Entry
    from audit.strand import Strand
    from audit.tiles import Tile
    from vault.record import Actor, Origin

#: How long the checkpoint that covers the snapshot may take, in seconds.
SEAL_SECONDS: Final = 60
#: How long the view of records may take to have read everything, in seconds.
VIEW_SECONDS: Final = 600.0
_STATE: Final = ".unfinished.json"


class Cancelled(AuditError):
    """A production was cancelled; what is there of it can be gone on with."""

    code = "production-cancelled"
    status = 409


class _State(msgspec.Struct, frozen=True):
    """What an unfinished production remembers."""

    id: str
    snapshot: int
    asked: Question


@dataclass
class Progress:
    """How far a production is. Written by its thread, read by any."""

    id: str = ""
    stage: str = "asked for"
    versions: int = 0
    done: int = 0
    bytes: int = 0
    stop: Event = field(default_factory=Event)


@dataclass(frozen=True)
class Made:
    """A finished production: ``digest`` is the SHA-256 of its last manifest."""

    id: str
    versions: int
    natives: int
    failed: int
    bytes: int
    digest: str


@dataclass(frozen=True)
class _Making:
    """One production under way."""

    node: Node
    bag: Bag
    state: _State
    found: Found
    progress: Progress


def create(node: Node, actor: Actor, origin: Origin, asked: Question, *, root: Path, progress: Progress) -> Made:
    """Make a production, or go on with it.

    Args:
        node: Open.
        actor: Who asks.
        origin: From where.
        asked: What for.
        root: An absent or empty directory, or one that an attempt with the same question left.
        progress: Kept up to date; its ``stop`` cancels.

    Raises:
        QueryInvalid: It cannot be asked like this; nothing was recorded.
        S3Error: AccessDenied; recorded.
        ProductionFailed: The directory cannot be used, or is of another question.
        Cancelled: It was told to stop.
        ViewBehind: The view of records is being built; ask again.
        LedgerCorrupt: A record or tile cannot be read.
    """
    asked = question.judged(asked)
    state = _begin(root, asked)
    progress.id = state.id
    ref = ProductionRef(state.id, reason=asked.reason, asked=msgspec.json.encode(asked).decode())
    recorded = node.asking.record(Tail(op="production.create", actor=actor, origin=origin, production=ref))
    if state.snapshot < 0:
        state = msgspec.structs.replace(state, snapshot=recorded.position)
        (root / _STATE).write_bytes(msgspec.json.encode(state))
    node.asking.fresh(state.snapshot, VIEW_SECONDS)
    found = question.find(node.asking, asked, state.snapshot)
    progress.versions = len(found.versions)
    making = _Making(node, Bag(root), state, found, progress)
    progress.stage = "natives"
    entries = _versions(making)
    progress.stage = "records"
    ranges = _logs(making)
    progress.stage = "pages and manifests"
    made = _finish(making, actor, entries, ranges)
    done = ProductionRef(state.id, versions=made.versions, natives=made.natives, bytes=made.bytes, digest=made.digest)
    node.asking.record(Tail(op="production.complete", actor=actor, origin=origin, production=done))
    progress.stage = "done"
    return made


def _begin(root: Path, asked: Question) -> _State:
    fresh = _State(os.urandom(8).hex(), -1, asked)
    path = root / _STATE
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.exists():
            state = msgspec.json.decode(path.read_bytes(), type=_State)
            if state.asked != asked:
                raise ProductionFailed(f"{root} holds an unfinished production of another question; give a new one")
            return state
        if any(root.iterdir()):
            raise ProductionFailed(f"{root} is not empty; give a new directory")
        path.write_bytes(msgspec.json.encode(fresh))
    except msgspec.DecodeError as error:
        raise ProductionFailed(f"{path} is damaged; give a new directory") from error
    except OSError as error:
        raise ProductionFailed(f"{root} cannot be written: {error.strerror}") from error
    return fresh


def _versions(making: _Making) -> list[Entry]:
    progress, bag = making.progress, making.bag
    versions = Versions(making.node, bag)
    entries = []
    for number, position in enumerate(making.found.versions, 1):
        if progress.stop.is_set():
            raise Cancelled("the production was cancelled; the same command with the same directory goes on with it")
        entries.append(versions.produce(number, position, _trail(making, position)))
        progress.done, progress.bytes = number, bag.payload[0]
    with bag.open("data/versions.ndjson") as put:
        for entry in entries:
            put(msgspec.json.encode(entry) + b"\n")
    return entries


def _trail(making: _Making, position: int) -> tuple[tuple[str, int], ...]:
    """The records that name a version's key, but for those of other versions of it."""
    head, tail = decode(making.node.history.record(position))
    ordinal = head.version.ordinal if head.version is not None else 0
    key = tail.object.key if tail.object is not None else ""
    steps = [
        at
        for at, which, op in making.found.trail.get(key, ())
        if which in {0, ordinal} or (op == "object.delete" and _hides(making, at))
    ]
    strands = making.node.stores.strands
    return tuple((strand.name, at - strand.base) for at in steps for strand in (holding(strands, at),))


def _hides(making: _Making, position: int) -> bool:
    """Whether a deletion made a marker, which hides all versions of its key."""
    head, tail = decode(making.node.history.record(position))
    return head.version is not None and head.version.marker and tail.object is not None and not tail.object.version_id


def _logs(making: _Making) -> list[dict[str, object]]:
    node, found, asked = making.node, making.found, making.state.asked
    chosen = {*found.carried(only_matching=asked.only_matching), making.state.snapshot}  # with the record that asked
    carried = sorted(position for position in chosen if position <= making.state.snapshot)
    ranges: list[dict[str, object]] = []
    for strand in node.stores.strands:
        seqs = [at - strand.base for at in carried if holding(node.stores.strands, at) is strand]
        if not seqs:
            continue
        note, size = _covering(making, strand, seqs[-1])

        def read(tile: Tile, stream: str = strand.name) -> bytes:
            return node.tile(stream, tile.path)

        place = f"data/logs/{strand.name}"
        making.bag.write(f"{place}/checkpoint", note)
        making.bag.write(f"{place}/vkey", node.layout.vkey(strand.name).read_bytes())
        try:
            write_log(making.bag, place, seqs, size, record=strand.feed.record, read=read)
        except RecordPruned as error:
            raise ProductionFailed(
                f"{error}; so nobody can check that no version of that time was left out: ask with --only-matching"
            ) from error
        first, end = (0, 0) if asked.only_matching else _inside(strand, found.first, found.end)
        said = {"stream": strand.name, "origin": node.identity.origin_of(strand.name), "size": size}
        ranges.append({**said, "records": len(seqs), "first": first, "end": end})
    return ranges


def _inside(strand: Strand, first: int, end: int) -> tuple[int, int]:
    """The seqs of one stream in a range of positions."""
    length = strand.end - strand.base
    return min(max(first - strand.base, 0), length), min(max(end - strand.base, 0), length)


def _covering(making: _Making, strand: Strand, seq: int) -> tuple[bytes, int]:
    """The published checkpoint, once it covers a record."""
    deadline = time.monotonic() + SEAL_SECONDS
    while time.monotonic() < deadline and not making.progress.stop.wait(0.05):
        note = making.node.checkpoint(strand.name)
        size = Checkpoint.parse(parse_note(note).text).size if note is not None else 0
        if note is not None and size > seq:
            return note, size
    raise ProductionFailed(f"no checkpoint covers record {seq} of {strand.name} yet: look at the anchor, then go on")


def _finish(making: _Making, actor: Actor, entries: list[Entry], ranges: list[dict[str, object]]) -> Made:
    bag, state = making.bag, making.state
    natives = [entry for entry in entries if entry.state == "native"]
    failed = sum(entry.state == "failed" for entry in entries)
    size = sum(entry.size for entry in natives)
    software = f"strongroom {__version__}"
    about = {
        "v": 1,
        "id": state.id,
        "software": software,
        "asked": msgspec.to_builtins(state.asked),
        "by": {"id": actor.id, "person": actor.person},
        "snapshot": state.snapshot,
        "versions": len(entries),
        "natives": len(natives),
        "failed": failed,
        "bytes": size,
        "streams": ranges,
    }
    bag.write("data/production.json", msgspec.json.format(msgspec.json.encode(about)) + b"\n")
    write_pages(bag, state.id, state.asked, actor.person or actor.id, entries)
    bag.write("HOW-TO-CHECK.txt", how_to_check(state.id, [str(each["origin"]) for each in ranges]))
    bag.write("strongroom-verify.pyz", archive())
    (bag.root / _STATE).unlink()
    digest = bag.seal(
        {
            "External-Identifier": state.id,
            "External-Description": state.asked.reason,
            "Bag-Software-Agent": software,
        }
    )
    return Made(state.id, len(entries), len(natives), failed, size, digest)
