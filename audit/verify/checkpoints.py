"""Checkpoints of one stream, as its topic and the caller bring them, to be held against its records.

1. Each is a signed note of a checkpoint, of the stream that its key names, and of one vault.
2. Each is signed by every key that is known of the log: those given, else the one beside the log given.
3. Its root is the records' at its size: this shows too that they are consistent with one another.
4. Of one size there is one root, also where the records' tree is not known.

There may be one for each second of years: of each are kept its size, root and offset, some 50 bytes, and of at most
:data:`MAX_KEPT` of all streams; of what comes after, only each stream's largest is compared. What OpenSSL says of their
signatures counts where it is installed, for it is ten times faster; the largest one, which vouches for those before it,
is checked in ``ed25519`` as well.

Not handled here: growing the tree (``growth``).
"""

from __future__ import annotations

from array import array
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.verify import ed25519
from audit.verify.note import Checkpoint, NoteError, VerifierKey, parse_checkpoint, signers
from audit.verify.report import Finding
from audit.verify.tree import HASH_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from audit.verify.topic import Part

#: Checkpoints, of all streams, that are held against records: three weeks of one stream's, 100 MB.
MAX_KEPT: Final = 1 << 21
#: Findings of one kind about a stream that are written out.
_TOLD: Final = 3


def quick() -> Callable[[bytes, bytes, bytes], bool]:
    """A check of Ed25519 signatures that takes a tenth of a millisecond, where OpenSSL is installed."""
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - the verifier as one file does without
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - as above
    except ImportError:
        return ed25519.verify

    def check(public: bytes, signature: bytes, message: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True

    return check


class _Largest(NamedTuple):
    """The checkpoint of the most records: its bytes, where it stands, whether it vouches and whether it is kept."""

    checkpoint: Checkpoint
    data: bytes
    part: Part
    offset: int
    outside: bool
    kept: bool


class Checkpoints:
    """The checkpoints of one stream.

    Args:
        origin: Its log's origin.
        keys: Keys that must have signed them.
        trusted: Those of them that come from outside.
        check: Checks a signature.

    Attributes:
        keys: Keys that must have signed them.
        findings: What is bad.
        brought: Sizes and places of those that the caller brought.
        largest: The largest size of those in the topic, and its place.
        count: How many there are.
        compared: How many were held against the records.
        skipped: How many are of fewer records than the tree was known for.
        matched: Largest size of which the root is the records'; -1 where there is none.
        vouched: The same of those that something from outside vouches for.
    """

    def __init__(
        self,
        origin: str,
        keys: Iterable[VerifierKey],
        trusted: Iterable[VerifierKey],
        check: Callable[[bytes, bytes, bytes], bool],
    ) -> None:
        self.origin, self._check = origin, check
        self.keys, self._trusted = list(keys), set(trusted)
        self._sizes, self._roots, self._offsets = array("Q"), bytearray(), array("q")
        self._numbers = array("H")  # of partitions; of those that the caller brought, their places
        self._outside = bytearray()
        self._topic = ""
        self.brought: list[tuple[int, str]] = []
        self._order: list[int] = []
        self._at = 0
        self._last: _Largest | None = None
        self._wrong = 0
        self.findings: list[Finding] = []
        self.largest: tuple[int, str] = (0, "")
        self.count = self.compared = self.skipped = 0
        self.matched = self.vouched = -1

    def add(self, data: bytes, part: Part, offset: int, *, keep: bool) -> None:
        """Take a message of the topic; without ``keep``, it is compared only if it is the largest."""
        self.count += 1
        place = part.at(offset)
        try:
            checkpoint = parse_checkpoint(data)
            good = set(signers(data, self.keys, self._check))
        except NoteError as error:
            self.findings.append(Finding(None, place, str(error)))
            return
        if checkpoint.origin != self.origin:
            why = f"it is a checkpoint of {checkpoint.origin[:200]}, and this stream is of {self.origin[:200]}"
            self.findings.append(Finding(None, place, why))
            return
        for key in self.keys:
            if key not in good:
                self.findings.append(Finding(None, place, f"not signed by {key.name}+{key.id.hex()}"))
        if checkpoint.size > self.largest[0]:
            self.largest = checkpoint.size, place
        self._topic = part.topic
        outside = bool(good & self._trusted)
        if self._last is None or checkpoint.size > self._last.checkpoint.size:
            self._last = _Largest(checkpoint, data, part, offset, outside, keep)
        if keep:
            self._keep(checkpoint, offset, part.number, outside=outside)

    def bring(self, checkpoint: Checkpoint, place: str, *, outside: bool) -> None:
        """Take a checkpoint that the caller brought, and whose signature was checked."""
        self.brought.append((checkpoint.size, place))
        self._keep(checkpoint, -len(self.brought), 0, outside=outside)

    def _keep(self, checkpoint: Checkpoint, offset: int, number: int, *, outside: bool) -> None:
        self._sizes.append(checkpoint.size)
        self._roots += checkpoint.root
        self._offsets.append(offset)
        self._numbers.append(number)
        self._outside.append(outside)

    def _root(self, index: int) -> bytes:
        return bytes(self._roots[index * HASH_BYTES : (index + 1) * HASH_BYTES])

    def _place(self, index: int) -> str:
        offset = self._offsets[index]
        return f"{self._topic}[{self._numbers[index]}] offset {offset}" if offset >= 0 else self.brought[-offset - 1][1]

    def begin(self) -> None:
        """All were taken: check the signature of the largest once more, and get ready to compare."""
        last = self._last
        if last is not None and not last.kept:
            self._keep(last.checkpoint, last.offset, last.part.number, outside=last.outside)
        self._order = sorted(range(len(self._sizes)), key=self._sizes.__getitem__)
        try:
            if last is not None:
                signers(last.data, self.keys)
        except NoteError as error:
            self.findings.append(Finding(None, last.part.at(last.offset) if last else "", str(error)))

    def due(self) -> int:
        """The next size at which a root is wanted; -1 where none is."""
        return self._sizes[self._order[self._at]] if self._at < len(self._order) else -1

    def skip(self, size: int) -> None:
        """Leave out those of fewer than ``size`` records."""
        while 0 <= self.due() < size:
            self._at += 1
            self.skipped += 1

    def take(self, root: bytes) -> None:
        """Compare those of the size that is due with the records' root at it."""
        size = self.due()
        while self.due() == size:
            index = self._order[self._at]
            self._at += 1
            self.compared += 1
            if self._root(index) != root:
                why = f"its root at size {size} is not the root of the records: one of them, or it, was changed"
                self._disagrees(index, why)
                continue
            self.matched = size
            if self._outside[index]:
                self.vouched = size

    def _disagrees(self, index: int, why: str) -> None:
        self._wrong += 1
        if self._wrong <= _TOLD:
            self.findings.append(Finding(None, self._place(index), why))

    def finish(self) -> None:
        """No more roots come: compare those with one another that there were none for."""
        left = self._order[: self.skipped] + self._order[self._at :]
        for one, other in pairwise(left):
            if self._sizes[one] == self._sizes[other] and self._root(one) != self._root(other):
                self._disagrees(other, f"another root at size {self._sizes[one]} than in {self._place(one)}")
        if self._wrong > _TOLD:
            why = f"{self._wrong - _TOLD} more checkpoints disagree with the records"
            self.findings.append(Finding(None, self._topic or self.origin, why))
