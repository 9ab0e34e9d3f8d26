"""Bytes that are looked at as a whole before anything is made of them: in memory up to a bound, else in a spool file.

Nothing here is durable or meant to be. The file has no name (it is unlinked as soon as it is open, and a crash between
leaves a stage that the next start sweeps), and what is in it is encrypted under a key that only this process's memory
has: plaintext never reaches the disk (DESIGN §6), and erasing what becomes of these bytes erases all of them.

Not handled here: what the bytes are.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Final, Self

from vault.crypto.aead import KEY_BYTES, SALT_BYTES, TAG_BYTES, VersionKey
from vault.errors import IntegrityError, NoSpace, Unavailable
from vault.storage.room import free_bytes

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

#: Bytes held in memory; with more, all go to the file.
MEMORY_BYTES: Final = 8 * 1024 * 1024
#: Plaintext of one chunk of the file, in bytes.
_CHUNK: Final = 1024 * 1024


class Spool:
    """Written once from its beginning, then read anywhere; a context manager. One thread at a time.

    Args:
        directory: Where a file may be made.
        keep_free: Bytes of disk that it may not take.
        length: Bytes it will have, 0 where that is not known: there was room for all of them when it began.

    Raises:
        Unavailable: There is no room for so many.
    """

    def __init__(self, directory: Path, keep_free: int, length: int = 0) -> None:
        self._directory = directory
        self._keep_free = keep_free
        self._key = VersionKey(secrets.token_bytes(KEY_BYTES), secrets.token_bytes(SALT_BYTES))
        self._fd = -1
        self._chunks = 0
        self._tail = bytearray()
        self._last = (-1, b"")
        self.size = 0
        if length > MEMORY_BYTES:
            self._require_room(length)

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes.

        Raises:
            Unavailable: There is no room.
        """
        self._tail += data
        self.size += len(data)
        if self._fd >= 0 or self.size > MEMORY_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Move whole chunks to the file."""
        if self._fd < 0:
            self._fd = self._open()
        view = memoryview(self._tail)
        whole = len(view) // _CHUNK * _CHUNK
        self._require_room(whole)
        for start in range(0, whole, _CHUNK):
            self._append(self._key.encrypt(self._chunks, view[start : start + _CHUNK], last=False))
            self._chunks += 1
        view.release()
        del self._tail[:whole]

    def _require_room(self, length: int) -> None:
        if free_bytes(self._directory) < length + self._keep_free:
            raise NoSpace

    def _open(self) -> int:
        path = self._directory / f"{secrets.token_hex(16)}.tmp"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            path.unlink()
        except OSError as error:
            raise Unavailable(f"{self._directory}: a spool file cannot be made: {error.strerror}") from error
        return fd

    def _append(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            raise Unavailable(f"{self._directory}: a spool file cannot be written: {error.strerror}") from error

    def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes, which were written.

        Raises:
            IntegrityError: The disk gives other bytes than it was given, or none.
        """
        end, stored = offset + length, self._chunks * _CHUNK
        if offset >= stored:
            return bytes(self._tail[offset - stored : end - stored])
        first = offset // _CHUNK
        pieces = [self._chunk(number) for number in range(first, -(-min(end, stored) // _CHUNK))]
        if end > stored:
            pieces.append(bytes(self._tail[: end - stored]))
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return data[offset - first * _CHUNK : end - first * _CHUNK]

    def _chunk(self, number: int) -> bytes:
        if self._last[0] != number:
            place = number * (_CHUNK + TAG_BYTES)
            try:
                ciphertext = os.pread(self._fd, _CHUNK + TAG_BYTES, place)
                self._last = number, self._key.decrypt(number, ciphertext, last=False)
            except (OSError, IntegrityError) as error:
                raise IntegrityError(f"{self._directory}: a spool file does not hold what was written") from error
        return self._last[1]

    def close(self) -> None:
        """Give file and memory back; harmless to call again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._tail.clear()
        self._last = (-1, b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
