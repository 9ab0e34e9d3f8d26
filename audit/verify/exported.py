"""An exported log: a C2SP tlog-tiles directory, or the same layout at a URL.

    checkpoint, tile/<L>/<N>[.p/<W>], tile/entries/<N>[.p/<W>], and perhaps the log's own ``vkey``

Every entry is read, hashed and checked; every tile up to the checkpoint's size is compared, and in a directory every
other file below ``tile/`` too, older partial tiles included.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.verify.anchor import Claims, Outside, match_origins
from audit.verify.files import walk
from audit.verify.lineage import Lineage, takeover_in
from audit.verify.note import MAX_NOTE_BYTES, NoteError, VerifierKey, parse_checkpoint, parse_vkey
from audit.verify.pool import cores, in_order
from audit.verify.pruned import Pruned
from audit.verify.records import Checker, Run, unknown_ops
from audit.verify.report import Bad, Finding, LogReport, Report, State, Unchecked
from audit.verify.source import Directory, Source
from audit.verify.spine import Spine
from audit.verify.tiles import TILE_BYTES, Listing, Tiles
from audit.verify.tree import TILE_WIDTH, subtree_root, tile_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audit.verify.event import Event
    from audit.verify.locks import Locks

#: Entry bundles that one task checks.
SPAN_TILES: Final = 64
#: Where a Strongroom server shows a log.
LOG_URL: Final = "as in http://127.0.0.1:9001/v1/log/STREAM"
_MAX_BUNDLE_BYTES: Final = TILE_WIDTH * (2 + 65_535)


class Span(NamedTuple):
    """Entry bundles ``first`` to ``end`` of a log of ``tiles.size`` entries."""

    tiles: Tiles
    stream: bytes
    first: int
    end: int
    partials: dict[int, list[int]]


def parse_bundle(data: bytes, place: str) -> list[bytes]:
    """Cut an entry bundle into its entries (C2SP tlog-tiles).

    Args:
        data: The bundle.
        place: What findings call it.

    Returns:
        The entries.

    Raises:
        Bad: It ends inside an entry.
    """
    entries, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise Bad(place, "the bundle ends inside an entry")
        entries.append(data[at + 2 : end])
        at = end
    return entries


def check_span(span: Span) -> Run:
    """Check the entries of some bundles and the level-0 tiles above them.

    Args:
        span: Which.

    Returns:
        The run of their records, with the roots of full tiles.

    Raises:
        Unchecked: Something cannot be read.
    """
    source, size = span.tiles.source, span.tiles.size

    def path(n: int) -> str:
        return tile_path("entries", n, min(TILE_WIDTH, size - n * TILE_WIDTH))

    record = partial(_record, source, size)
    checker = Checker(span.stream, span.first * TILE_WIDTH, record)
    broken = False
    roots: list[bytes] = []
    known: list[tuple[int, bytes]] = []
    numbers = range(span.first, span.end)
    try:
        bundles = source.read_all([path(n) for n in numbers], _MAX_BUNDLE_BYTES)
        for n, data in zip(numbers, bundles, strict=True):
            entries = _entries(data, source.place(path(n)), min(TILE_WIDTH, size - n * TILE_WIDTH), n)
            _older_bundles(span, n, data or b"", checker)
            gone = b"" in entries and len(entries) == TILE_WIDTH
            checker.feed(entries, span.tiles.leaves(n) if gone else b"")
            if len(entries) == TILE_WIDTH:
                leaves = checker.leaves[-TILE_WIDTH:]
                known.append((n, b"".join(leaves)))
                roots.append(subtree_root(leaves))
    except Bad as bad:
        checker.findings.append(bad.finding)
        broken = True
    checker.findings += span.tiles.check(0, known, record)
    return checker.run(broken=broken)._replace(roots=b"".join(roots))


def _record(source: Source, size: int, seq: int) -> str:
    """Name the place of a record."""
    n, at = divmod(seq, TILE_WIDTH)
    width = min(TILE_WIDTH, size - n * TILE_WIDTH)
    return f"{source.place(tile_path('entries', n, width))} entry {at}" if width > 0 else f"record {seq}"


def _entries(data: bytes | None, place: str, width: int, n: int) -> list[bytes]:
    if data is None:
        raise Bad(place, "the entry bundle is missing", n * TILE_WIDTH)
    try:
        entries = parse_bundle(data, place)
    except Bad as bad:
        raise Bad(place, bad.finding.why, n * TILE_WIDTH) from bad
    if len(entries) != width:
        raise Bad(place, f"it holds {len(entries)} entries instead of {width}", n * TILE_WIDTH)
    return entries


def _older_bundles(span: Span, n: int, data: bytes, checker: Checker) -> None:
    """Compare partial bundles of earlier sizes, which must be the beginning of what is there now."""
    for width in span.partials.get(n, ()):
        path = tile_path("entries", n, width)
        older = span.tiles.source.read(path, _MAX_BUNDLE_BYTES) or b""
        if not data.startswith(older) or len(parse_bundle(older, span.tiles.source.place(path))) != width:
            why = "the partial bundle is not the beginning of the newer one"
            checker.findings.append(Finding(n * TILE_WIDTH, span.tiles.source.place(path), why))


def verify_exported(source: Source, outside: Outside, report: Report, progress: Callable[[int], None]) -> None:
    """Verify an exported log.

    Args:
        source: Where it is.
        outside: What vouches for it.
        report: Receives everything found.
        progress: Called with the number of records checked.

    Raises:
        Bad: Its checkpoint is gone or is none.
        Unchecked: Something cannot be read, or there is no log.
    """
    place = source.place("checkpoint")
    data = source.read("checkpoint", MAX_NOTE_BYTES)
    if data is None:
        if not isinstance(source, Directory) and source.read(tile_path(0, 0, TILE_WIDTH), TILE_BYTES) is None:
            raise Unchecked(f"{place}: there is none, so this is no log: give its URL, {LOG_URL}")
        raise Bad(place, "there is no checkpoint")
    try:
        checkpoint = parse_checkpoint(data)
    except NoteError as error:
        raise Bad(place, str(error)) from error
    log = LogReport(checkpoint.origin)
    report.logs.append(log)
    match_origins(outside, [checkpoint.origin], report)
    claims = Claims(checkpoint.origin, own_keys(source, report), outside, report)
    claims.own_checkpoint(data, place)

    listing = _listed(source, report)
    tiles = Tiles(source, checkpoint.size, listing.partials, checkpoint.root)
    spine = Spine(tiles, claims.sizes(), partial(_record, source, checkpoint.size))
    lineage = Lineage()
    pruned = Pruned("record {}".format)
    stream = json.dumps(checkpoint.origin.rpartition("/")[2], ensure_ascii=False).encode()
    ops: Counter[bytes] = Counter()
    jobs = cores() if checkpoint.size > 2 * SPAN_TILES * TILE_WIDTH else 1
    runs = in_order(check_span, _spans(tiles, stream, listing), jobs)
    for run in runs:
        ops.update(run.ops)
        pruned.add(run)
        start = spine.size
        whole = spine.add(run)
        for event in run.events:
            if event.seq >= start:
                _replay(lineage, event, report)
        progress(spine.size)
        if not whole:
            break
    spine.finish()
    lineage.locks.finish()
    log.size, log.root = spine.size, spine.root().hex()
    report.findings += spine.findings + lineage.findings(lineage.locks.findings)
    for path in listing.beyond(spine.size):
        report.findings.append(Finding(None, source.place(path), "it goes beyond the checkpoint's size"))
    gone, states = pruned.judge(checkpoint.origin.rpartition("/")[2], lineage.prunings)
    report.findings += gone
    report.states += states
    claims.judge(spine.size, spine.roots, log)
    summarise(report, ops)
    summarise_inherited(report, lineage.locks)


def _replay(lineage: Lineage, event: Event, report: Report) -> None:
    """Take the next operation; the first record says where the history of the vault stands."""
    taken = takeover_in(event) if event.seq == 0 else None
    if taken is not None:
        lineage.begin("", taken.position)
        lineage.locks.inherits = True
        detail = f"it goes on from {taken.held} records of {taken.stream}, of which {taken.known} were known as signed"
        report.states.append(State("took over", "record 0", detail))
    if event.op == b"ledger.pruned":
        lineage.prunings.append(event)
    lineage.locks.apply(lineage.moved(event))


def _spans(tiles: Tiles, stream: bytes, listing: Listing) -> Iterator[Span]:
    bundles = -(-tiles.size // TILE_WIDTH)
    for first in range(0, bundles, SPAN_TILES):
        end = min(first + SPAN_TILES, bundles)
        older = {n: listing.bundles[n] for n in range(first, end) if n in listing.bundles}
        yield Span(tiles.within(first, end), stream, first, end, older)


def own_keys(source: Source, report: Report, name: str = "vkey") -> list[VerifierKey]:
    """Read the keys beside a log in a directory.

    Args:
        source: Where they are.
        report: Receives what is bad about them.
        name: Their file.

    Returns:
        The keys; none of a log at a URL, which shows none.

    Raises:
        Unchecked: The file cannot be read.
    """
    if not isinstance(source, Directory):
        return []
    try:
        text = (source.read(name, MAX_NOTE_BYTES) or b"").decode()
        return [parse_vkey(line) for line in text.splitlines() if line.strip()]
    except (NoteError, UnicodeDecodeError) as error:
        report.findings.append(Finding(None, source.place(name), str(error)))
        return []


def _listed(source: Source, report: Report) -> Listing:
    listing = Listing()
    if isinstance(source, Directory):
        others = 0
        for path, regular in walk(source.root):
            if path.startswith("tile/") and not (regular and listing.add(path)):
                report.findings.append(Finding(None, source.place(path), "no tile of a log has this name"))
            others += not path.startswith("tile/") and path not in {"checkpoint", "vkey"}
        if others:
            report.notes.append(f"{others} files beside the log were not looked at")
    return listing


def summarise(report: Report, ops: Counter[bytes]) -> None:
    """Count operations, and say of which records only the hashes could be checked.

    Args:
        report: Receives counts and states.
        ops: Records by operation.
    """
    report.counts.update({op.decode(): count for op, count in ops.items() if op})
    for name in unknown_ops(ops):
        detail = f"{ops[name.encode()]} records: only their hashes were checked"
        report.states.append(State("unknown kind of record", name, detail))


def summarise_inherited(report: Report, locks: Locks) -> None:
    """Say how many operations were on versions that a stream made which is not here."""
    if locks.inherited:
        detail = f"{locks.inherited} operations on versions that another stream made; their locks were not replayed"
        report.states.append(State("inherited versions", "", detail))
