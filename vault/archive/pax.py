"""Extended headers of a tar archive (POSIX.1-2017, *pax Extended Header*): what of them counts here. Pure.

Times, owners and attributes of files are passed over: an object version has its record's. What would make other bytes
or another size of a member than its own header says (``size``, ``GNU.sparse.*``) is refused, since that is where
programs differ. ``minio.metadata.NAME`` is MinIO's: a stored header of that member.

Not handled here: which stored headers a member may have (``vault.s3.extract``).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from vault.archive.blocks import broken

#: All extended headers of one member, in bytes; names and metadata need a tenth of it.
MAX_PAX_BYTES: Final = 64 * 1024
_METADATA: Final = "minio.metadata."
_RECORD: Final = re.compile(rb"([1-9][0-9]{0,5}) ([^=\0\n]{1,256})=")
_CHARSETS: Final = frozenset({b"ISO-IR 10646 2000 UTF-8"})
#: What one header may not say of all members.
_NEVER_GLOBAL: Final = frozenset({"path", "size", "linkpath", "hdrcharset"})


class Extended(NamedTuple):
    """What extended headers say of a member.

    Attributes:
        path: Its name, bytes of UTF-8; None where they do not say.
        size: Its size; -1 where they do not say.
        fields: Stored headers, names in lower case.
        problem: Why the member cannot be taken though the archive can be read; empty where it can.
    """

    path: bytes | None = None
    size: int = -1
    fields: dict[str, str] | None = None
    problem: str = ""


NOTHING: Final = Extended()


def read_extended(data: bytes, at: int, *, everyone: bool = False) -> Extended:
    """Read the content of an extended header.

    Args:
        data: Its content, whole.
        at: Where it stands, for messages.
        everyone: It is a global one.

    Raises:
        S3Error: InvalidRequest: it is malformed, says something twice, or makes a sparse member.
    """
    said: dict[str, bytes] = {}
    position = 0
    while position < len(data):
        match = _RECORD.match(data, position)
        end = position + int(match[1]) if match is not None else 0
        if match is None or end > len(data) or end < match.end() + 1 or data[end - 1] != 0x0A:
            raise broken("a malformed extended header", at, "archive_pax")
        try:
            name = match[2].decode()
        except UnicodeDecodeError as error:
            raise broken("an extended header that is not UTF-8", at, "archive_pax") from error
        if name in said:
            raise broken(f"an extended header says {name[:64]!r} twice", at, "archive_pax")
        said[name] = data[match.end() : end - 1]
        position = end
    return _meant(said, at, everyone=everyone)


def _meant(said: dict[str, bytes], at: int, *, everyone: bool) -> Extended:
    fields: dict[str, str] = {}
    problem = ""
    size = -1
    for name, value in said.items():
        if everyone and (name in _NEVER_GLOBAL or name.startswith("minio.")):
            raise broken(f"a global header that sets {name[:64]!r} for all members", at, "archive_pax")
        if name.startswith("GNU.sparse."):
            raise broken("a sparse member; archive it without --sparse", at, "archive_sparse")
        if name == "hdrcharset" and value not in _CHARSETS:
            raise broken("names in another encoding than UTF-8", at, "archive_pax")
        if name == "size":
            if not value.isdigit() or len(value) > 18:
                raise broken("an extended header's size is no number", at, "archive_pax")
            size = int(value)
        elif name.startswith(_METADATA):
            try:
                fields[name.removeprefix(_METADATA).lower()] = value.decode()
            except UnicodeDecodeError:
                problem = "its metadata is not UTF-8"
        elif name == "minio.versionId":
            problem = "it asks for a version id, which is the vault's to give"
    return Extended(said.get("path"), size, fields or None, problem)
