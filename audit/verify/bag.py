"""A BagIt bag (RFC 8493): every file is as its manifest says, and there is none that no manifest names.

Not handled here: what the files mean (``production``).
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from audit.verify.files import open_regular, read_at, read_file, walk
from audit.verify.report import Bad, Finding

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.verify.report import Report

#: The two manifests; the second covers the first and all else outside ``data/``, but not itself.
MANIFEST: Final = "manifest-sha256.txt"
TAG_MANIFEST: Final = "tagmanifest-sha256.txt"
_MAX_MANIFEST_BYTES: Final = 1 << 30
_PIECE: Final = 1 << 20
_LINE: Final = re.compile(r"([0-9a-f]{64}) [ *](.+)")


def check_bag(root: str, report: Report, progress: Callable[[int], None]) -> dict[str, tuple[str, int]]:
    """Check every file of a bag.

    Args:
        root: Its directory.
        report: Receives what is bad.
        progress: Called with the number of files checked.

    Returns:
        Digest (hex) and size of each file that is there, by its path in the bag.

    Raises:
        Bad: A manifest is missing or is none.
        Unchecked: A file cannot be read.
    """
    payload, tags = _manifest(root, MANIFEST), _manifest(root, TAG_MANIFEST)
    listed = payload | tags
    found: dict[str, tuple[str, int]] = {}
    for path, regular in walk(root):
        place = f"{root}/{path}"
        if not regular:
            report.findings.append(Finding(None, place, "not a regular file"))
            continue
        if path != TAG_MANIFEST and path not in listed:
            report.findings.append(Finding(None, place, "no manifest names this file: it was added"))
        found[path] = _digest(place)
        if path in listed and found[path][0] != listed[path]:
            report.findings.append(Finding(None, place, "the file was changed: its SHA-256 is not the manifest's"))
        progress(len(found))
    for path in sorted(listed.keys() - found.keys()):
        report.findings.append(Finding(None, f"{root}/{path}", "the file is missing; a manifest names it"))
    for path in sorted(payload):
        if not path.startswith("data/"):
            report.findings.append(Finding(None, f"{root}/{MANIFEST}", f"it names {path[:200]}, which is no payload"))
    if MANIFEST not in tags:
        report.findings.append(Finding(None, f"{root}/{TAG_MANIFEST}", f"it does not cover {MANIFEST}"))
    report.counts["files"] = len(found)
    return found


def _manifest(root: str, name: str) -> dict[str, str]:
    place = f"{root}/{name}"
    data = read_file(place, _MAX_MANIFEST_BYTES, place)
    if data is None:
        raise Bad(place, "missing: the production was not finished, or was taken apart")
    listed = {}
    try:
        for line in data.decode().splitlines():
            match = _LINE.fullmatch(line)
            if match is None or match[2] in listed:
                raise Bad(place, f"a line that is no manifest's: {line[:200]}")
            listed[match[2]] = match[1]
    except UnicodeDecodeError as error:
        raise Bad(place, "not UTF-8") from error
    return listed


def _digest(path: str) -> tuple[str, int]:
    file = open_regular(path, path)
    if file is None:
        raise Bad(path, "gone since it was listed")
    digest, size = sha256(), 0
    with file:
        while piece := read_at(file, size, _PIECE, path):
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size
