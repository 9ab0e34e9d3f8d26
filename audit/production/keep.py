"""A production kept under lock: its ZIP as an object of the server's own (``audit.own_objects``), once.

It stands in :data:`BUCKET`, made when the first one comes, under ``ID.zip``; user metadata names its SHA-256. An
archive of up to :data:`PART_BYTES` is one PUT; a longer one is a multipart upload of parts of that size, or of larger
ones where S3's 10,000 would not do. Both are streamed: the archive is packed while it is stored, and never in memory as
a whole.

An attempt may end anywhere. The next one takes an archive that is there already, of these very bytes and locked for
long enough; where there is none it first gives up whatever upload an earlier attempt began. So there is one archive of
a production, and no upload is left: one whose production nobody goes on with is given up at the next start
(``audit.start``), for policy lets nobody else abort it.

The service belongs to an event loop, and productions are made in threads: each attempt has a loop of its own over the
node's one committer, and blocks it as it likes.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from audit.crash import crash_point
from audit.own_objects import acting_for, have_bucket, lock_from, locked_enough, service_of
from audit.production.archive import BagChanged, pieces
from audit.production.bag import Cancelled, ProductionFailed
from vault.checksums import BodyDigests
from vault.errors import CorruptError, IntegrityError, KeyringError, S3Error, Unavailable, VaultError
from vault.service.context import CompletedPart, PutSpec, UploadSpec
from vault.service.documents import Documents
from vault.service.reading import Wanted
from vault.state import lookup, rows
from vault.state.rows import UploadRow
from vault.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
    from pathlib import Path
    from threading import Event
    from typing import Any

    from audit.node import Node
    from audit.production.state import Packed
    from vault.ports import State
    from vault.record import Actor, Origin
    from vault.service import Service
    from vault.service.context import Caller

#: Where archives stand.
BUCKET: Final = "strongroom-productions"
#: The longest archive that is one PUT, and the shortest part of a longer one, in bytes.
PART_BYTES: Final = 64 << 20
#: Parts of one upload (S3).
MAX_PARTS: Final = 10_000
#: Bytes of an archive that are read at once.
READ_BYTES: Final = 8 << 20
#: Threads that digest, encrypt and write.
_THREADS: Final = 4
_DIGEST: Final = "sha256"
_CHANGED: Final = "XAmzContentSHA256Mismatch"
_TYPE: Final = {"content-type": "application/zip"}
_T = TypeVar("_T")


class Kept(msgspec.Struct, frozen=True):
    """An archive under lock until a time, which may have been made later since."""

    bucket: str
    key: str
    version_id: str
    size: int
    sha256: str
    until: str


class Asker(NamedTuple):
    """On behalf of whom it is kept, and the request that caused it."""

    actor: Actor
    origin: Origin
    http: str = ""


class Archive(NamedTuple):
    """The archive of a production: of which, what it comes to, and the directory of its bag."""

    production: str
    packed: Packed
    root: Path


def key_of(production: str) -> str:
    """Key of a production's archive."""
    return f"{production}.zip"


def there(node: Node, production: str, packed: Packed) -> Kept | None:
    """The archive of a production that is kept already: of these very bytes, and locked for long enough.

    Raises:
        LedgerCorrupt: Its record cannot be read.
    """
    found = lookup.key_row(node.stores.index, BUCKET, key_of(production))
    row = found.current if found is not None else None
    if row is None or row.storage is None or row.size != packed.size or not locked_enough(row, time.time_ns()):
        return None
    try:
        document = Documents(node.stores, node.keyring).load(row.seq, row.storage, row.content)
    except (CorruptError, IntegrityError, KeyringError):  # it is damaged: another is made beside it
        return None
    if document.metadata.get(_DIGEST) != packed.sha256:
        return None
    return Kept(BUCKET, key_of(production), row.version_id, row.size, packed.sha256, rfc3339(row.until))


def keep(node: Node, asker: Asker, archive: Archive, stop: Event) -> Kept:
    """Keep an archive; where it is there already its bag is not needed, and may be gone. Durable, and idempotent.

    Args:
        node: Open.
        asker: On behalf of whom.
        archive: What is kept.
        stop: Cancels.

    Raises:
        ProductionFailed: It was refused, or there is no room.
        BagChanged: The bag is not what was packed before.
        Cancelled: It was told to stop.
        OutcomeUnknown: A record's fate is not known.
        DurabilityError: It could not be written.
    """
    production, packed, root = archive
    stream = _Stream(pieces(root, production), stop)

    async def store(service: Service, caller: Caller) -> None:
        await have_bucket(service, caller, BUCKET)
        await _give_up(service, caller, key_of(production))
        await (_put if packed.size <= PART_BYTES else _upload)(service, caller, archive, stream)

    kept = there(node, production, packed)
    if kept is None:
        try:
            _run(node, asker, store)
        except (S3Error, Unavailable) as error:
            if stream.failed is not None:
                raise stream.failed from error
            if isinstance(error, S3Error) and error.s3_code == _CHANGED:
                raise BagChanged("the bag was changed while it was packed; go on, and it is made anew") from error
            why = error.message if isinstance(error, S3Error) else str(error)
            raise ProductionFailed(f"it is made, and cannot be kept under lock: {why}; mend that and go on") from error
        kept = there(node, production, packed)
    if kept is None:
        raise ProductionFailed("it is made, and its archive was hidden or replaced as soon as it was kept; go on")
    return kept


def abandon(node: Node, asker: Asker, production: str) -> None:
    """Give up the uploads that attempts to keep a production left.

    Raises:
        S3Error: It was refused; recorded.
        Unavailable: It could not be recorded.
        OutcomeUnknown: A record's fate is not known.
    """

    async def give_up(service: Service, caller: Caller) -> None:
        await _give_up(service, caller, key_of(production))

    if _left(node.stores.index, key_of(production)):
        _run(node, asker, give_up)


def part_bytes(size: int) -> int:
    """Bytes of a part of an archive of ``size``: as many MiB as 10,000 parts need, and :data:`PART_BYTES` at least."""
    least = -(-size // MAX_PARTS)
    return max(PART_BYTES, -(-least >> 20) << 20)


class _Claimed:
    """What is known of bytes before they are stored."""

    def __init__(self, digest: str = "") -> None:
        self.digests = BodyDigests()
        self._digest = digest

    def verify(self) -> None:
        """Hold them against it."""
        if self._digest and self.digests.sha256.hex() != self._digest:
            raise S3Error(_CHANGED)


class _Stream:
    """An archive as bodies of requests, one after the other. ``failed`` is why one of them broke off."""

    def __init__(self, pieces: Iterator[bytes], stop: Event) -> None:
        self._pieces = pieces
        self._stop = stop
        self._rest = memoryview(b"")
        self._digest = sha256()
        self.failed: Cancelled | ProductionFailed | None = None

    @property
    def digest(self) -> str:
        """SHA-256 of what was taken."""
        return self._digest.hexdigest()

    async def take(self, length: int) -> AsyncIterator[bytes]:
        """The next ``length`` bytes; fewer only at its end."""
        while length:
            if not self._rest:
                self._rest = memoryview(self._next())
            piece, self._rest = self._rest[:length], self._rest[length:]
            if not piece:
                return
            self._digest.update(piece)
            length -= len(piece)
            yield bytes(piece)

    def _next(self) -> bytes:
        """The next piece; none at the end. What keeps it from coming is a request that broke off, which is recorded."""
        try:
            if self._stop.is_set():
                raise Cancelled
            return next(self._pieces, b"")
        except (Cancelled, ProductionFailed) as error:
            self.failed = error
            raise S3Error("IncompleteBody") from error


def read(node: Node, asker: Asker, production: str, version_id: str, first: int) -> bytes:
    """Bytes of an archive from one on, at most :data:`READ_BYTES`; none at its end. Recorded, as every read.

    Args:
        node: Open.
        asker: On behalf of whom.
        production: Its id.
        version_id: Of the archive.
        first: Offset.

    Raises:
        S3Error: It is not there any more, or has no such bytes; recorded.
        IntegrityError: What is stored does not authenticate; recorded.
        Unavailable: The read could not be recorded.
    """
    span = first, first + READ_BYTES - 1
    wanted = Wanted(bucket=BUCKET, key=key_of(production), version_id=version_id, range=span)

    async def get(service: Service, caller: Caller) -> bytes:
        got = await service.objects.get(caller, wanted)
        return b"".join([piece async for piece in got.body]) if got.body is not None else b""

    return _run(node, asker, get)


def _run(node: Node, asker: Asker, work: Callable[[Service, Caller], Coroutine[Any, Any, _T]]) -> _T:
    async def run(pool: ThreadPoolExecutor) -> _T:
        service = service_of(node, pool)
        try:
            return await work(service, acting_for(asker.actor, asker.origin, asker.http, time.time_ns()))
        finally:
            await service.core.commits.drained()

    with ThreadPoolExecutor(_THREADS, "keep") as pool, asyncio.Runner() as runner:
        return runner.run(run(pool))


def _left(state: State, key: str) -> list[UploadRow]:
    start = rows.upload_key(BUCKET, key, "")
    return [row for _, row in state.scan(start, start + b"\xff") if isinstance(row, UploadRow)]


async def _give_up(service: Service, caller: Caller, key: str) -> None:
    for row in _left(service.core.state, key):
        await service.uploads.abort(caller, BUCKET, key, row.upload_id)


async def _put(service: Service, caller: Caller, archive: Archive, stream: _Stream) -> None:
    packed = archive.packed
    spec = PutSpec(
        bucket=BUCKET,
        key=key_of(archive.production),
        length=packed.size,
        checks=_Claimed(packed.sha256),
        headers=_TYPE,
        metadata={_DIGEST: packed.sha256},
        lock=lock_from(caller.received),
    )
    await service.objects.put(caller, spec, stream.take(packed.size))


async def _upload(service: Service, caller: Caller, archive: Archive, stream: _Stream) -> None:
    key, packed = key_of(archive.production), archive.packed
    spec = UploadSpec(
        bucket=BUCKET, key=key, headers=_TYPE, metadata={_DIGEST: packed.sha256}, lock=lock_from(caller.received)
    )
    upload_id = (await service.uploads.create(caller, spec)).upload_id
    crash_point("produce.upload")
    try:
        parts, step = [], part_bytes(packed.size)
        for number, start in enumerate(range(0, packed.size, step), 1):
            length = min(step, packed.size - start)
            part = await service.uploads.part(
                caller, BUCKET, key, upload_id, number, length, _Claimed(), stream.take(length)
            )
            parts.append(CompletedPart(number, part.etag))
            crash_point("produce.part")
        if stream.digest != packed.sha256:
            raise S3Error(_CHANGED)
        await service.uploads.complete(caller, BUCKET, key, upload_id, parts, size=packed.size)
    except (S3Error, Unavailable):
        with suppress(VaultError):  # the first error counts; what is left the next attempt gives up
            await service.uploads.abort(caller, BUCKET, key, upload_id)
        raise
