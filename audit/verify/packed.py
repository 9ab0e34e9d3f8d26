"""A production as one file: a ZIP is unpacked where nothing of it can lead elsewhere, and then verified as a directory.

It is a stranger's file. Before a byte of it is unpacked its directory is judged: plain relative names, each once, also
where a file system knows no capitals; regular files only; stored or deflated, and not encrypted; no two members made of
the same bytes; and no more than :data:`MAX_RATIO` times its own size, or than there is room for, when unpacked. What is
then unpacked is gone again at the end.

An age file is named as one: decrypt it first.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from typing import TYPE_CHECKING, Final

from audit.verify.files import open_regular, read_at
from audit.verify.production import verify_production
from audit.verify.report import Bad, Finding, State, Unchecked

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.verify.anchor import Outside
    from audit.verify.report import Report

#: What a ZIP may unpack to, in sizes of its own: a bomb has a thousand and more, lines of JSON some ten.
MAX_RATIO: Final = 200
#: Members of one ZIP: more than a production of the most versions has.
MAX_MEMBERS: Final = 4_000_000
_MAX_NAME: Final = 1024
_PIECE: Final = 1 << 20
_AGE: Final = b"age-encryption.org/"
_MAGIC: Final = b"PK\x03\x04"
_PLAIN: Final = re.compile(r"(?!\.{1,2}/)[A-Za-z0-9._-]+(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._-]+)*/?")
_ENCRYPTED: Final = 1
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_BROKEN: Final = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, zlib.error)


def verify_packed(target: str, outside: Outside, report: Report, progress: Callable[[int], None]) -> None:
    """Verify a production in a ZIP.

    Args:
        target: The file.
        outside: What vouches for its logs.
        report: Receives everything found; places are named as in the ZIP.
        progress: Called with how much was checked.

    Raises:
        Bad: It is so bad that nothing more can be said.
        Unchecked: It is no ZIP, there is no room to unpack it, or it cannot be read.
    """
    file = open_regular(target, target)
    if file is None:
        raise Unchecked(f"{target}: gone since it was looked at")
    with file:
        begins = read_at(file, 0, len(_AGE), target)
        if begins == _AGE:
            raise Unchecked(f"{target}: encrypted with age; decrypt it first: age --decrypt --identity KEY-FILE")
        if not begins.startswith(_MAGIC):
            raise Unchecked(f"{target}: no such directory, and no ZIP of a production")
        with tempfile.TemporaryDirectory(prefix="strongroom-verify-") as place:
            try:
                with zipfile.ZipFile(file) as packed:
                    _unpack(packed, target, os.fstat(file.fileno()).st_size, place)
            except _BROKEN as error:
                raise Bad(target, f"a ZIP that cannot be unpacked: {error}") from error
            except OSError as error:
                raise Unchecked(f"{target} cannot be unpacked in {place}: {error.strerror or error}") from error
            _verify(place, target, outside, report, progress)


def _verify(place: str, target: str, outside: Outside, report: Report, progress: Callable[[int], None]) -> None:
    """Verify what was unpacked; what is said of a place is said of the ZIP."""
    found = os.listdir(place)  # noqa: PTH208 - a str, as everywhere here
    alone = len(found) == 1 and not {"bagit.txt", "data"} & set(found)
    root = f"{place}/{found[0]}" if alone else place

    def named(text: str) -> str:
        return text.replace(root, target)

    try:
        verify_production(root, outside, report, progress)
    except Bad as bad:
        seq, where, why = bad.finding
        raise Bad(named(where), named(why), seq) from bad
    except Unchecked as why:
        raise Unchecked(named(str(why))) from why
    finally:
        report.findings[:] = [Finding(seq, named(where), named(why)) for seq, where, why in report.findings]
        report.states[:] = [State(name, named(where), detail) for name, where, detail in report.states]
        report.notes[:] = [named(note) for note in report.notes]


def _unpack(packed: zipfile.ZipFile, target: str, size: int, place: str) -> None:
    members = packed.infolist()
    _judge(members, target, size, shutil.disk_usage(place).free, place)
    for member in members:
        path = f"{place}/{member.filename}"
        if member.is_dir():
            os.makedirs(path, 0o700, exist_ok=True)  # noqa: PTH103 - a str
            continue
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)  # noqa: PTH103, PTH120 - a str
        with packed.open(member) as source, open(path, "xb") as out:  # noqa: PTH123 - a str
            while piece := source.read(_PIECE):
                out.write(piece)


def _judge(members: list[zipfile.ZipInfo], target: str, size: int, free: int, place: str) -> None:
    """Judge the directory of a ZIP.

    Raises:
        Bad: It is not one that a production is packed in.
        Unchecked: There is no room for what is in it.
    """
    if len(members) > MAX_MEMBERS:
        raise Bad(target, f"more than {MAX_MEMBERS} members")
    names: set[str] = set()
    for member in members:
        name, mode = member.filename, member.external_attr >> 16
        shown = ascii(name[:200])
        if not _PLAIN.fullmatch(name) or len(name) > _MAX_NAME or name != member.orig_filename:
            raise Bad(target, f"a member called {shown}: no name of a file in a production")
        if name.rstrip("/").casefold() in names:
            raise Bad(target, f"two members are called {shown}")
        names.add(name.rstrip("/").casefold())
        if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
            raise Bad(target, f"member {shown} is no regular file")
        if member.flag_bits & _ENCRYPTED or member.compress_type not in _METHODS:
            raise Bad(target, f"member {shown} is encrypted, or packed in a way that no production is")
    if sum(member.compress_size for member in members) > size:
        raise Bad(target, "its members are longer than the file: some are made of the same bytes")
    unpacked = sum(member.file_size for member in members)
    if unpacked > MAX_RATIO * size:
        raise Bad(target, f"it unpacks to {unpacked} bytes, more than {MAX_RATIO} times its size")
    if unpacked > free:
        raise Unchecked(f"{target} unpacks to {unpacked} bytes, and {place} has room for {free}: set TMPDIR")
