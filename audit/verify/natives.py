"""The versions of a production, each held against its record and its native; and that none was left out."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from audit.verify.files import open_regular, read_at
from audit.verify.report import Finding, State
from audit.verify.tree import leaf_hash, subtree_root

if TYPE_CHECKING:
    from audit.verify.report import Report
    from audit.verify.sparse import Part

_MAKES: Final = ("object.put", "multipart.complete")
_PIECE: Final = 1 << 20


class Question(NamedTuple):
    """What was asked for; times as records write them, empty where there is no bound."""

    bucket: str
    prefix: str
    since: str
    until: str
    only_matching: bool

    def wants(self, record: dict[str, Any]) -> bool:
        """Whether a record stored a version that is asked for."""
        named = record.get("object", {})
        return (
            record["op"] in _MAKES
            and record["outcome"] == "success"
            and named.get("bucket") == self.bucket
            and named.get("key", "").startswith(self.prefix)
            and self.since <= record["time"]
            and (not self.until or record["time"] < self.until)
        )


def question_of(about: dict[str, Any]) -> Question:
    """The question in a production's description."""
    asked = about["asked"]
    return Question(
        str(asked["bucket"]),
        str(asked.get("prefix", "")),
        str(asked.get("since", "")),
        str(asked.get("until", "")),
        asked.get("only_matching", False) is True,
    )


class Versions:
    """Checks the lines of ``versions.ndjson``, one after the other.

    Args:
        root: The production.
        about: Its description.
        parts: Its records by stream.
        files: Digest and size of every file in it.
        report: Receives what is bad.
    """

    def __init__(
        self,
        root: str,
        about: dict[str, Any],
        parts: dict[str, Part],
        files: dict[str, tuple[str, int]],
        report: Report,
    ) -> None:
        self._root = root
        self._about = about
        self._question = question_of(about)
        self._parts = parts
        self._files = files
        self._report = report
        self._place = f"{root}/data/versions.ndjson"
        self._listed: set[tuple[str, int]] = set()
        self._natives: set[str] = set()
        self._count = 0

    def check(self, number: int, line: bytes) -> None:
        """Check one line."""
        self._count = number
        try:
            entry = json.loads(line)
            why = self._why_not(number, entry)
            seq = entry["seq"] if isinstance(entry, dict) and isinstance(entry.get("seq"), int) else None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            why, seq = f"not a version: {type(error).__name__}: {error}", None
        if why:
            self._report.findings.append(Finding(seq, f"{self._place} line {number}", why))

    def finish(self) -> None:
        """After the last line: what should have been there."""
        if self._count != self._about["versions"]:
            why = f"{self._count} versions are listed, and production.json says {self._about['versions']}"
            self._report.findings.append(Finding(None, self._place, why))
        ranges = {each["stream"]: range(each["first"], each["end"]) for each in self._about["streams"]}
        for stream, part in self._parts.items():
            for seq, record in part.records.items():
                if seq in ranges[stream] and (b'"op":"object.put"' in record or b'"op":"multipart.complete"' in record):
                    wanted = self._question.wants(json.loads(record))
                    if wanted and (stream, seq) not in self._listed:
                        why = f"the version that record {seq} stored is asked for and not listed"
                        self._report.findings.append(Finding(seq, self._place, why))
        here = {path for path in self._files if path.startswith("data/natives/")}
        for path in sorted(here - self._natives):
            self._report.findings.append(
                Finding(None, f"{self._root}/{path}", "no version that is listed has this native")
            )
        self._report.counts["versions"], self._report.counts["natives"] = self._count, len(self._natives)

    def _why_not(self, number: int, entry: dict[str, Any]) -> str:
        """What is wrong with a version, or an empty string."""
        at = entry["stream"], entry["seq"]
        if entry["n"] != number or at in self._listed:
            return "it is listed twice, or out of order"
        record = self._record(*at)
        if record is None:
            return f"its record, {at[1]} of {at[0]}, is not here"
        self._listed.add(at)
        for stream, seq in entry.get("trail", ()):
            step = self._record(stream, seq)
            if step is None:
                return f"record {seq} of {stream} of its trail is not here"
            named = step.get("object", {})
            if (named.get("bucket"), named.get("key")) != (entry["bucket"], entry["key"]):
                return f"record {seq} of {stream} is in its trail and names another key"
        return self._misdescribed(entry, record) or self._state_of(number, entry, record)

    def _record(self, stream: str, seq: int) -> dict[str, Any] | None:
        part = self._parts.get(stream)
        data = part.records.get(seq) if part is not None else None
        found: dict[str, Any] | None = json.loads(data) if data is not None else None
        return found

    def _misdescribed(self, entry: dict[str, Any], record: dict[str, Any]) -> str:
        if not self._question.wants(record):
            return f"record {entry['seq']} did not store a version that is asked for"
        named, version = record["object"], record["version"]
        said = (entry["bucket"], entry["key"], entry["version_id"], entry["ordinal"], entry["time"], entry["size"])
        true = (named["bucket"], named["key"], version["version_id"], version["ordinal"], record["time"])
        return "" if said == (*true, max(named.get("size", 0), 0)) else f"it is not what record {entry['seq']} says"

    def _state_of(self, number: int, entry: dict[str, Any], record: dict[str, Any]) -> str:
        if entry["state"] == "native":
            return self._check_native(entry, record)
        if entry["state"] == "removed":
            return "" if self._removed(entry) else "it has no native, and no record here removed it"
        self._report.states.append(State("not here", f"{self._place} line {number}", str(entry.get("problem"))[:300]))
        return ""

    def _check_native(self, entry: dict[str, Any], record: dict[str, Any]) -> str:
        path = f"data/{entry['native']}"
        if path not in self._files or path in self._natives:
            return f"its native {path[:200]} is missing, or is another version's too"
        self._natives.add(path)
        document = entry["document"]
        if sha256(document.encode()).hexdigest() != record["object"].get("content"):
            return f"its content document is not the one that record {entry['seq']} names"
        content = json.loads(document)
        digest, size = self._files[path]
        if content["size"] != size or digest != entry["sha256"]:
            return f"its native {path} has {size} bytes and another digest than it should"
        if record["storage"]["kind"] == "parts":
            return self._check_parts(entry, record, path)
        if content["sha256"] != digest:
            return f"its native {path} is not what was stored: SHA-256 {digest}"
        return ""

    def _check_parts(self, entry: dict[str, Any], record: dict[str, Any], path: str) -> str:
        """A multipart object: its record covers the list of parts, each part's record its content document."""
        listed = entry["list"].encode()
        if subtree_root([bytes.fromhex(entry["sealed_leaf"]), leaf_hash(listed)]).hex() != record["storage"]["root"]:
            return f"its list of parts is not the one that record {entry['seq']} covers"
        parts = [[part["number"], part["seq"], part["size"]] for part in entry["parts"]]
        if json.loads(listed) != parts:
            return "its parts are not those of its list"
        file = open_regular(f"{self._root}/{path}", path)
        if file is None:
            return f"its native {path} is gone"
        start = 0
        with file:
            for part in entry["parts"]:
                made = self._record(part["stream"], part["seq"]) or {}
                content = json.loads(part["document"])
                if made.get("object", {}).get("content") != sha256(part["document"].encode()).hexdigest():
                    return f"part {part['number']}: its record is not here, or names another content document"
                if content["size"] != part["size"] or content["sha256"] != _range_digest(
                    file, start, part["size"], path
                ):
                    return f"part {part['number']} of its native {path} is not what was stored"
                start += part["size"]
        return "" if start == self._files[path][1] else f"its native {path} is longer than its parts"

    def _removed(self, entry: dict[str, Any]) -> bool:
        for stream, seq in entry.get("trail", ()):
            record = self._record(stream, seq)
            if record is None or record["outcome"] != "success":
                continue
            version = record.get("version", {})
            same = version.get("version_id") == entry["version_id"] and not version.get("marker")
            if (record["op"] == "object.delete" and same) or version.get("replaced") == entry["ordinal"]:
                return True
        return False


def _range_digest(file: Any, start: int, size: int, place: str) -> str:  # noqa: ANN401 - an open file
    digest, end = sha256(), start + size
    while start < end:
        piece = read_at(file, start, min(_PIECE, end - start), place)
        if not piece:
            break
        digest.update(piece)
        start += len(piece)
    return digest.hexdigest()
