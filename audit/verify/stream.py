"""One stream of a data directory: settled segments, then the commit log, as one gapless log.

1. Settled segments follow each other from record 0; their frames are checked in parallel.
2. Commit log segments follow, in order of number, and may overlap what is settled and each other; incarnations never
   fall. Retired segments are not read: their content lives elsewhere.
3. Only the last segment may have a torn tail, the named state "unrecovered tail". An older one may have the tail that a
   later incarnation cut; if the log went on after it, a ``ledger.recover`` record must hold its digest.
4. What a recovery cut lies in ``quarantine/``, as the record says.

Not handled here: packs, blobs and keys (``datadir``).
"""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha256
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from audit.verify.exported import summarise
from audit.verify.files import digest_file
from audit.verify.inventory import StreamFiles, listed_now
from audit.verify.lineage import Lineage, Takeover, takeover_in
from audit.verify.pool import cores, in_order
from audit.verify.pruned import Pruned
from audit.verify.report import Bad, Finding, LogReport, Report, State
from audit.verify.segment import Reading, Segment, first_kept, read_segment
from audit.verify.settled import SPAN_FRAMES, Frames, check_frames, read_seek_table, spans
from audit.verify.source import Directory
from audit.verify.spine import Spine
from audit.verify.tiles import BEYOND, Tiles
from audit.verify.tree import TILE_WIDTH

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.verify.anchor import Claims
    from audit.verify.event import Event
    from audit.verify.records import Run


class _Tear(NamedTuple):
    """A tail after the last good group: where, after how many records, written by whom, its digest in hex."""

    place: str
    size: int
    incarnation: int
    digest: str


class Moved(Exception):
    """Records are missing where they were listed: a running server may have settled them meanwhile."""


class Stream:
    """The records of one stream, and what follows from them.

    Args:
        root: The data directory.
        name: The stream.
        origin: Its log's origin.
        files: Its files.
        report: Receives everything found.
        lineage: The history that it goes on with.
        profile: Crypto profile of the vault.

    Attributes:
        principals: Ids of principals added, and whether they are enabled.
        stopped: The last record says that the writer stopped in good order.
        still: Nothing moves: what is missing is missing. Else :class:`Moved` is raised for it.
        base: Position of its first record.
        takeover: What its first record says of the stream before it.
        recoveries: What its records say of torn tails, of its own and of the stream before it.
        size: Records in it.
        pruned: Those of which only the hashes are there.
    """

    def __init__(  # noqa: PLR0917 - private to datadir
        self, root: str, name: str, origin: str, files: StreamFiles, report: Report, lineage: Lineage, profile: str
    ) -> None:
        self._root, self._files, self._report = f"{root}/streams/{name}", files, report
        self._name, self._lineage, self.base = name, lineage, lineage.base
        self._profile = profile
        self._prefix = f"streams/{name}/"
        self._stream = json.dumps(name, ensure_ascii=False).encode()
        self._origin = origin
        self.principals: dict[str, bool] = {}
        self.stopped = False
        self.still = True
        self.takeover: Takeover | None = None
        self.recoveries: list[Event] = []
        self.size = 0
        self.pruned = Pruned(self.place)
        self._roots: dict[int, bytes] = {}
        self._found: list[Finding] = []
        self._tears: list[_Tear] = []
        self._incarnation = 0
        self._ops: Counter[bytes] = Counter()

    def place(self, seq: int) -> str:
        """Name the place of a record."""
        return f"{self._prefix.rstrip('/')} record {seq}"

    def verify(self, claims: Claims, log: LogReport, progress: Callable[[int], None]) -> None:
        """Read all of it; :meth:`judge` comes when its successor, if it has one, was read too.

        Args:
            claims: What is claimed about the log.
            log: Receives size and root.
            progress: Called with the number of records checked.

        Raises:
            Unchecked: Something cannot be read.
            Moved: Records are missing, and may have moved meanwhile.
        """
        size = claims.checkpoint.size if claims.checkpoint else 0
        root = claims.checkpoint.root if claims.checkpoint else b""
        tiles = Tiles(Directory(self._root, self._prefix), size, self._files.tiles.partials, root)
        segments = self._segments()
        spine = Spine(tiles, claims.sizes(), self.place, first_kept(segments))
        settled = 0
        while self._settled(spine, tiles, settled, progress):
            settled = len(self._files.settled)
            try:
                self._commits(spine, segments, progress)
                break
            except Moved:
                segments = self._moved_on()
        spine.finish()
        self.size, self._roots = spine.size, spine.roots
        log.size, log.root = spine.size, spine.root().hex()
        self._found = spine.findings
        for path in self._files.tiles.beyond(spine.size):
            self._found.append(Finding(None, self._prefix + path, BEYOND))

    def _segments(self) -> list[Segment]:
        return [
            Segment(f"{self._root}/{name}", self._prefix + name, number, self._stream, _hash(self._origin))
            for number, name in sorted(self._files.commits.items())
        ]

    def _moved_on(self) -> list[Segment]:
        """Look where records went that were settled while those before them were read.

        Returns:
            The commit log's segments, as they are now.

        Raises:
            Moved: Nothing more is settled now.
        """
        now, before = listed_now(self._root), len(self._files.settled)
        if now.settled[:before] != self._files.settled or len(now.settled) == before:
            raise Moved
        self._files.settled, self._files.commits = now.settled, now.commits
        self._tears.clear()
        self._incarnation = 0
        return self._segments()

    def judge(self, claims: Claims, log: LogReport, after: Stream | None) -> None:
        """Hold it against what is claimed of it, and against the stream that took it over.

        Args:
            claims: As for :meth:`verify`.
            log: Receives what is said about its checkpoints.
            after: That stream, read; None where this is the last one.
        """
        taken = after.takeover if after is not None else None
        if after is None and self._files.settled and self._files.settled[-1][1] % TILE_WIDTH:
            self._bad(None, self._prefix + self._files.settled[-1][2], "no segment of a stream that goes on ends there")
        named = [event for event in self.recoveries if not event.cut_in]
        if after is not None:
            named += [event for event in after.recoveries if event.cut_in and json.loads(event.cut_in) == self._name]
            self._judge_takeover(taken, after, log.root)
        self._report.findings += self._beyond(self._found) if taken else self._found
        self._judge_tears(self.size, 0 if taken else max(claims.sizes(), default=0), named)
        self._quarantine(named)
        if claims.checkpoint is None and not taken and (self._files.settled or (self.stopped and self.size)):
            self._bad(None, self._prefix + "checkpoint", "there is no checkpoint")
        claims.judge(self.size, self._roots, log, taken)
        summarise(self._report, self._ops)

    def _judge_takeover(self, taken: Takeover | None, after: Stream, root: str) -> None:
        if taken is None or taken.stream != self._name:
            self._bad(0, after.place(0), f"it does not say that it takes over {self._name}, as vault.json does")
            return
        if (taken.held, taken.root) != (self.size, root):
            why = (
                f"{after.place(0)} took it over with {taken.held} records and another root than these {self.size} have"
            )
            self._bad(min(taken.held, self.size), self._prefix.rstrip("/"), why)
        if taken.position != after.base:
            why = f"it says that its records begin at position {taken.position}, and they do at {after.base}"
            self._bad(0, after.place(0), why)
        if taken.known > taken.held:
            detail = f"records {taken.held} to {taken.known - 1} were signed and are not here, as {after.place(0)} says"
            self._report.states.append(State("records lost", self._prefix.rstrip("/"), detail))
        elif taken.known_root and self._roots.get(taken.known, b"").hex() not in {"", taken.known_root}:
            detail = f"another history of {taken.known} records was signed, as {after.place(0)} says"
            self._report.states.append(State("history forked", self._prefix.rstrip("/"), detail))

    def _beyond(self, found: list[Finding]) -> list[Finding]:
        """Findings but for hashes of records that were lost, which are still worth keeping."""
        beyond = sum(finding.why == BEYOND for finding in found)
        if beyond:
            detail = f"{beyond} tiles hold hashes of records that are not here"
            self._report.states.append(State("records lost", self._prefix.rstrip("/"), detail))
        return [finding for finding in found if finding.why != BEYOND]

    def _bad(self, seq: int | None, place: str, why: str) -> None:
        self._report.findings.append(Finding(seq, place, why))

    def _join(self, spine: Spine, run: Run) -> bool:
        start = spine.size
        whole = spine.add(run)
        self._ops.update(run.ops[max(0, start - run.first) :])
        for event in run.events:
            if start <= event.seq < spine.size:
                self._apply(event)
        last = run.events[-1] if run.events else None
        self.stopped = last is not None and last.op == b"ledger.stop" and last.seq == spine.size - 1
        return whole

    def _apply(self, event: Event) -> None:
        self._lineage.apply(event)
        if event.op == b"ledger.recover":
            self.recoveries.append(event)
        elif event.op == b"ledger.open" and event.seq == 0 and event.vault:
            if json.loads(event.vault) != self._origin.split("/")[-2]:
                self._bad(0, self.place(0), f"the first record names vault {event.vault.decode()}")
            if event.profile and json.loads(event.profile) != self._profile:
                self._bad(0, self.place(0), f"the first record names profile {event.profile.decode()}")
            self.takeover = takeover_in(event)
        elif event.principal:
            self.principals[json.loads(event.principal)] = event.op == b"principal.add"

    def _settled(self, spine: Spine, tiles: Tiles, read: int, progress: Callable[[int], None]) -> bool:
        """Read settled segments but for those that were; whether the log can go on."""
        end, all_frames = self._files.settled[read - 1][1] if read else 0, []
        for first, until, name in self._files.settled[read:]:
            place = self._prefix + name
            try:
                if first % TILE_WIDTH or until <= first or (until % TILE_WIDTH and name != self._files.settled[-1][2]):
                    raise Bad(place, "no segment can have this name", first)
                if first != end:
                    raise Bad(place, f"it begins at record {first}; the one before ends at {end}", min(first, end))
                table = read_seek_table(f"{self._root}/{name}", place, -(-(until - first) // TILE_WIDTH))
            except Bad as bad:
                self._report.findings.append(bad.finding)
                break
            all_frames.append(Frames(f"{self._root}/{name}", place, self._stream, tiles, first, until, table))
            end = until
        jobs = cores() if end - spine.size > 2 * SPAN_FRAMES * TILE_WIDTH else 1
        tasks = chain.from_iterable(map(spans, all_frames))
        for run in in_order(check_frames, tasks, jobs):
            self.pruned.add(run)
            whole = self._join(spine, run)
            progress(spine.size)
            if not whole:
                return False
        return len(all_frames) == len(self._files.settled) - read

    def _commits(self, spine: Spine, segments: list[Segment], progress: Callable[[int], None]) -> None:
        jobs = min(cores(), len(segments)) if len(segments) > 2 else 1
        for segment, reading in zip(segments, in_order(_read, segments, jobs), strict=True):
            if isinstance(reading, Bad):
                if not reading.finding.why.startswith("the segment is missing"):
                    self._report.findings.append(reading.finding)
                    return
                self._missing()
                self._report.findings.append(reading.finding)
                continue
            if not self._join_segment(spine, segment, reading):
                return
            progress(spine.size)

    def _missing(self) -> None:
        if not self.still:
            raise Moved

    def _join_segment(self, spine: Spine, segment: Segment, reading: Reading) -> bool:
        header, run = reading.header, reading.run
        if run is None:
            return True
        if header.incarnation < self._incarnation:
            self._bad(None, segment.place, f"incarnation {header.incarnation} after {self._incarnation}")
        self._incarnation = max(self._incarnation, header.incarnation)
        if self._tears and self._tears[-1].incarnation == header.incarnation and run.leaves:
            tear = self._tears[-1]
            self._bad(tear.size, tear.place, "the segment is damaged here: its writer went on in another one")
        if header.first > spine.size:
            self._missing()
            self._bad(spine.size, segment.place, f"records {spine.size} to {header.first - 1} are missing before it")
            return False
        whole = self._join(spine, run)
        for seen in reading.bodies:
            self._lineage.holdings.found_in_log(self._lineage.moved_body(seen, self._lineage.base))
        if reading.torn >= 0:
            place = f"{segment.place} at offset {reading.torn}"
            self._tears.append(_Tear(place, spine.size, header.incarnation, reading.tail))
        return whole

    def _judge_tears(self, size: int, covered: int, recoveries: list[Event]) -> None:
        named = {event.digest for event in recoveries}
        for tear in self._tears:
            if tear.size == size < covered:
                self._bad(size, tear.place, "no torn tail: a checkpoint covers the records that were here")
            elif tear.size == size and self.stopped:
                self._bad(None, tear.place, "bytes follow the writer's orderly stop")
            elif b'"%b"' % tear.digest.encode() in named:
                continue
            elif sum(event.seq >= tear.size for event in recoveries) == size - tear.size:  # still being named
                detail = f"what follows record {tear.size - 1} was never made durable; the next start cuts it"
                self._report.states.append(State("unrecovered tail", tear.place, detail))
            else:
                why = "the log went on after this tail, and no ledger.recover record says that this was cut"
                self._bad(tear.size, tear.place, why)

    def _quarantine(self, recoveries: list[Event]) -> None:
        found = set(self._files.quarantined)
        for event in recoveries:
            if not event.quarantined:
                continue
            name = str(json.loads(event.quarantined)).removeprefix("quarantine/")
            place = f"{self._prefix}quarantine/{name}"
            if name not in found:
                self._bad(event.seq, place, "what the recovery cut is missing")
                continue
            found.discard(name)
            digest, length = digest_file(f"{self._root}/quarantine/{name}", place)
            if event.digest != b'"%b"' % digest.encode() or int(event.cut or length) != length:
                self._bad(event.seq, place, "it is not what the recovery cut")
        for name in sorted(found):
            place = f"{self._prefix}quarantine/{name}"
            if self.stopped:
                self._bad(None, place, "no ledger.recover record names it")
            else:
                self._report.states.append(State("unswept", place, "a recovery was cut short"))


def _hash(origin: str) -> bytes:
    return sha256(origin.encode("utf-8", "surrogatepass")).digest()


def _read(segment: Segment) -> Reading | Bad:
    try:
        return read_segment(segment)
    except Bad as bad:
        return bad
