"""PUT of an archive: every member becomes an object version of its own, with its own record (batch put).

1. The archive is received and verified like any body: signature, framing, checksums, length.
2. It is decoded and every header of it is looked at. Until here nothing was committed; a refusal is one record, of
   ``object.put`` with the key that the request named.
3. Its members are committed in order, in groups of at most :data:`GROUP_BYTES`, each group durable as a whole or not at
   all: a crash leaves the members up to some point, each with its bytes and its record, and nothing of the others.
   While one group is being written the next is encrypted. Each member is decided on its own: strict buckets,
   preconditions, locks, the bucket's default.
4. The answer tells what became of every member, once all of it is durable.

Records of one archive name the same request (``origin.request_id``, ``request.http``); no other field is needed.

A member too large for the commit log is staged as a blob, as a PUT of it would be, in its turn.

Not handled here: the archive itself (``vault.archive``), XML (``vault.s3.extract``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from vault.checksums import BodyDigests
from vault.errors import IntegrityError, S3Error, Unavailable
from vault.record import ObjectRef, Request
from vault.service import foresight, intake, limits, unpacking
from vault.service.core import intent
from vault.service.intake import PIECE_BYTES, commit_stored
from vault.service.objects import put_result
from vault.service.packing import Alike, pack
from vault.service.results import Extracted
from vault.service.sealing import INLINE_BYTES
from vault.times import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from vault.archive.contents import Member, Source
    from vault.service.context import Caller, ExtractSpec
    from vault.service.core import Core
    from vault.service.packing import Packed
    from vault.service.sealing import Stored

    _Commit = asyncio.Task[list[Extracted]]

#: What members of one group may take of the commit log, in bytes; a quarter of what a group can have, if that is less.
GROUP_BYTES: Final = 4 * 1024 * 1024
#: Members of one group.
GROUP_MEMBERS: Final = 512
#: What a record with its head and frame takes beside the key, and what the body adds to the plaintext, in bytes. With
#: the longest metadata and agents it comes to less than four times as much.
_RECORD_BYTES: Final = 6 * 1024
#: Bytes of the archive from the first to the last member of one group: what is read at once.
_SPAN_BYTES: Final = 4 * 1024 * 1024
#: Groups of one archive on their way at a time: one being written, one waiting, while another is encrypted.
_AHEAD: Final = 2
#: Archives that are being unpacked and committed at a time; their lists of members are what takes memory.
_ARCHIVES: Final = 4


class _Unclaimed:
    """The check of a large member: nothing was claimed of it apart from the archive, which is verified."""

    def __init__(self) -> None:
        self.digests = BodyDigests()

    def verify(self) -> None:
        """Nothing to compare with."""


class Extraction:
    """Takes archives; for one event loop."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._turns = asyncio.Semaphore(_ARCHIVES)

    async def put(self, caller: Caller, spec: ExtractSpec, body: AsyncIterator[bytes]) -> list[Extracted]:
        """Make every member of an archive an object.

        Args:
            caller: Who asks.
            spec: What is asked for.
            body: The archive's bytes as sent, as in :meth:`vault.service.objects.Objects.put`.

        Returns:
            What became of each member, in the archive's order; durable.

        Raises:
            S3Error: The archive was refused, and that recorded; no member of it was committed.
            Unavailable: Nothing was written, of any member.
            OutcomeUnknown: The fate of at least one record is not known; the members before it are durable.
            DurabilityError: A side file could not be made durable; the members before it are durable.
            IntegrityError: The disk does not give back what was spooled; the members before it are durable.
        """
        core, asked = self._core, Request(http=caller.http)
        async with AsyncExitStack() as held:
            try:
                limits.check_length(spec.length)
                asked = Request(
                    mode=spec.lock.mode if spec.lock is not None else "",
                    until=foresight.canonical_until(spec.lock),
                    hold=spec.hold,
                    if_none_match=spec.if_none_match,
                    http=caller.http,
                )
                unstored = intent(
                    caller, "object.put", ObjectRef(spec.bucket), asked
                )  # of no key: what refuses all alike
                refused = foresight.refusal(core, unstored, caller.received)
                if refused is not None:
                    raise refused
                source = await unpacking.receive(core, spec, body, held)
                until = parse_rfc3339(asked.until) if asked.until else 0
                domain = await foresight.domain(core, lambda: unstored, spec.bucket, until, caller.received)
                held.callback(core.keyring.give_back, domain)
                await held.enter_async_context(self._turns)
                try:
                    source, members = await core.run(unpacking.unpack, core, spec, source, held)
                except IntegrityError as error:
                    raise S3Error("InternalError", reason="integrity") from error
            except S3Error as refusal:
                await core.commit(
                    intent(caller, "object.put", ObjectRef(spec.bucket, spec.key), asked, refused=refusal)
                )
                raise
            alike = Alike(caller, spec.bucket, asked, domain, spec.described)
            return await self._store(alike, source, members)

    async def _store(self, alike: Alike, source: Source, members: Sequence[Member]) -> list[Extracted]:
        """Commit members in order. The first that cannot be written for want of room ends it, and is told."""
        results: list[Extracted] = []
        under_way: deque[tuple[_Commit, Sequence[Member]]] = deque()
        failed: Unavailable | None = None

        async def settle() -> None:
            nonlocal failed
            commit, group = under_way.popleft()
            try:
                results.extend(await commit)
            except Unavailable as error:
                failed = error
                results.extend(map(_unwritten, group))

        begun = 0
        try:
            for group in grouped(members, min(GROUP_BYTES, self._core.commits.max_payload // 4)):
                begun += len(group)
                under_way.append((await self._begin(alike, source, group), group))
                while len(under_way) > _AHEAD:
                    await settle()
                if failed is not None:
                    break
            while under_way:
                await settle()
        finally:  # what was submitted is answered before its domain key is given back
            await asyncio.gather(*(commit for commit, _ in under_way), return_exceptions=True)
        if failed is not None and not any(result.record for result in results):
            raise failed
        return [*results, *map(_unwritten, members[begun:])]

    async def _begin(self, alike: Alike, source: Source, group: Sequence[Member]) -> _Commit:
        """Make a group ready and have it decided after everything begun before: tasks begin in the order made."""
        if not _large(group[0]):
            return asyncio.create_task(self._committed(alike.bucket, await self._core.run(pack, alike, source, group)))
        try:
            stored = await self._staged(alike, source, group[0])
        except Unavailable as error:
            return asyncio.create_task(_fail(error))
        return asyncio.create_task(self._alone(alike, group[0], stored))

    async def _committed(self, bucket: str, packed: Packed) -> list[Extracted]:
        """Have a group decided and recorded."""
        committed = await self._core.commit(packed.intent)
        row = self._core.bucket(bucket)
        stream, versioned = committed.head.stream, row is not None and bool(row.versioning)
        made: list[Extracted] = []
        for member, etag, outcome in zip(packed.members, packed.etags, committed.members, strict=True):
            if isinstance(outcome, Unavailable):
                made.append(_unwritten(member))
                continue
            record = f"{stream}/{outcome.seq}/{outcome.leaf.hex()}"  # as `reference` has it
            if outcome.error is not None:
                made.append(Extracted(member.key, record=record, error=outcome.error))
                continue
            version_id = "" if not versioned else "null" if outcome.null else outcome.version_id
            made.append(Extracted(member.key, member.size, version_id, etag, record))
        return made

    async def _staged(self, alike: Alike, source: Source, member: Member) -> Stored:
        """Encrypt a large member into a blob, durable on return."""
        headers, metadata = alike.described(member.fields or {})
        return await intake.receive(
            self._core,
            alike.domain,
            self._pieces(source, member),
            length=member.size,
            checks=_Unclaimed(),
            headers=headers,
            metadata=metadata,
        )

    async def _pieces(self, source: Source, member: Member) -> AsyncIterator[bytes]:
        for start in range(0, member.size, PIECE_BYTES):
            yield await self._core.run(source.read, member.offset + start, min(PIECE_BYTES, member.size - start))

    async def _alone(self, alike: Alike, member: Member, stored: Stored) -> list[Extracted]:
        """Have a large member decided and recorded."""
        named = ObjectRef(alike.bucket, member.key, size=member.size, content=stored.content)
        made = intent(alike.caller, "object.put", named, alike.asked, storage=stored.storage, body=stored.body)
        try:
            committed = await commit_stored(self._core, made, stored)
        except S3Error as error:
            return [Extracted(member.key, record=error.record, error=error)]
        result = put_result(self._core, alike.bucket, committed, stored.document)
        return [Extracted(member.key, member.size, result.version_id, result.etag, result.record)]


def grouped(members: Sequence[Member], limit: int) -> Iterator[Sequence[Member]]:
    """Cut the members of an archive into groups, in order; a large one stands alone.

    Args:
        members: All of them.
        limit: The most that the records and bodies of a group may take, in bytes; more than any small member does.
    """
    first = taken = 0
    start = -1  # of the bytes of the group's first good member
    for number, member in enumerate(members):
        need = _RECORD_BYTES + len(member.key) * 4 + (member.size if member.error is None else 0)
        large = _large(member)
        begin = start if start >= 0 else member.offset
        full = (
            number - first >= GROUP_MEMBERS or taken + need > limit or member.offset + member.size - begin > _SPAN_BYTES
        )
        if number > first and (full or large):
            yield members[first:number]
            first, taken, start = number, 0, -1
        if large:
            yield members[number : number + 1]
            first = number + 1
            continue
        taken += need
        if start < 0 and member.error is None:
            start = member.offset
    if first < len(members):
        yield members[first:]


def _large(member: Member) -> bool:
    return member.error is None and member.size > INLINE_BYTES


def _unwritten(member: Member) -> Extracted:
    return Extracted(member.key, error=S3Error("ServiceUnavailable"))


async def _fail(error: Unavailable) -> list[Extracted]:
    raise error
