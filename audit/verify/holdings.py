"""Which bodies the records of a vault say must be there, and which were found; seqs are positions (``lineage``).

A body must be there while a version, or an upload under way, shows it. A body that nothing shows any more may be gone:
erased, if a record says so; else the eraser removes it before it writes the record (DESIGN §6). A body that a record
says is erased must be gone, except from a commit log segment that waits to be recycled.

Not handled here: whether bytes fit their descriptors (``bodies``), and deletions against locks (``locks``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from audit.verify.bodies import Blob, Body, Seen, descriptor
from audit.verify.report import Finding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audit.verify.event import Event
    from audit.verify.locks import Locks


_MONTH: Final = len("2026-11")
_HELD: Final = b"held"  # stands for the month of what has a hold and no retention


class Holding(NamedTuple):
    """A body; by what packs group it (bucket, month of expiry); and the upload it is a part of, if it is one."""

    body: Body
    bucket: bytes
    expires: bytes
    upload: bytes
    part: int
    size: int


class _Upload:
    """An upload under way: the record that opened it, and its latest part of each number."""

    __slots__ = ("opened", "parts")

    def __init__(self, opened: int) -> None:
        self.opened = opened
        self.parts: dict[int, int] = {}


class Holdings:
    """Bodies of one vault, from its records.

    Args:
        locks: Has replayed the same events.
        place: Names the place of a record from its seq.

    Attributes:
        holdings: Every body that a successful operation stored, by seq.
        findings: What is bad.
        erased: How many bodies are gone and a record says so.
        pending: How many are gone, rightly, and no record says so yet.
        lingering: Seqs of erased bodies that are still in the commit log.
    """

    def __init__(self, locks: Locks, place: Callable[[int], str]) -> None:
        self._locks, self._place = locks, place
        self.holdings: dict[int, Holding] = {}
        self._uploads: dict[bytes, _Upload] = {}
        self._completed: dict[int, bytes] = {}  # seq of multipart.complete -> its upload
        self._seen: dict[int, Seen] = {}
        self._required: set[int] = set()
        self.findings: list[Finding] = []
        self.erased, self.pending = 0, 0
        self.lingering: list[int] = []

    def apply(self, event: Event) -> None:
        """Take the next successful operation."""
        body = descriptor(event)
        if body is not None:
            part, size = int(event.part or 0), int(event.size or -1)
            expires = event.until[:_MONTH] or (_HELD if event.hold == b"true" else b"")
            self.holdings[event.seq] = Holding(body, event.bucket, expires, event.upload, part, size)
        if event.op == b"multipart.create":
            self._uploads[event.upload] = _Upload(event.seq)
        elif event.op == b"multipart.part" and event.upload in self._uploads:
            self._uploads[event.upload].parts[int(event.part or 0)] = event.seq
        elif event.op in {b"multipart.complete", b"multipart.abort"}:
            self._uploads.pop(event.upload, None)
            if event.op == b"multipart.complete":
                self._completed[event.seq] = event.upload

    def found_in_log(self, seen: Seen) -> None:
        """A good body in the commit log."""
        if seen.seq in self.holdings:
            self._seen[seen.seq] = seen
            if seen.seq in self._locks.erased:
                self.lingering.append(seen.seq)

    def found_in_pack(self, seen: Seen, place: str) -> None:
        """A good body in a pack."""
        self._seen[seen.seq] = seen
        if seen.seq in self._locks.erased:
            self.findings.append(Finding(seen.seq, place, "a record says the body is erased, and it is there"))

    def blobs(self, root: str) -> Iterator[Blob]:
        """Blobs that must be there and whose sealed document was found.

        Args:
            root: The data directory.

        Yields:
            Each with what is needed to check it.
        """
        for seq in sorted(self._required):
            body = self.holdings[seq].body
            if body.kind == "blob" and seq in self._seen:
                path = f"blobs/{body.blob[:2]}/{body.blob}"
                yield Blob(seq, f"{root}/{path}", path, body, self._seen[seq].sealed_leaf)

    def names_of_blobs(self) -> set[str]:
        """Paths of all blobs that a record names, whether they must still be there or not."""
        bodies = (holding.body for holding in self.holdings.values())
        return {f"blobs/{body.blob[:2]}/{body.blob}" for body in bodies if body.kind == "blob"}

    def erased_blobs(self) -> set[str]:
        """Paths of blobs that a record says are erased."""
        erased = (self.holdings[seq].body for seq in self._locks.erased if seq in self.holdings)
        return {f"blobs/{body.blob[:2]}/{body.blob}" for body in erased if body.kind == "blob"}

    def settle(self) -> None:
        """Compare what must be there with what was found in commit log and packs."""
        self._required = self._shown()
        erased = self._locks.erased
        # With a completed upload go all its parts, those that its list left out too.
        uploads = {self._completed[seq] for seq in erased & self._completed.keys()}
        for seq in sorted(self.holdings):
            if seq in self._seen:
                continue
            if seq in self._required:
                self.findings.append(Finding(seq, self._place(seq), "its body is missing"))
            elif seq in erased or self.holdings[seq].upload in uploads:
                self.erased += 1
            else:
                self.pending += 1

    def _shown(self) -> set[int]:
        shown = {version.seq for version in self._locks.versions.values() if not version.gone}
        shown &= self.holdings.keys()
        for upload in self._uploads.values():
            shown.add(upload.opened)
            shown.update(upload.parts.values())
        for seq in sorted(shown & self._completed.keys()):
            shown.update(self._parts_of(seq))
        return shown & self.holdings.keys()

    def _parts_of(self, seq: int) -> list[int]:
        """Seqs of the parts of a completed upload, each the body of a part of that same upload."""
        parts = self._seen[seq].parts if seq in self._seen else None
        for number, part, size in parts or ():
            holding = self.holdings.get(part)
            if holding is None or (holding.upload, holding.part, holding.size) != (self._completed[seq], number, size):
                why = f"it names record {part} as part {number} of {size} bytes, which that is not"
                self.findings.append(Finding(seq, self._place(seq), why))
        return [part for _, part, _ in parts or ()]
