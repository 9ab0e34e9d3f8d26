"""Receiving a body: digested, verified against what the client claims, encrypted, and where it is large, on disk.

A small body stays in memory and rides in the commit log with its record. A large one is encrypted chunk by chunk into
a staged blob: while one piece of it is being received, the one before is digested in two threads and encrypted, hashed
and written in a third. A request holds about six chunks, whatever its size, and the event loop only hands them on.

The blob is durable before the operation is submitted. Where the operation is then refused or not written, the blob goes
again at once: no successful record names it, or ever will, and clients that try again would fill the disk. A crash
leaves it to the sweep of the next start, and so does an outcome that is not known.

Not handled here: what is done with the result (``objects``, ``uploads``).
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from vault.crypto.aead import ciphertext_length
from vault.errors import S3Error, Unavailable
from vault.manifest import VERSION, Checksum, ContentDocument
from vault.service.sealing import CHUNK_BYTES, INLINE_BYTES, Sealer, Stored, new_salt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from vault.crypto.keyring_file import DomainKey
    from vault.ports import Committed, Intent
    from vault.service.context import BodyCheck
    from vault.service.core import Core
    from vault.storage.blobs import StagedBlob

#: Plaintext up to which the event loop itself digests and encrypts, in bytes: handing over would cost more.
_ON_LOOP_BYTES: Final = 16 * 1024
#: Plaintext that a thread gets at a time, in bytes: with one chunk, handing over took a twelfth of 64 MiB.
PIECE_BYTES: Final = 2 * CHUNK_BYTES

_NOTHING: Final[Mapping[str, str]] = {}


async def receive(
    core: Core,
    domain: DomainKey,
    body: AsyncIterator[bytes],
    *,
    length: int,
    checks: BodyCheck,
    headers: Mapping[str, str] = _NOTHING,
    metadata: Mapping[str, str] = _NOTHING,
    accept: Callable[[ContentDocument], None] = lambda _: None,
) -> Stored:
    """Receive a body to its end.

    Args:
        core: Threads and blobs.
        domain: Key that it will be under.
        body: The decoded bytes, in pieces of any size. It may raise S3Error (a bad chunk signature, a client gone).
        length: How many there will be.
        checks: Verifies them.
        headers: Stored headers.
        metadata: User metadata.
        accept: Raises S3Error where what was received must not be kept.

    Returns:
        What is to be committed. A blob is durable already.

    Raises:
        S3Error: The body is not what was claimed, or not as long; nothing was kept.
        Unavailable: There is no room for it; nothing was kept.
        DurabilityError: It could not be made durable.
    """
    sealer = Sealer(domain)

    def verified() -> ContentDocument:
        checks.verify()
        digests = checks.digests
        md5, checksum = digests.md5.hex(), digests.checksum
        document = ContentDocument(
            v=VERSION,
            salt=new_salt(),
            size=length,
            etag=md5,
            md5=md5,
            sha256=digests.sha256.hex(),
            checksum=Checksum(checksum.algorithm.name, "FULL_OBJECT", checksum.base64) if checksum else None,
            headers=dict(headers),
            metadata=dict(metadata),
        )
        accept(document)
        return document

    if length > INLINE_BYTES:
        staged = await core.run(core.blobs.stage, ciphertext_length(length, CHUNK_BYTES))
        try:
            keep = partial(_keep, sealer, staged)
            digest = (checks.digests.update_md5, checks.digests.update_others)
            await take(core, pieces(body, length), digest, keep)
            stored = sealer.in_blob(verified(), staged)
            await core.run(staged.publish)
        except BaseException:
            await core.run(staged.discard)
            raise
        return stored

    plaintext = await gather(body, length)

    def store() -> Stored:
        checks.digests.update(plaintext)
        return sealer.logged(verified(), sealer.encrypt(plaintext, last=True))

    return store() if length <= _ON_LOOP_BYTES else await core.run(store)


async def commit_stored(core: Core, made: Intent, stored: Stored) -> Committed:
    """Commit an operation that brings bytes; a blob that no successful record names is removed.

    Raises:
        S3Error: Refused, and recorded.
        Unavailable: Nothing was written.
        OutcomeUnknown: The record's fate is not known.
    """
    try:
        return await core.commit(made)
    except (S3Error, Unavailable):
        if stored.blob is not None:
            await core.run(stored.blob.withdraw)
        raise


async def gather(body: AsyncIterator[bytes], length: int) -> bytes:
    """A small body, whole.

    Raises:
        S3Error: IncompleteBody where it is not as long.
    """
    found = []
    left = length
    async for piece in body:
        left -= len(piece)
        if left < 0:
            break
        found.append(piece)
    if left:
        raise S3Error("IncompleteBody")
    return b"".join(found)


def _keep(sealer: Sealer, staged: StagedBlob, piece: memoryview, last: bool) -> None:  # noqa: FBT001 - as `take` calls it
    for end in range(CHUNK_BYTES, len(piece) + CHUNK_BYTES, CHUNK_BYTES):
        staged.write(sealer.encrypt(piece[end - CHUNK_BYTES : end], last=last and end >= len(piece)))


async def take(
    core: Core,
    pieces: AsyncIterator[tuple[memoryview, bool]],
    digest: Sequence[Callable[[memoryview], None]],
    keep: Callable[[memoryview, bool], None],
) -> None:
    """Digest pieces in threads and keep them in one more, while the next one is received.

    Args:
        core: Threads.
        pieces: From :func:`pieces`.
        digest: Get every byte, a thread each.
        keep: Is called with a piece and whether it is the last, never twice at once.
    """
    working: asyncio.Future[list[None]] | None = None
    try:
        async for piece, last in pieces:
            if working is not None:
                await working  # and the memory of the piece before is free
            working = asyncio.gather(core.run(keep, piece, last), *(core.run(update, piece) for update in digest))
    finally:
        if working is not None:
            await working


async def pieces(body: AsyncIterator[bytes], length: int) -> AsyncIterator[tuple[memoryview, bool]]:
    """Cut a body into full pieces and a last one, which may be full too; every second one uses the same memory.

    Raises:
        S3Error: IncompleteBody where it is not as long.
    """
    size = min(length, PIECE_BYTES)
    buffers = [memoryview(bytearray(size)) for _ in range(2)]
    filled, left = 0, length
    async for piece in body:
        rest = memoryview(piece)
        left -= len(rest)
        if left < 0:
            raise S3Error("IncompleteBody")
        while rest:
            taken = rest[: size - filled]
            buffers[0][filled : filled + len(taken)] = taken
            filled, rest = filled + len(taken), rest[len(taken) :]
            if filled == size:
                yield buffers[0], not left and not rest
                buffers.reverse()
                filled = 0
    if left:
        raise S3Error("IncompleteBody")
    if filled:
        yield buffers[0][:filled], True
