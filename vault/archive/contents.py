"""What an archive contains: every header looked at, before anything is made of any member. Pure.

A member's key is its name, as it stands there, after the prefix; only one ``./`` at its beginning goes, as ``tar -c .``
writes it. A name is refused where it could mean something else to somebody: absolute, with an empty, ``.`` or ``..``
segment, with a backslash or a control character, or not UTF-8. Of two members with the same key the second is refused:
only one could be the current version, and programs differ on which. Directories make no objects. Links, devices and
fifos are refused.

Two kinds of trouble. An archive that is *broken* (cut, damaged, malformed, sparse members, bytes after its end) cannot
be read with certainty and is refused whole, always. A *bad member* of an archive that can be read refuses it too,
unless the caller tolerates them; then it stands in the result with the reason.

Bytes between a member's end and the next block, and after the NUL of a name, are not looked at, as nowhere else.

Not handled here: large members (``vault.service.extraction``), where the bytes lie.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from vault.archive.blocks import BLOCK, broken, padded, read_header
from vault.archive.pax import MAX_PAX_BYTES, NOTHING, read_extended
from vault.errors import S3Error

if TYPE_CHECKING:
    from vault.archive.blocks import Header
    from vault.archive.pax import Extended

#: Members of one archive, directories included.
MAX_MEMBERS: Final = 100_000
#: Bytes of all keys of one archive: what bounds the memory of the longest list of members.
MAX_NAMES_BYTES: Final = 32 * 1024 * 1024
#: A key, in bytes of UTF-8 (S3's limit).
MAX_KEY_BYTES: Final = 1024
#: Bytes read at once.
_WINDOW: Final = 1024 * 1024
#: A GNU long name with its NUL, in bytes: longer than any key, so that one that is too long is told as such.
_MAX_LONG_NAME: Final = 64 * 1024
#: Control characters, backslashes, and segments that are empty, ``.`` or ``..``.
_unsafe: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\\]|(?:^|/)\.{0,2}(?:/|$)").search
#: What most names are, told in half the time: none of the characters above, and no segment that begins with a dot.
_SEGMENT: Final = r"[^\x00-\x1f\x7f-\x9f\\/.][^\x00-\x1f\x7f-\x9f\\/]*"
_plain: Final = re.compile(f"{_SEGMENT}(?:/{_SEGMENT})*").fullmatch
#: Members that are none of ours, and have no bytes in an archive.
_EMPTY_KINDS: Final = {b"1": "hard link", b"2": "symbolic link", b"3": "device", b"4": "device", b"6": "fifo"}


class Source(Protocol):
    """A whole archive, decoded. ``size`` is in bytes."""

    @property
    def size(self) -> int:
        """Bytes of it."""

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes, all of which there are."""


class Member(NamedTuple):
    """One member.

    Attributes:
        key: Its key; of one that is refused as much of it as can be told.
        offset: Where its bytes begin.
        size: How many there are.
        fields: Headers to be stored with it, from its extended header.
        error: Why it is refused; None for a good one.
    """

    key: str
    offset: int
    size: int
    fields: dict[str, str] | None = None
    error: S3Error | None = None


def checked_prefix(prefix: str) -> str:
    """What all keys begin with, ending in a slash unless it is empty; slashes around it are of no account.

    Raises:
        S3Error: InvalidArgument where it could be no directory of a key.
    """
    plain = prefix.strip("/")
    if not plain:
        return ""
    if _unsafe(plain):
        raise S3Error("InvalidArgument", "The prefix can be no prefix of keys", ArgumentValue=prefix[:64])
    return f"{plain}/"


def read_contents(source: Source, *, prefix: str = "", max_size: int, tolerant: bool = False) -> list[Member]:
    """Read an archive's headers, all of them.

    Args:
        source: The archive.
        prefix: From :func:`checked_prefix`.
        max_size: Of one member, bytes.
        tolerant: Return bad members with their error.

    Returns:
        Members in the archive's order, directories left out.

    Raises:
        S3Error: The archive is broken, or has a bad member, too many of them, or none at all.
    """
    if source.size % BLOCK:
        raise broken("it is cut: tar archives are whole blocks of 512 bytes", source.size, "archive_truncated")
    reader = _Reader(source)
    found: list[Member] = []
    keys: set[str] = set()
    names = seen = 0
    while (entry := reader.next()) is not None:
        header, extended, at = entry
        seen += 1
        if seen > MAX_MEMBERS:
            raise S3Error("EntityTooLarge", f"More than {MAX_MEMBERS} members; send several archives")
        member = _member(header, extended, at, prefix, max_size)
        if member is None:
            continue
        if member.error is None:
            count = len(keys)
            keys.add(member.key)
            if len(keys) == count:
                error = _bad("an earlier member has the same key", member.key, "archive_duplicate")
                member = member._replace(error=error)
        if member.error is not None and not tolerant:
            raise member.error
        names += len(member.key)
        if names > MAX_NAMES_BYTES:
            raise S3Error("EntityTooLarge", f"Keys of more than {MAX_NAMES_BYTES} bytes; send several archives")
        found.append(member)
    if not found:
        raise S3Error("InvalidRequest", "The archive has no members to store.", reason="archive_empty")
    return found


def _bad(what: str, key: str, reason: str, code: str = "InvalidRequest") -> S3Error:
    return S3Error(code, f"A member is refused: {what}", reason=reason, Member=key[:MAX_KEY_BYTES])


def _member(header: Header, extended: Extended, at: int, prefix: str, max_size: int) -> Member | None:
    """What a header makes; None for a directory."""
    name_of_header, size, kind = header
    raw = name_of_header if extended.path is None else extended.path
    try:
        name = raw.decode()
        error = None
    except UnicodeDecodeError:
        name = raw.decode(errors="replace")
        error = _bad("its name is not UTF-8", name, "archive_name")
    name = name.removeprefix("./")
    directory = kind == b"5"
    if directory:
        name = name.removesuffix("/")
        if not name and error is None:  # the root, `./`
            return None
    key = prefix + name
    if error is None:
        if _plain(name) is None and _unsafe(name) is not None:
            what = "its name is empty, absolute, or has a segment, backslash or control character that no key may have"
            error = _bad(what, key, "archive_name")
        elif len(key) * 4 > MAX_KEY_BYTES and len(key.encode()) > MAX_KEY_BYTES:
            key = key[:MAX_KEY_BYTES]
            error = _bad(f"its key has more than {MAX_KEY_BYTES} bytes", key, "archive_name", "KeyTooLongError")
    if directory:
        return None if error is None else Member(key, at, 0, None, error)
    if error is None and (kind not in {b"0", b"\0"} or extended.problem):
        other = f"it is a {_EMPTY_KINDS[kind]}" if kind in _EMPTY_KINDS else "it is no regular file"
        error = _bad(extended.problem or other, key, "archive_metadata" if extended.problem else "archive_kind")
    if error is None and size > max_size:
        error = _bad(f"it has {size} bytes, of at most {max_size}", key, "archive_size", "EntityTooLarge")
    return Member(key, at, size, extended.fields, error)


class _Reader:
    """Goes from header to header, and takes together those that belong to one member."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._at = 0
        self._start = 0
        self._data = b""

    def _block(self, at: int) -> bytes:
        start = at - self._start
        if not 0 <= start <= len(self._data) - BLOCK:
            if at >= self._source.size:
                raise broken("it is cut: its end is missing", at, "archive_truncated")
            self._data = self._source.read(at, min(_WINDOW, self._source.size - at))
            self._start, start = at, 0
        return self._data[start : start + BLOCK]

    def next(self) -> tuple[Header, Extended, int] | None:
        """The next member: its own header, what those before it say, and where its bytes begin; None at the end.

        Raises:
            S3Error: The archive is broken.
        """
        extended: Extended | None = None
        while True:
            at = self._at
            header = read_header(self._block(at), at)
            if header is None:
                if extended is not None:
                    raise broken("an extended header without a member", at, "archive_pax")
                self._end(at)
                return None
            _, size, kind = header
            begin = at + BLOCK
            if kind in {b"0", b"\0"}:
                self._skip(begin, size)
                return header, self._settled(header, extended, at), begin
            if kind in {b"x", b"L", b"K", b"g"}:
                extended = self._extend(header, extended, at)
                continue
            if kind in {b"S", b"X"}:
                what = "a sparse member; archive it without --sparse" if kind == b"S" else "Solaris' extended headers"
                raise broken(what, at, "archive_sparse" if kind == b"S" else "archive_pax")
            if size and (kind in _EMPTY_KINDS or kind == b"5"):
                raise broken("a link, directory or device with bytes of its own", at)
            self._skip(begin, size)
            return header, self._settled(header, extended, at), begin

    @staticmethod
    def _settled(header: Header, extended: Extended | None, at: int) -> Extended:
        if extended is None:
            return NOTHING
        if extended.size not in {-1, header.size}:
            raise broken("an extended header and the header itself differ on a size", at, "archive_size")
        return extended

    def _skip(self, begin: int, size: int) -> None:
        self._at = begin + padded(size)
        if self._at > self._source.size:
            raise broken("it is cut: a member is longer than what follows", begin, "archive_truncated")

    def _extend(self, header: Header, before: Extended | None, at: int) -> Extended | None:
        """Take what a header says of the member after it."""
        kind, size = header.kind, header.size
        if size > (MAX_PAX_BYTES if kind in {b"x", b"g"} else _MAX_LONG_NAME):
            raise broken(f"an extended header of {size} bytes", at, "archive_pax")
        self._skip(at + BLOCK, size)
        data = self._source.read(at + BLOCK, size)
        if kind == b"g":
            if before is not None:
                raise broken("a global header between a member and its own", at, "archive_pax")
            read_extended(data, at, everyone=True)
            return None
        if kind == b"x":
            if before is not None:
                raise broken("two extended headers of one member", at, "archive_pax")
            return read_extended(data, at)
        said = before or NOTHING
        if kind == b"K":  # a long target: only links have one, and they are refused for what they are
            return said
        name, _, rest = data.partition(b"\0")
        if said.path is not None or rest.strip(b"\0") or not data.endswith(b"\0"):
            raise broken("a malformed long name", at, "archive_pax")
        return said._replace(path=name)

    def _end(self, at: int) -> None:
        """Two blocks of zeros end an archive, and only zeros may follow (writers fill up their last record)."""
        if at + 2 * BLOCK > self._source.size:
            raise broken("it is cut: its end is missing", at, "archive_truncated")
        for start in range(at, self._source.size, _WINDOW):
            piece = self._source.read(start, min(_WINDOW, self._source.size - start))
            if piece.count(0) != len(piece):
                raise broken("bytes after its end", start, "archive_trailing")
