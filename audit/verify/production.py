"""A production: that it is whole, that all of it is in a signed log, and that nothing asked for was left out.

 1. Every file is as the bag's manifests say, and none was added (``bag``; RFC 8493).
 2. Every record is in the log of the checkpoint beside it (``sparse``), and the checkpoint is signed (``anchor``).
 3. The record that asked for this production is among them, and says the same reason and question.
 4. Of each stream all records from ``first`` to ``end`` are here, together all of the period (``period``), and every
    version stored by one of them that the question asks for is listed; none is listed that it does not ask for.
 5. Every listed version is as its record says: the record's digest is of the content document, whose digest is of the
    native, or whose parts' documents are of its pieces (``natives``).
 6. A version without a native was removed by a record that is here, maybe one after that which asked.

Left to the caller, and said in a note: that no other record of the log bears a time in the period that was asked for,
and that what was removed was removed rightly (both show when the whole log is verified).
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from audit.verify.anchor import Claims, Outside, match_origins
from audit.verify.bag import check_bag
from audit.verify.exported import summarise
from audit.verify.files import folders, read_file
from audit.verify.natives import Versions, question_of
from audit.verify.note import MAX_NOTE_BYTES, NoteError, VerifierKey, parse_checkpoint, parse_vkey
from audit.verify.period import why_not_all
from audit.verify.report import Bad, Finding, LogReport, State, Unchecked
from audit.verify.sparse import Part, check_part

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.verify.report import Report

_MAX_ABOUT_BYTES: Final = 1 << 20
_MAX_VERSIONS_BYTES: Final = 1 << 33


def verify_production(root: str, outside: Outside, report: Report, progress: Callable[[int], None]) -> None:
    """Verify a production.

    Args:
        root: Its directory.
        outside: What vouches for its logs.
        report: Receives everything found.
        progress: Called with how much was checked.

    Raises:
        Bad: It is so bad that nothing more can be said.
        Unchecked: Something cannot be read, or it is of a newer version.
    """
    files = check_bag(root, report, progress)
    about = _about(root)
    parts: dict[str, Part] = {}
    ops: Counter[bytes] = Counter()
    streams = {str(each["stream"]): each for each in about["streams"]}
    names = folders(f"{root}/data/logs")
    match_origins(outside, [str(each["origin"]) for each in streams.values()], report)
    for name in sorted({*streams, *names}):
        if name not in streams or name not in names:
            place = f"{root}/data/logs/{name}"
            report.findings.append(Finding(None, place, "production.json and the logs that are here do not agree"))
            continue
        parts[name] = _log(f"{root}/data/logs/{name}", name, streams[name], outside, report, ops)
    asked = _find_asked(about, parts)
    why = "no record here says that this production was asked for, with this question" if asked is None else ""
    if asked is not None and not question_of(about).only_matching and parts.keys() == streams.keys():
        why = why_not_all(about["streams"], parts, question_of(about), asked)
    if why:
        report.findings.append(Finding(None, f"{root}/data/production.json", why))
    versions = Versions(root, about, parts, files, report)
    place = f"{root}/data/versions.ndjson"
    data = read_file(place, _MAX_VERSIONS_BYTES, place)
    if data is None:
        raise Bad(place, "missing")
    for number, line in enumerate(data.splitlines(), 1):
        versions.check(number, line)
        progress(number)
    versions.finish()
    summarise(report, ops)
    _say_claims(about, report)


def _about(root: str) -> dict[str, Any]:
    place = f"{root}/data/production.json"
    data = read_file(place, _MAX_ABOUT_BYTES, place)
    if data is None:
        raise Bad(place, "missing")
    try:
        about = json.loads(data)
        version = about["v"]
        usable = (
            isinstance(about["asked"]["bucket"], str)
            and isinstance(about["id"], str)
            and isinstance(about["versions"], int)
            and all(
                isinstance(each["stream"], str)
                and isinstance(each["origin"], str)
                and {type(each[number]) for number in ("first", "end", "size")} == {int}
                and 0 <= each["first"] <= each["end"] <= each["size"]
                for each in about["streams"]
            )
            and len({each["stream"] for each in about["streams"]}) == len(about["streams"])
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Bad(place, f"not the description of a production: {error}") from error
    if version != 1:
        raise Unchecked(f"{place}: a production of version {str(version)[:20]}; this verifier knows 1")
    if not usable:
        raise Bad(place, "not the description of a production")
    found: dict[str, Any] = about
    return found


def _log(  # noqa: PLR0917 - one stream of a production
    folder: str, name: str, said: dict[str, Any], outside: Outside, report: Report, ops: Counter[bytes]
) -> Part:
    place = f"{folder}/checkpoint"
    data = read_file(place, MAX_NOTE_BYTES, place)
    if data is None:
        raise Bad(place, "missing")
    try:
        checkpoint = parse_checkpoint(data)
        keys = _keys(folder)
    except (NoteError, UnicodeDecodeError) as error:
        raise Bad(place, str(error)) from error
    log = LogReport(checkpoint.origin)
    report.logs.append(log)
    if (checkpoint.origin, checkpoint.size) != (said["origin"], said["size"]):
        report.findings.append(Finding(None, place, "production.json names another checkpoint"))
    if checkpoint.origin.rpartition("/")[2] != name:
        report.findings.append(Finding(None, place, f"it is a checkpoint of {checkpoint.origin[:200]}"))
    same = [saved for saved in outside.saved if saved.checkpoint.size == checkpoint.size]
    report.notes += [
        f"{saved.name}: is of {saved.checkpoint.size} records, and a part of a log can only be held against its own "
        f"checkpoint, of {checkpoint.size}: verify the whole log with it"
        for saved in outside.saved
        if saved.checkpoint.origin == checkpoint.origin and saved not in same
    ]
    claims = Claims(checkpoint.origin, keys, Outside(outside.keys, same), report)
    claims.own_checkpoint(data, place)
    part = check_part(folder, name, checkpoint.size, report, ops)
    log.size, log.root = checkpoint.size, part.root.hex()
    claims.judge(checkpoint.size, {checkpoint.size: part.root}, log)
    missing = next((seq for seq in range(said["first"], said["end"]) if seq not in part.records), None)
    if missing is not None:
        why = f"record {missing} is missing; records {said['first']} to {said['end'] - 1} must all be here"
        report.findings.append(Finding(missing, f"{folder}/records.ndjson", why))
    return part


def _keys(folder: str) -> list[VerifierKey]:
    text = (read_file(f"{folder}/vkey", MAX_NOTE_BYTES, f"{folder}/vkey") or b"").decode()
    return [parse_vkey(line) for line in text.splitlines() if line.strip()]


def _find_asked(about: dict[str, Any], parts: dict[str, Part]) -> tuple[str, int] | None:
    """Stream and seq of the record that asked for this production: where the snapshot is."""
    marker = b'"production":{"id":%b,' % json.dumps(about["id"]).encode()
    for name, part in parts.items():
        for seq, record in part.records.items():
            if marker in record and b'"op":"production.create"' in record:
                said = json.loads(record)
                asked = json.loads(said["production"].get("asked", "null"))
                if said["outcome"] == "success" and asked == about["asked"]:
                    return name, seq
    return None


def _say_claims(about: dict[str, Any], report: Report) -> None:
    if question_of(about).only_matching:
        report.notes.append("records of others were left out: that no version was left out, nobody can check here")
        return
    for each in about["streams"]:
        if each["first"] < each["end"]:
            detail = (
                f"all records {each['first']} to {each['end'] - 1} are here, and every version among them is listed"
            )
            report.states.append(State("complete", str(each["stream"]), detail))
    report.notes.append(
        "by trust: that no record outside these bears a time in the period asked for, and that what was removed was "
        "removed rightly; both show when the whole log is verified"
    )
