"""GetObject and HeadObject: recorded, then released, under a lease (package docstring, *Reads*).

Not handled here: where the plaintext comes from (``vault.service.plaintext``).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final

from vault.errors import CorruptError, IntegrityError, S3Error
from vault.record import ObjectRef
from vault.service.commit import reference
from vault.service.conditions import check_conditions, resolve_part, resolve_range
from vault.service.context import Conditions
from vault.service.core import intent, shown_id
from vault.service.failures import BROKEN, record_failure, released
from vault.service.results import GetResult
from vault.state import lookup
from vault.state.rows import VersionRow

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterator
    from concurrent.futures import Future

    from vault.manifest import ContentDocument
    from vault.ports import Committed
    from vault.service.context import ByteRange, Caller
    from vault.service.core import Core

#: Body up to which the event loop itself reads and decrypts, in bytes: handing over would cost more.
_ON_LOOP_BYTES: Final = 64 * 1024
#: Pieces that one call of a thread reads, while those before them are sent. With one, both sides waited for the other:
#: 64 MiB at 1,144 instead of 1,297 MB/s, at 0.86 instead of 0.72 ms of CPU a MiB. Four bring 1,394, and whoever reads
#: slowly would hold eight.
AHEAD: Final = 2
_ANY: Final = Conditions()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a read asks for.

    Attributes:
        bucket: The bucket.
        key: The key.
        version_id: A version's id, ``null``, or empty for the current version.
        range: Bytes asked for; None for all.
        part_number: A part of a multipart object; counts before ``range``.
        conditions: When to answer at all.
    """

    bucket: str
    key: str
    version_id: str = ""
    range: ByteRange | None = None
    part_number: int | None = None
    conditions: Conditions = _ANY


@dataclass(frozen=True, slots=True)
class _Opened:
    """A version that may be released: ``piece`` is the first of the pieces, ``pieces`` gives the others."""

    document: ContentDocument
    parts: int
    first: int
    last: int
    piece: bytes
    pieces: Generator[bytes, None, None]


def _read_ahead(pieces: Iterator[bytes]) -> list[bytes]:
    return list(islice(pieces, AHEAD))


class Reads:
    """Reads of versions. Belongs to one event loop."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def get(self, caller: Caller, wanted: Wanted) -> GetResult:
        """GetObject.

        Returns:
            With the first piece in memory; ``body`` is to be exhausted or closed.

        Raises:
            S3Error: Refused. After the record of the read: NotModified, PreconditionFailed, InvalidRange, InvalidPart.
            IntegrityError: What is stored does not authenticate; recorded too.
            Unavailable: Nothing was written.
            OutcomeUnknown: The record's fate is not known.
        """
        return await self._read(caller, "object.get", wanted, data=True)

    async def head(self, caller: Caller, wanted: Wanted) -> GetResult:
        """HeadObject: as :meth:`get`, without the bytes."""
        return await self._read(caller, "object.head", wanted, data=False)

    async def _read(self, caller: Caller, op: str, wanted: Wanted, *, data: bool) -> GetResult:
        core = self._core
        named = ObjectRef(wanted.bucket, wanted.key, wanted.version_id, range=self._expected(wanted) if data else None)
        committed = await core.commit(intent(caller, op, named))
        row = committed.row
        if not isinstance(row, VersionRow):
            raise TypeError(f"the journal answered {op} without a version")
        begun = False
        try:
            document = core.documents.known(row.seq)
            alone = document is not None and not data and wanted.part_number is None
            body = None if alone else self._at_hand(row)
            work = partial(self._open, row, wanted, document, body, data=data)
            opened = await released(core, caller, named, committed, work, here=alone or body is not None)
            pieces = None
            if data:
                pieces = self._body(caller, named, committed, opened)
                await anext(pieces)
                begun = True  # and from here on its end is the lease's
        except S3Error as error:
            error.record = reference(committed)
            raise
        finally:
            if not begun:
                # A thread may still read for a caller who was cancelled: what it finds now, nobody sees.
                committed.release()
        return GetResult(
            row=row,
            version_id=shown_id(core.bucket(wanted.bucket), row.version_id, null=row.null),
            document=opened.document,
            record=reference(committed),
            first=opened.first,
            last=opened.last,
            partial=wanted.range is not None or wanted.part_number is not None,
            parts=opened.parts,
            held=committed.head.lock is not None and committed.head.lock.held,
            body=pieces,
        )

    def _at_hand(self, row: VersionRow) -> bytes | None:
        """The whole body of a version that is small, where memory holds it."""
        storage = row.storage
        if storage is None or storage.kind != "log" or storage.sealed + storage.length > _ON_LOOP_BYTES:
            return None
        return self._core.documents.at_hand(row.seq, storage.sealed + storage.length)

    def _expected(self, wanted: Wanted) -> tuple[int, int] | None:
        """The range as far as the durable view can tell; the record says it, the committed version decides it."""
        if wanted.range is None:
            return None
        try:
            row = lookup.resolve(self._core.state, wanted.bucket, wanted.key, wanted.version_id)
            return resolve_range(wanted.range, row.size)
        except S3Error:  # the committer will say why, or the version that it finds has such a range
            return None

    def _open(
        self, row: VersionRow, wanted: Wanted, document: ContentDocument | None, body: bytes | None, *, data: bool
    ) -> _Opened:
        """Unseal, check the conditions, find the range, and read the first piece. In a thread where it may block."""
        core = self._core
        if document is None:
            if row.storage is None:
                raise CorruptError(f"record {row.seq} made a version without bytes")
            document = core.documents.load(row.seq, row.storage, row.content, body)
        check_conditions(wanted.conditions, document.etag, row.created)
        if wanted.part_number is not None:
            sizes = [size for _, _, size in core.plaintext.parts(row)] if document.parts else []
            first, last = resolve_part(wanted.part_number, sizes, row.size)
        else:
            first, last = resolve_range(wanted.range, row.size)
        pieces = core.plaintext.pieces(row, first, last, body)
        return _Opened(document, document.parts, first, last, next(pieces, b"") if data else b"", pieces)

    async def _body(
        self, caller: Caller, named: ObjectRef, committed: Committed, opened: _Opened
    ) -> AsyncGenerator[bytes, None]:
        """The pieces, some read ahead of the client. The first thing that it yields only says that it has begun."""
        pieces, some = opened.pieces, [opened.piece]
        left = opened.last - opened.first + 1
        ahead: Future[list[bytes]] | None = None

        def end(_: object = None) -> None:
            opened.pieces.close()
            committed.release()

        try:
            yield b""
            while (here := sum(map(len, some))) < left:
                if not here:
                    raise IntegrityError("what is stored is shorter than the record says")
                left -= here
                ahead = self._core.pool.submit(_read_ahead, pieces)
                while some:  # what was sent is free at once
                    yield some.pop(0)
                some = await asyncio.wrap_future(ahead)
            while len(some) > 1:
                yield some.pop(0)
        except BROKEN as error:
            await record_failure(self._core, caller, named, committed, "integrity")
            raise IntegrityError(f"the read of record {committed.head.seq} breaks off: {error}") from error
        except (GeneratorExit, asyncio.CancelledError):
            await record_failure(self._core, caller, named, committed, "aborted")
            raise
        finally:
            # A thread may be reading: the lease ends after it.
            if ahead is None or ahead.cancel():
                end()
            else:
                ahead.add_done_callback(end)
        if some and some[0]:
            yield some[0]  # the last one; it is in memory, and the lease has ended
