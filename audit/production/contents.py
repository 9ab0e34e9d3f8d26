"""What goes into the bag of a production: all that is before its ZIP.

 1. Its versions, their natives, their trail.
 2. The logs: records, tiles, checkpoint. The published checkpoint must cover the snapshot; there is one each second.
 3. The pages for people, the verifier, the bag's manifests.

Natives that are there and whole, from an attempt that was cut short, are not written again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, Final

import msgspec

from audit import __version__
from audit.checkpoint import Checkpoint
from audit.errors import RecordPruned
from audit.note import parse_note
from audit.production import question
from audit.production import state as states
from audit.production.bag import Bag, Cancelled, ProductionFailed
from audit.production.logs import write_log
from audit.production.pages import how_to_check, write_pages
from audit.production.state import Made, State
from audit.production.trail import removals
from audit.production.versions import Versions
from audit.query.records import ViewBehind
from audit.strand import holding
from audit.verify.build import archive

if TYPE_CHECKING:
    from pathlib import Path

    from audit.node import Node
    from audit.production.question import Found
    from audit.production.versions import Entry
    from audit.strand import Strand
    from audit.tiles import Tile

#: How long the checkpoint that covers the snapshot may take, in seconds.
SEAL_SECONDS: Final = 60
#: How long the view of records may take to have read everything, in seconds.
VIEW_SECONDS: Final = 600.0
#: After how many of them it is looked whether to go on.
_VIEW_SLICE: Final = 1.0


@dataclass
class Progress:
    """How far a production is. Written by its thread, read by any."""

    stage: str = "asked for"
    versions: int = 0
    done: int = 0
    bytes: int = 0
    stop: Event = field(default_factory=Event)

    def check(self) -> None:
        """Go on, or not.

        Raises:
            Cancelled: It was told to stop.
        """
        if self.stop.is_set():
            raise Cancelled


def caught_up(node: Node, position: int, progress: Progress) -> None:
    """Wait until the view of records has read everything before a position.

    Args:
        node: Open.
        position: Up to where.
        progress: Its ``stop`` cancels.

    Raises:
        Cancelled: It was told to stop.
        ViewBehind: It could not within :data:`VIEW_SECONDS`; ask again.
    """
    deadline = time.monotonic() + VIEW_SECONDS
    while True:
        progress.check()
        try:
            return node.asking.fresh(position, _VIEW_SLICE)
        except ViewBehind:
            if time.monotonic() >= deadline:
                raise


@dataclass(frozen=True)
class _Making:
    """One production under way."""

    node: Node
    bag: Bag
    state: State
    found: Found
    progress: Progress


def fill(node: Node, state: State, root: Path, progress: Progress) -> Made:
    """Fill a bag, and seal it.

    Args:
        node: Open.
        state: What for, and as of when.
        root: Its directory.
        progress: Kept up to date; its ``stop`` cancels.

    Raises:
        ProductionFailed: The directory cannot be used.
        Cancelled: It was told to stop.
        QueryInvalid: It is of too many versions or records.
        ViewBehind: The view of records is being built; ask again.
        LedgerCorrupt: A record or tile cannot be read.
    """
    states.clear(root)
    progress.stage = "waiting for the view of records"
    caught_up(node, state.snapshot, progress)
    found = question.find(node.asking, state.asked, state.snapshot)
    progress.versions = len(found.versions)
    bag = Bag(root, node.layout.root, node.settings.disk.reserve_mib << 20, progress.check)
    making = _Making(node, bag, state, found, progress)
    progress.stage = "natives"
    entries, removed = _versions(making)
    progress.stage = "records"
    ranges = _logs(making, removed)
    progress.stage = "pages and manifests"
    return _finish(making, entries, ranges)


def _versions(making: _Making) -> tuple[list[Entry], set[int]]:
    """The versions, and the positions of the records that removed those of them that are not there any more."""
    progress, bag = making.progress, making.bag
    versions = Versions(making.node, bag)
    entries = []
    for number, (position, trail) in enumerate(zip(making.found.versions, making.found.trails, strict=True), 1):
        progress.check()
        entries.append(versions.produce(number, position, tuple(_at(making, step) for step in trail)))
        progress.done, progress.bytes = number, bag.payload[0]
    removed = _removals(making, {(entry.key, entry.ordinal) for entry in entries if entry.state == "removed"})
    with bag.open("data/versions.ndjson") as put:
        for number, entry in enumerate(entries):
            if entry.state == "removed":
                step = _at(making, removed[entry.key, entry.ordinal])
                if step not in entry.trail:
                    entries[number] = msgspec.structs.replace(entry, trail=(*entry.trail, step))
            put(msgspec.json.encode(entries[number]) + b"\n")
    return entries, set(removed.values())


def _removals(making: _Making, gone: set[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """What removed versions, also what did so since the production was asked for: a record excuses each of them."""
    if not gone:
        return {}
    node, strands = making.node, making.node.stores.strands
    caught_up(node, strands[-1].end, making.progress)  # what the index lacks, a durable record removed
    found = removals(node.asking, making.state.asked.bucket, gone)
    if gone - found.keys():
        raise ProductionFailed("the index lacks a version that no record removed: run `strongroom doctor --index`")
    asked_in = holding(strands, making.state.snapshot)
    if any(position >= asked_in.end for position in found.values()):
        raise ProductionFailed("a version was removed after the vault was recovered: ask for a new production")
    return found


def _at(making: _Making, position: int) -> tuple[str, int]:
    strand = holding(making.node.stores.strands, position)
    return strand.name, position - strand.base


def _logs(making: _Making, removed: set[int]) -> list[dict[str, object]]:
    node, found, asked = making.node, making.found, making.state.asked
    asked_at = making.state.snapshot  # the record that asked goes in, too
    chosen = found.carried(only_matching=asked.only_matching) | {asked_at} | removed
    if not asked.only_matching:  # the first record of a stream names the one before: without it they are no one history
        chosen |= {strand.base for strand in node.stores.strands if min(chosen) <= strand.base <= asked_at}
    carried = sorted(chosen)
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
    making.progress.check()
    raise ProductionFailed(f"no checkpoint covers record {seq} of {strand.name} yet: look at the anchor, then go on")


def _finish(making: _Making, entries: list[Entry], ranges: list[dict[str, object]]) -> Made:
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
        "by": {"id": state.by.id, "person": state.by.person},
        "snapshot": state.snapshot,
        "versions": len(entries),
        "natives": len(natives),
        "failed": failed,
        "bytes": size,
        "streams": ranges,
    }
    bag.write("data/production.json", msgspec.json.format(msgspec.json.encode(about)) + b"\n")
    write_pages(bag, state.id, state.asked, state.by.person or state.by.id, entries)
    bag.write("HOW-TO-CHECK.txt", how_to_check(state.id, [str(each["origin"]) for each in ranges]))
    bag.write("strongroom-verify.pyz", archive())
    digest = bag.seal(
        {
            "External-Identifier": state.id,
            "External-Description": state.asked.reason,
            "Bag-Software-Agent": software,
        },
        beside=states.NAME,
    )
    return Made(state.id, len(entries), len(natives), failed, size, digest)
