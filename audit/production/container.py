"""An archive encrypted for those who are to have it, as an age file (C2SP age, ``age-encryption.org/v1``).

For X25519 recipients (``age1…``), as ``age-keygen`` makes them; whoever has one of the identities decrypts it with
``age``, of which there are several programs by several people. Encrypted by pyrage (MIT), which is the Rust library and
age's own format to the byte; nothing here touches a cipher. What is encrypted cannot be read in pieces, and is other
bytes each time: what is kept, and what the records name, is the archive inside.

ZIPs encrypted with AES-256 are not made: examiners do not take them.

Not handled here: what is inside (``archive``).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

import pyrage

from audit.production.bag import ProductionFailed
from audit.query.filter import QueryInvalid

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
    from concurrent.futures import Executor
    from typing import Any, TypeVar

    _T = TypeVar("_T")

#: Of one archive.
MAX_RECIPIENTS: Final = 16
#: Pieces of at most 64 KiB, or some more, that wait to be sent.
_AHEAD: Final = 8


class Recipient(Protocol):
    """Somebody who is to have it."""


def recipients(names: Sequence[str]) -> list[Recipient]:
    """Read the names of recipients.

    Raises:
        QueryInvalid: One of them is none, or they are too many.
    """
    if len(names) > MAX_RECIPIENTS:
        raise QueryInvalid(f"recipient: at most {MAX_RECIPIENTS}")
    found: list[Recipient] = []
    for name in names:
        try:
            found.append(pyrage.x25519.Recipient.from_str(name))
        except pyrage.RecipientError as error:
            raise QueryInvalid(f"recipient: {name[:80]!r} is none; `age-keygen` makes them: age1…") from error
    return found


def encrypt(pieces: Iterator[bytes], write: Callable[[bytes], object], to: Sequence[Recipient]) -> None:
    """Encrypt an archive, piece by piece.

    Args:
        pieces: The archive.
        write: Takes the age file.
        to: At least one.

    Raises:
        ProductionFailed: It could not be done.
    """
    ends = _Ends(pieces, write)
    try:
        pyrage.encrypt_io(ends, ends, to)
    except pyrage.EncryptError as error:  # it has what our ends raised only as text
        if ends.failed is not None:
            raise ends.failed from error
        raise ProductionFailed(f"the archive cannot be encrypted: {error}") from error


async def encrypted(
    body: AsyncGenerator[bytes, None], to: Sequence[Recipient], pool: Executor
) -> AsyncGenerator[bytes, None]:
    """Encrypt bytes as they come.

    Args:
        body: The archive; closed at the end.
        to: At least one.
        pool: A thread of it works for as long as this is read.

    Raises:
        ProductionFailed: It could not be done.
        Exception: Whatever the body raises.
    """
    between = _Between(body, asyncio.get_running_loop())
    working = asyncio.get_running_loop().run_in_executor(pool, between.work, to)
    try:
        while piece := await between.out.get():
            yield piece
        await working
    finally:
        between.close()
        await asyncio.wait([working])
        await body.aclose()


class _Ends:
    """Where it is read from and written to, as pyrage wants them; ``failed`` is what either of them raised."""

    def __init__(self, pieces: Iterator[bytes], write: Callable[[bytes], object]) -> None:
        self._pieces = pieces
        self._write = write
        self._rest = b""
        self.failed: Exception | None = None

    def read(self, size: int) -> bytes:
        try:
            if not self._rest:
                self._rest = next(self._pieces, b"")
        except Exception as error:
            self.failed = error
            raise
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def write(self, data: bytes) -> int:
        try:
            self._write(bytes(data))
        except Exception as error:
            self.failed = error
            raise
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""


class _Between:
    """Between a thread that encrypts and the loop that reads and sends."""

    def __init__(self, body: AsyncGenerator[bytes, None], loop: asyncio.AbstractEventLoop) -> None:
        self._body = body
        self._loop = loop
        self._closed = False
        self.out: asyncio.Queue[bytes] = asyncio.Queue(_AHEAD)

    def work(self, to: Sequence[Recipient]) -> None:
        """Encrypt all of it, in a thread; nothing after the last piece."""
        try:
            encrypt(iter(lambda: self._await(self._next()), b""), lambda data: self._await(self.out.put(data)), to)
        finally:
            if not self._closed:
                self._await(self.out.put(b""))

    def close(self) -> None:
        """Nobody reads any more: the thread meets a closed pipe at its next step, and what it waits for comes."""
        self._closed = True
        while not self.out.empty():
            self.out.get_nowait()

    async def _next(self) -> bytes:
        return await anext(self._body, b"")

    def _await(self, step: Coroutine[Any, Any, _T]) -> _T:
        if self._closed:
            step.close()
            raise BrokenPipeError
        return asyncio.run_coroutine_threadsafe(step, self._loop).result()
