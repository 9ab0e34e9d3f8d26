"""Every file of a data directory by its name (ARCHITECTURE, The data directory), and what has no name there.

``views/`` is not looked into: all in it can be rebuilt or is spare. ``stage/`` holds bodies being received, which the
next start sweeps. A name ending in ``.tmp`` is a file whose write was cut short before its rename.
"""

from __future__ import annotations

import re
from typing import Final

from audit.verify.files import walk
from audit.verify.packs import parse_name
from audit.verify.report import Finding
from audit.verify.tiles import Listing

_STREAM: Final = r"[0-9A-Za-z][0-9A-Za-z._-]*"
_COMMIT: Final = re.compile(r"commit/([0-9]{10})\.log")
_SETTLED: Final = re.compile(r"ledger/([0-9]{16})-([0-9]{16})\.ndjson\.zst")
_IN_STREAM: Final = re.compile(rf"streams/({_STREAM})/(.+)", re.DOTALL)
_KEY: Final = re.compile(rf"keys/({_STREAM})\.(signing|vkey)")
_SECRET: Final = re.compile(r"keys/secrets/([^/]+)")
_PACK: Final = re.compile(r"packs/([^/]+)")
_BLOB: Final = re.compile(r"blobs/([0-9A-Za-z_-][0-9A-Za-z_.-])/(\1[0-9A-Za-z_.-]*)")
_PLAIN: Final = frozenset(
    (
        "vault.json", "root.credentials", "keys/kek", "keys/kek.next", "keys/keyring-a", "keys/keyring-b",
        "keys/unrecorded.json",
    )
)  # fmt: skip
_TEMPORARY: Final = ".tmp"


class StreamFiles:
    """The files of one stream, relative to its directory."""

    def __init__(self) -> None:
        self.commits: dict[int, str] = {}
        self.settled: list[tuple[int, int, str]] = []
        self.quarantined: list[str] = []
        self.tiles = Listing()


def listed_now(root: str) -> StreamFiles:
    """Commit log and settled segments of the stream in this directory, as they are now.

    Raises:
        Unchecked: It cannot be listed.
    """
    files = StreamFiles()
    for folder in ("commit", "ledger"):  # a record leaves the first for the second, never the other way
        for path, _ in walk(f"{root}/{folder}"):
            if found := _COMMIT.fullmatch(f"{folder}/{path}"):
                files.commits[int(found[1])] = found[0]
            elif found := _SETTLED.fullmatch(f"{folder}/{path}"):
                files.settled.append((int(found[1]), int(found[2]), found[0]))
    files.settled.sort()
    return files


class Inventory:
    """The files of a data directory.

    Args:
        root: The directory.

    Attributes:
        streams: By name.
        blobs: Paths.
        secrets: Principal ids.
        keys: Paths of keys of streams.
        staged: Bodies being received.
        unswept: Files whose write was cut short.
        count: Files in all.
        findings: Files that have no place here.

    Raises:
        Unchecked: It cannot be listed.
    """

    def __init__(self, root: str) -> None:
        self.streams: dict[str, StreamFiles] = {}
        self.blobs: set[str] = set()
        self.secrets: set[str] = set()
        self.keys: set[str] = set()
        self.plain: set[str] = set()
        self.staged, self.count = 0, 0
        self.unswept: list[str] = []
        self.findings: list[Finding] = []
        for path, regular in walk(root, skip=frozenset(("views",))):
            self.count += 1
            if not regular:
                self.findings.append(Finding(None, path, "not a regular file"))
            elif path.startswith("stage/"):
                self.staged += 1
            elif path.endswith(_TEMPORARY):
                self.unswept.append(path)
            elif not (self._of_stream(path) or self._of_vault(path)):
                self.findings.append(Finding(None, path, "a file that has no place in a data directory"))
        for stream in self.streams.values():
            stream.settled.sort()

    def _of_vault(self, path: str) -> bool:
        if path in _PLAIN:
            self.plain.add(path)
        elif _KEY.fullmatch(path):
            self.keys.add(path)
        elif match := _SECRET.fullmatch(path):
            self.secrets.add(match[1])
        elif _BLOB.fullmatch(path):
            self.blobs.add(path)
        else:
            match = _PACK.fullmatch(path)
            return match is not None and parse_name(match[1]) is not None
        return True

    def _of_stream(self, path: str) -> bool:
        match = _IN_STREAM.fullmatch(path)
        if match is None:
            return False
        stream, name = self.streams.setdefault(match[1], StreamFiles()), match[2]
        if name == "checkpoint":
            return True
        if found := _COMMIT.fullmatch(name):
            stream.commits[int(found[1])] = name
        elif found := _SETTLED.fullmatch(name):
            stream.settled.append((int(found[1]), int(found[2]), name))
        elif name.startswith("quarantine/"):
            stream.quarantined.append(name.removeprefix("quarantine/"))
        else:
            # Entry bundles are served from the records, never kept (ARCHITECTURE, The data directory).
            return not name.startswith("tile/entries/") and stream.tiles.add(name)
        return True
