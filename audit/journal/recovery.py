"""What a start makes of the commit log: read everything, cut at most the last group, write the last good one again.

*Every* start does this, after a clean stop too (DESIGN §4). Segments are read past the page cache, so that what
counts is what a power cut would have left. The rules, numbered:

 1. A retired segment's content was verified elsewhere: it is removed.
 2. Groups follow one another without a hole. After the last good one of a segment nothing may look like a group.
 3. Bytes other than zeros after the last good group are a torn group. It may only stand at the end of what one
    incarnation wrote: in the newest segment, or in one whose successor was opened by a later incarnation. The newest
    segment is synced as it was found, which a killed writer may not have done: no later start finds it otherwise.
 4. Seqs have no gap between groups and segments; same seq with same bytes is dropped, with other bytes is an error.
 5. Each record's ``prev`` is the leaf hash of the one before.
 6. Nothing that a checkpoint, the anchor, a cursor or an index sync covers, or that a segment's header says came
    before it, may be missing at the end.
 7. What is torn is copied to ``quarantine/`` before anything is written, and named by a ``ledger.recover`` record; a
    start that ends before that record is durable leaves the naming to the next one.
 8. The last good group is written again as the first of a new segment and synced; only then anybody reads or writes.

A crash anywhere in here leaves a log on which the same rules give the same answer.

The commit log of a stream that was taken over is read by the same rules but the last two: nothing is written to it ever
again, and what is torn is named in the stream that goes on.

Not handled here: settled records (``audit.ledger``), the checkpoint's own check (``audit.sealing``).
"""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit.chain import Chain
from audit.crash import crash_point
from audit.errors import LedgerCorrupt
from audit.journal import segment as format_
from audit.journal.log import SUFFIX, CommitLog
from audit.journal.segment import BLOCK, GroupHeader, SegmentHeader
from audit.journal.segment_file import Segment
from vault import device, durable
from vault.errors import CorruptError
from vault.record import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from vault.storage.open_files import OpenFiles

#: Zeros at the end of a closed segment that are given back to the disk, in bytes: each start closes one.
_WORTH_RELEASING = 64 * 1024
#: What a record has that names a torn group.
_RECOVERY = b'"op":"ledger.recover"'


@dataclass(slots=True)
class Torn:
    """A group that did not become durable whole: at ``file``, a copy of ``length`` bytes with that digest."""

    file: str
    length: int
    digest: str


@dataclass(slots=True)
class Recovered:
    """What a start found.

    Attributes:
        next_seq: Seq of the next record.
        prev: Leaf hash of the last record.
        incarnation: This writer's.
        torn: What was cut and no ``ledger.recover`` record names yet.
        first_seq: Oldest seq in the commit log (= ``next_seq`` where it is empty).
    """

    next_seq: int
    prev: bytes
    incarnation: int
    first_seq: int
    torn: list[Torn] = field(default_factory=list)


@dataclass(slots=True)
class _Scan:
    """The state of one pass over all segments."""

    files: OpenFiles
    chain: Chain | None = None
    incarnation: int = 0
    last: tuple[GroupHeader, bytes] | None = None
    segments: list[Segment] = field(default_factory=list)
    tails: list[tuple[SegmentHeader, int, bytes]] = field(default_factory=list)
    named: set[str] = field(default_factory=set)


def recover(
    log: CommitLog,
    quarantine: Path,
    stream: bytes,
    *,
    settled: tuple[int, bytes],
    covered: int,
    decide: Callable[[int], None] = lambda _: None,
    progress: Callable[[int], None] = lambda _: None,
) -> Recovered:
    """Bring the commit log to the state from which a writer goes on, and hand the segments to ``log``.

    Args:
        log: A commit log that was not begun; the caller holds the writer's lock.
        quarantine: Where torn groups are copied to.
        stream: From :func:`audit.journal.segment.stream_hash`.
        settled: End seq of the settled ledger and the leaf hash of its last record.
        covered: The largest number of records that a view claims: cursors, index. What checkpoint and anchor claim is
            ``decide``'s to judge.
        decide: Called with the number of records there are, before anything is written: it raises where the stream
            must not go on.
        progress: Called with the number of records read, now and then.

    Returns:
        Where the stream goes on.

    Raises:
        LedgerCorrupt: The log is damaged or misses records that were durable; nothing was written.
        DurabilityError: A write failed; start again.
        Unavailable: There is no room for the new segment; free disk space and start again.
    """
    scan, found, number = _read(log, quarantine, stream, settled, covered, decide, progress)
    log.begin(scan.segments, found.incarnation, found.next_seq, number + 1)
    crash_point("recover.before-rewrite")
    if scan.last is not None:
        header, data = scan.last
        target = log.open_segment(header.first_seq, header.length)
        crash_point("recover.opened")
        entries = [
            (data[start : start + length], (data[start + length : start + length + body],))
            for start, length, body in format_.places(data, header, str(log.directory))
        ]
        log.append(target, header.first_seq, entries)
    crash_point("recover.after-rewrite")
    for item, (_, _, rest) in zip(scan.segments, scan.tails, strict=True):
        if not rest and (left := item.header.length - item.end_offset) > _WORTH_RELEASING:
            durable.release_zeros(item.file().fd, item.end_offset, left)
    return found


def reopen(
    log: CommitLog,
    quarantine: Path,
    stream: bytes,
    *,
    settled: tuple[int, bytes],
    progress: Callable[[int], None] = lambda _: None,
) -> Recovered:
    """Read the commit log of a stream that was taken over, or is to be, and hand its segments to ``log``.

    The arguments are those of :func:`recover`. How many records it must hold is the caller's to compare.

    Raises:
        LedgerCorrupt: It is damaged otherwise than by a torn tail.
    """
    scan, found, number = _read(log, quarantine, stream, settled, None, lambda _: None, progress)
    log.begin(scan.segments, found.incarnation, found.next_seq, number + 1)
    return found


def _read(  # noqa: PLR0917 - private, named at both calls
    log: CommitLog,
    quarantine: Path,
    stream: bytes,
    settled: tuple[int, bytes],
    covered: int | None,
    decide: Callable[[int], None],
    progress: Callable[[int], None],
) -> tuple[_Scan, Recovered, int]:
    """Rules 1 to 7, without rule 6 where ``covered`` is None; also the highest number of a segment."""
    scan = _Scan(log.files)
    paths = sorted(log.directory.glob(f"*{SUFFIX}"))
    for path in paths:
        if not (path.stem.isascii() and path.stem.isdigit()):
            raise LedgerCorrupt(str(path), "not the name of a segment")
    number = max((int(path.stem) for path in paths), default=-1)
    for path, data in _contents(paths):
        _read_segment(path, data, stream, settled, scan)
        progress(scan.chain.seq if scan.chain is not None else 0)
    chain = scan.chain if scan.chain is not None else Chain.after(settled[1], settled[0])
    next_seq, prev = chain.seq, bytes.fromhex(chain.leaf)
    if next_seq < settled[0]:  # all of it was settled: then the commit log ends before it does
        raise LedgerCorrupt(str(log.directory), f"it ends at record {next_seq}, settled ones at {settled[0]}")
    if next_seq == settled[0] and prev != settled[1]:
        raise LedgerCorrupt(str(log.directory), f"record {next_seq - 1} is not the one that was settled")
    torn = _judge_tails(scan, log.directory)
    decide(next_seq)
    if covered is not None and next_seq < (covered := max(covered, *(item.first_seq for item in scan.segments), 0)):
        raise LedgerCorrupt(
            str(log.directory),
            f"records {next_seq} to {covered - 1} are missing, but the index, a cursor or a segment's header has seen "
            "them; restore the newest copy of the directory, or run `strongroom recover`",
        )
    if scan.segments:
        durable.fdatasync(scan.segments[-1].file().fd)
    found = _quarantine(torn, scan.named, quarantine)
    crash_point("recover.quarantined")
    first = min((item.first_seq for item in scan.segments), default=next_seq)
    return scan, Recovered(next_seq, prev, scan.incarnation + 1, first, found), number


def _contents(paths: Sequence[Path]) -> Iterator[tuple[Path, bytes]]:
    """All bytes of each segment; the next one is on its way while one is looked at."""
    with ThreadPoolExecutor(1, "recovery") as reader:
        coming: deque[Future[bytes]] = deque()
        for number, path in enumerate(paths):
            for soon in paths[number + len(coming) : number + 2]:
                coming.append(reader.submit(device.read_direct, soon, 0, soon.stat().st_size))
            yield path, coming.popleft().result()


def _read_segment(path: Path, data: bytes, stream: bytes, settled: tuple[int, bytes], scan: _Scan) -> None:
    place, size = str(path), len(data)
    header = format_.decode_segment_header(data[:BLOCK], place)
    if header is None:  # rule 1; its bytes may be zeroed half way
        durable.remove(path)
        return
    if header.stream != stream:
        raise LedgerCorrupt(place, "it belongs to another stream")
    if header.number != int(path.stem) or header.length != size:
        raise LedgerCorrupt(place, f"it says it is segment {header.number} of {header.length} bytes")
    if header.incarnation < scan.incarnation:
        raise LedgerCorrupt(place, f"incarnation {header.incarnation} after {scan.incarnation}")
    opened = Segment(path, header, scan.files)
    scan.segments.append(opened)
    scan.incarnation = header.incarnation
    offset = BLOCK
    while (group := format_.read_group(data, offset, header)) is not None:
        known = group.first_seq <= group.durable_through <= group.first_seq + group.count
        if group.incarnation != header.incarnation or not known:
            raise LedgerCorrupt(f"{place} at {offset}", "a group that its segment's writer cannot have written")
        _read_records(data, group, place, settled, scan)
        scan.last = (group, data)
        offset = group.end
    opened.end_offset = offset
    for later in range(offset + BLOCK, size, BLOCK):  # rule 2
        if data[later : later + 8] == format_.GROUP_MAGIC and format_.read_group(data, later, header) is not None:
            raise LedgerCorrupt(f"{place} at {offset}", f"a damaged group before a good one at {later}")
    rest = data[offset:].rstrip(b"\0")
    scan.tails.append((header, offset, rest))


def _read_records(data: bytes, group: GroupHeader, place: str, settled: tuple[int, bytes], scan: _Scan) -> None:
    """Rules 4, 5 and 7 for the records of one group of the last segment there is so far."""
    first, opened = group.first_seq, scan.segments[-1]
    if scan.chain is None:
        if first > settled[0]:
            raise LedgerCorrupt(place, f"records {settled[0]} to {first - 1} are missing before it")
        scan.chain = Chain.after(settled[1] if first == settled[0] else b"", first)
    chain = scan.chain
    if first > chain.seq:
        raise LedgerCorrupt(place, f"records {chain.seq} to {first - 1} are missing before {first}")
    if first != opened.end_seq:
        raise LedgerCorrupt(place, f"record {first} stands where {opened.end_seq} belongs")
    found = format_.places(data, group, place)
    named = data.find(_RECOVERY, group.offset, group.end) >= 0
    for seq, (start, length, _) in enumerate(found, first):
        record = data[start : start + length]
        if seq < chain.seq:
            _require_known(seq, record, place, scan)
            continue
        if seq == settled[0] and chain.leaf != settled[1].hex():
            raise LedgerCorrupt(place, f"record {seq} does not follow the settled ledger")
        chain.add(record, place)
        if named:
            _note_recovery(record, scan)
    opened.note(found)


def _require_known(seq: int, record: bytes, place: str, scan: _Scan) -> None:
    """Rule 4: a record that stands twice is the same."""
    parts = (part for part in reversed(scan.segments[:-1]) if part.first_seq <= seq < part.end_seq)
    if next((part.record(seq) for part in parts), None) != record:
        raise LedgerCorrupt(place, f"record {seq} stands twice with different bytes")


def _note_recovery(record: bytes, scan: _Scan) -> None:
    """Rule 7: what earlier starts have named."""
    if _RECOVERY in record:
        try:
            ledger = decode(record)[1].ledger
        except ValueError:  # a newer schema's; whoever replays it says so
            return
        if ledger is not None:
            scan.named.add(ledger.quarantined)


def _judge_tails(scan: _Scan, directory: Path) -> list[tuple[Path, str, bytes]]:
    """Rule 3: torn groups that may be cut, each with its segment and the name of its copy."""
    torn = []
    for index, (header, offset, rest) in enumerate(scan.tails):
        if not rest:
            continue
        place = directory / f"{header.number:010d}{SUFFIX}"
        newest = index == len(scan.tails) - 1
        if not newest and scan.tails[index + 1][0].incarnation == header.incarnation:
            raise LedgerCorrupt(f"{place} at {offset}", "a damaged group before good ones in the next segment")
        torn.append((place, f"{header.number:010d}-{offset}.bin", rest))
    return torn


def _quarantine(torn: list[tuple[Path, str, bytes]], named: set[str], directory: Path) -> list[Torn]:
    """Rule 7: copy what is torn; what no record names yet comes back."""
    durable.sweep_temps(directory)
    unnamed = []
    for place, name, rest in torn:
        copy = directory / name
        if not copy.exists():
            durable.write_new(copy, rest)
        elif copy.read_bytes() != rest:
            raise CorruptError(f"{copy}: not the torn bytes that stand in {place}")
        if name not in named:
            unnamed.append(Torn(name, len(rest), hashlib.sha256(rest).hexdigest()))
    return unnamed
