"""``--log``: logs that lie outside a cluster, to hold its topics against, by the stream that each is of.

An exported log, the URL of one, or a data directory, of which only checkpoints, keys and hash tiles are read. Whoever
can write the topics need not be able to write these: their checkpoints count as brought from outside.

Not handled here: whether those logs' own records are good (``exported``, ``datadir``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from audit.verify.cursors import stream_of
from audit.verify.exported import own_keys
from audit.verify.files import folders
from audit.verify.note import MAX_NOTE_BYTES, Checkpoint, NoteError, VerifierKey, parse_checkpoint, signers
from audit.verify.proven import Proven
from audit.verify.report import Bad, Finding, Report, Unchecked
from audit.verify.source import Directory, Http, Source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Log(NamedTuple):
    """A log: what findings call its checkpoint, that, the keys beside it, and its tiles."""

    place: str
    checkpoint: Checkpoint
    keys: list[VerifierKey]
    tiles: Proven


def load(targets: Iterable[str], token: str, given: Iterable[VerifierKey], report: Report) -> dict[bytes, Log]:
    """Read checkpoints, and the tiles that lead to their roots.

    Args:
        targets: Directories and URLs.
        token: For URLs, as a bearer token; may be empty.
        given: Keys from the caller, which must have signed the checkpoints of logs with their names.
        report: Receives what is bad.

    Returns:
        Logs by stream.

    Raises:
        Bad: A checkpoint is none, or no tiles lead to it.
        Unchecked: There is no log, or it cannot be read.
    """
    keys = list(given)
    found: dict[bytes, Log] = {}
    for target in targets:
        before = len(found)
        for source, beside, name in _sources(target, token):
            data = source.read("checkpoint", MAX_NOTE_BYTES)
            if data is None:
                continue
            place = source.place("checkpoint")
            try:
                checkpoint = parse_checkpoint(data)
                known = [key for key in keys if key.name == checkpoint.origin] or own_keys(beside, report, name)
                unsigned = set(known) - set(signers(data, known))
            except NoteError as error:
                raise Bad(place, str(error)) from error
            for key in unsigned:
                report.findings.append(Finding(None, place, f"not signed by {key.name}+{key.id.hex()}"))
            stream = stream_of(checkpoint.origin)
            if not stream or stream in found:
                raise Unchecked(f"--log {target}: {checkpoint.origin[:200]} is no log of a stream, or is given twice")
            found[stream] = Log(place, checkpoint, known, Proven(source, checkpoint))
        if len(found) == before:
            raise Unchecked(
                f"--log {target}: no checkpoint there; give an exported log, a data directory or a log's URL"
            )
    return found


def _sources(target: str, token: str) -> Iterator[tuple[Source, Source, str]]:
    """Each log of a target, and where its own keys are."""
    if target.startswith(("http://", "https://")):
        url = Http(target, token)
        url.check()
        yield url, url, ""
        return
    root = target.rstrip("/") or "/"
    names = folders(f"{root}/streams")
    for name in names:
        keys = Directory(f"{root}/keys", f"{root}/keys/")
        yield Directory(f"{root}/streams/{name}", f"{root}/streams/{name}/"), keys, f"{name}.vkey"
    if not names:
        log = Directory(root, f"{root}/")
        yield log, log, "vkey"
