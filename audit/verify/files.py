"""Reading files of foreign directories: regular ones only, bounded, never waiting on a pipe.

Not handled here: what the bytes mean.
"""

from __future__ import annotations

import errno
import os
import stat
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO, Final

from audit.verify import pace
from audit.verify.report import Bad, Unchecked

if TYPE_CHECKING:
    from collections.abc import Iterator

# Absent on Windows, where nothing here blocks.
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_PIECE: Final = 1 << 20
#: Deepest directory looked into.
MAX_DEPTH: Final = 16


def open_regular(path: str, place: str) -> BinaryIO | None:
    """Open a regular file for reading.

    Args:
        path: The file.
        place: What findings call it.

    Returns:
        The file, or None where there is none.

    Raises:
        Bad: Something else stands there.
        Unchecked: The system does not let us read it.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError:
        raise Bad(place, "a directory where a file should be") from None
    except OSError as error:
        if error.errno in {errno.ENXIO, errno.ELOOP}:  # a socket; links that lead to each other
            raise Bad(place, "not a regular file") from None
        raise Unchecked(f"{path}: {error.strerror or error}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Bad(place, "not a regular file")
    if pace.kept() is not None and hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)  # from the disk, not what memory has of it
    return open(descriptor, "rb", buffering=0)  # noqa: PTH123 - a descriptor


def read_at(file: BinaryIO, offset: int, length: int, place: str) -> bytes:
    """Read exactly this many bytes, fewer only at the end of the file.

    Args:
        file: From :func:`open_regular`.
        offset: Where to begin, in bytes.
        length: How many, which the caller has bounded.
        place: What errors call it.

    Returns:
        The bytes.

    Raises:
        Unchecked: The system reports an error.
    """
    try:
        file.seek(offset)
        data = file.read(length)
        while data and len(data) < length and (more := file.read(length - len(data))):
            data += more
    except OSError as error:
        raise Unchecked(f"{place}: {error.strerror or error}") from error
    kept = pace.kept()
    if kept is not None:
        kept.take(len(data))
    return data


def read_file(path: str, limit: int, place: str) -> bytes | None:
    """Read a whole file.

    Args:
        path: The file.
        limit: The most it may hold, in bytes.
        place: What findings call it.

    Returns:
        Its bytes, or None where there is none.

    Raises:
        Bad: It is no regular file, or longer.
        Unchecked: The system does not let us read it.
    """
    file = open_regular(path, place)
    if file is None:
        return None
    with file:
        data = read_at(file, 0, limit + 1, place)
    if len(data) > limit:
        raise Bad(place, f"longer than {limit} bytes")
    return data


def digest_file(path: str, place: str) -> tuple[str, int]:
    """SHA-256 of a file in lowercase hex, and its length; that of nothing where there is none.

    Raises:
        Bad: It is no regular file.
        Unchecked: It cannot be read.
    """
    file = open_regular(path, place)
    digest, at = sha256(), 0
    if file is not None:
        with file:
            while piece := read_at(file, at, _PIECE, place):
                digest.update(piece)
                at += len(piece)
    return digest.hexdigest(), at


def folders(path: str) -> list[str]:
    """Names of the directories in a directory, none where it does not exist.

    Raises:
        Unchecked: The system does not let us list it.
    """
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise Unchecked(f"{path}: {error.strerror or error}") from error


def walk(root: str, skip: frozenset[str] = frozenset()) -> Iterator[tuple[str, bool]]:
    """List what lies below a directory, following no link.

    Args:
        root: The directory.
        skip: Directories directly in it that are left out.

    Yields:
        Path relative to ``root`` with ``/`` between names, and whether it is a regular file (directories are not
        listed unless they lie too deep).

    Raises:
        Unchecked: The system does not let us list it.
    """
    waiting = [("", 0)]
    while waiting:
        folder, depth = waiting.pop()
        try:
            with os.scandir(f"{root}/{folder}" if folder else root) as entries:
                found = sorted((entry.name, entry.is_dir(follow_symlinks=False), entry) for entry in entries)
        except FileNotFoundError:
            continue  # gone since its parent was listed: a running server cleans up
        except OSError as error:
            raise Unchecked(f"{root}/{folder}: {error.strerror or error}") from error
        for name, is_folder, entry in found:
            path = f"{folder}/{name}" if folder else name
            if is_folder and depth < MAX_DEPTH:
                if folder or name not in skip:
                    waiting.append((path, depth + 1))
            else:
                yield path, not is_folder and entry.is_file(follow_symlinks=False)
