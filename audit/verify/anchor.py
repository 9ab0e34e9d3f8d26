"""What vouches for a log: its own checkpoint, the local anchor, and what the caller brought from outside.

Rules (why they are so stands in the package docstring):

1. The log's own checkpoint must be signed by its own key, where one is known, and by every key from outside that
   has its name.
2. A saved checkpoint must be of a log in the target, signed by the key from outside or else the log's own, not larger
   than the log, and its root must be the log's at that size.
3. The local anchor must agree too, but does not count as outside: whoever can write the target can write it.
4. A key or checkpoint that lies inside the target is not from outside.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from audit.verify.files import read_file
from audit.verify.note import MAX_NOTE_BYTES, Checkpoint, NoteError, VerifierKey, parse_checkpoint, parse_vkey, signers
from audit.verify.report import Bad, Finding, LogReport, Report, Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from audit.verify.lineage import Takeover


class Saved(NamedTuple):
    """A checkpoint that the caller kept."""

    name: str
    data: bytes
    checkpoint: Checkpoint
    outside: bool


class Outside(NamedTuple):
    """What the caller brought. ``keys`` come with whether they lie outside the target."""

    keys: list[tuple[VerifierKey, bool]]
    saved: list[Saved]


def _read(path: str) -> bytes:
    try:
        data = read_file(path, MAX_NOTE_BYTES, path)
    except Bad as bad:
        raise Unchecked(f"{path}: {bad.finding.why}") from bad
    if data is None:
        raise Unchecked(f"{path}: no such file")
    return data


def load(vkeys: Iterable[str], checkpoints: Iterable[str], target: str) -> Outside:
    """Read the files given with ``--vkey`` (one key a line) and ``--checkpoint``.

    Args:
        vkeys: Paths.
        checkpoints: Paths.
        target: What is verified, a path or a URL.

    Returns:
        What they hold.

    Raises:
        Unchecked: One cannot be read or is malformed.
    """
    here = Path(target).absolute()
    inside = [] if "://" in target else [here.resolve(), Path(f"{here.resolve()}.anchor").resolve()]

    def outside(path: str) -> bool:
        return not any(Path(path).resolve().is_relative_to(folder) for folder in inside)

    keys, saved = [], []
    for path in vkeys:
        try:
            lines = [line for line in _read(path).decode().splitlines() if line.strip()]
            keys += [(parse_vkey(line), outside(path)) for line in lines]
        except (NoteError, UnicodeDecodeError) as error:
            raise Unchecked(f"{path}: {error}") from error
        if not lines:
            raise Unchecked(f"{path}: no key in it")
    for path in checkpoints:
        data = _read(path)
        try:
            saved.append(Saved(path, data, parse_checkpoint(data), outside(path)))
        except NoteError as error:
            raise Unchecked(f"{path}: {error}") from error
    return Outside(keys, saved)


class Claims:
    """What is claimed about one log, to be held against its records.

    Args:
        origin: The log's origin.
        own: Keys found in the target itself.
        outside: What the caller brought.
        report: Where findings and notes go.
    """

    def __init__(self, origin: str, own: list[VerifierKey], outside: Outside, report: Report) -> None:
        self._origin = origin
        self._report = report
        self._own = own
        self._given = [key for key, _ in outside.keys if key.name == origin]
        self._trusted = [key for key, is_outside in outside.keys if is_outside and key.name == origin]
        self._claims: list[tuple[str, Checkpoint, bool]] = []  # and whether it was brought by the caller
        self._vouched = [-1]
        self.checkpoint: Checkpoint | None = None
        for saved in outside.saved:
            if saved.checkpoint.origin == origin:
                self._check_saved(saved)

    def own_checkpoint(self, data: bytes, place: str) -> None:
        """Take the log's own checkpoint."""
        checkpoint = self._signed(data, place)
        if checkpoint is not None:
            self.checkpoint = checkpoint
            if any(key in self._trusted for key in signers(data, self._given)):
                self._vouched.append(checkpoint.size)

    def local_anchor(self, data: bytes, place: str) -> None:
        """Take what the local anchor holds."""
        self._signed(data, place)

    def sizes(self) -> set[int]:
        """Sizes at which the log's root is wanted."""
        return {checkpoint.size for _, checkpoint, _ in self._claims}

    def judge(self, size: int, roots: dict[int, bytes], log: LogReport, taken: Takeover | None = None) -> None:
        """Hold the claims against the records.

        Args:
            size: How many records there are.
            roots: Their root at the sizes asked for.
            log: What is said about the log; receives ``checkpoint`` and ``anchored``.
            taken: What the stream says that took this one over: claims that lie in the target, and of which it tells,
                are excused.
        """
        for place, claim, outside in self._claims:
            if taken is not None and not outside and _told(claim, taken, size):
                continue
            if claim.size > size:
                why = f"it says the log has {claim.size} records; only {size} good ones are there"
                self._report.findings.append(Finding(size, place, why))
            elif roots.get(claim.size) != claim.root:
                why = f"its root at size {claim.size} is not the root of the records: one of them was changed"
                self._report.findings.append(Finding(None, place, why))
        log.checkpoint = self.checkpoint.size if self.checkpoint else -1
        log.anchored = max(self._vouched)

    def _signed(self, data: bytes, place: str) -> Checkpoint | None:
        try:
            checkpoint = parse_checkpoint(data)
            good = signers(data, [*self._own, *self._given])
        except NoteError as error:
            self._report.findings.append(Finding(None, place, str(error)))
            return None
        if checkpoint.origin != self._origin:
            why = f"it is a checkpoint of {checkpoint.origin[:200]}, which is another log"
            self._report.findings.append(Finding(None, place, why))
            return None
        for key in {*self._own, *self._given} - set(good):
            self._report.findings.append(Finding(None, place, f"not signed by {key.name}+{key.id.hex()}"))
        if not self._own and not self._given:
            self._report.notes.append(f"{place}: signature not checked, no key is known (--vkey)")
        self._claims.append((place, checkpoint, False))
        return checkpoint

    def _check_saved(self, saved: Saved) -> None:
        keys = self._given or self._own
        try:
            good = signers(saved.data, keys)
        except NoteError as error:
            good, why = [], str(error)
        else:
            why = "not signed by the log's key"
        if keys and not good:
            if self._given:
                raise Unchecked(f"{saved.name}: {why}: it is no checkpoint by the key given")
            self._report.findings.append(Finding(None, saved.name, f"{why}: the log has another key than then"))
        if not keys:
            self._report.notes.append(f"{saved.name}: signature not checked, no key is known (--vkey)")
        self._claims.append((saved.name, saved.checkpoint, True))
        if saved.outside and saved.checkpoint.size:
            self._vouched.append(saved.checkpoint.size)


def _told(claim: Checkpoint, taken: Takeover, size: int) -> bool:
    """Whether a takeover tells of a checkpoint that the records contradict."""
    return size < claim.size <= taken.known or (claim.size, claim.root.hex()) == (taken.known, taken.known_root)


def match_origins(outside: Outside, origins: Iterable[str], report: Report) -> None:
    """Refuse what was brought for another log than those in the target.

    Args:
        outside: What the caller brought.
        origins: Origins of the logs in the target.
        report: Where findings and notes go.
    """
    known = set(origins)
    for key, is_outside in outside.keys:
        if key.name not in known:
            report.findings.append(Finding(None, key.name, "the target has no log of that key's name"))
        elif not is_outside:
            report.notes.append(f"{key.name}: the key given lies inside the target and vouches for nothing")
    for saved in outside.saved:
        if saved.checkpoint.origin not in known:
            why = f"the target has no log with its origin {saved.checkpoint.origin}"
            report.findings.append(Finding(None, saved.name, why))
        elif not saved.outside:
            report.notes.append(f"{saved.name}: lies inside the target and vouches for nothing")
