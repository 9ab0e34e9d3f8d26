"""An archive on its way in: received and verified as a whole, decoded, and looked at, before anything is made of it.

Up to 8 MiB stay in memory; what is larger goes to a spool, encrypted and nameless (``vault.storage.spool``). So a
request holds some 8 MiB of bytes, and its list of members.

Not handled here: what becomes of the members (``vault.service.extraction``).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vault.archive.coding import coding, decode
from vault.archive.contents import read_contents
from vault.errors import S3Error
from vault.service import intake
from vault.service.limits import MAX_PUT_BYTES, check_metadata
from vault.storage.spool import MEMORY_BYTES, Spool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from contextlib import AsyncExitStack

    from vault.archive.contents import Member, Source
    from vault.service.context import ExtractSpec
    from vault.service.core import Core

#: An archive once it is decoded, in bytes.
MAX_ARCHIVE_BYTES: Final = MAX_PUT_BYTES
#: One member, in bytes: what one PUT may bring.
MAX_MEMBER_BYTES: Final = MAX_PUT_BYTES

_NO_FIELDS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Held:
    """An archive in memory, as :class:`vault.archive.contents.Source`."""

    data: bytes

    @property
    def size(self) -> int:
        """Bytes of it."""
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        """These bytes."""
        return self.data[offset : offset + length]


async def receive(core: Core, spec: ExtractSpec, body: AsyncIterator[bytes], held: AsyncExitStack) -> Source:
    """Receive an archive to its end, and verify all that was claimed of it.

    Args:
        core: Threads and the spool.
        spec: What was claimed.
        body: The decoded bytes; as in :func:`vault.service.intake.receive`.
        held: Gives the archive's memory and file back.

    Raises:
        S3Error: The body is not what was claimed, or not as long.
        Unavailable: There is no room for it.
    """
    digests = spec.checks.digests
    digest = [digests.update_others, *([digests.update_md5] if spec.needs_md5 else ())]
    source: Held | Spool
    if spec.length <= MEMORY_BYTES:
        source = Held(await intake.gather(body, spec.length))
        await asyncio.gather(*(core.run(update, source.data) for update in digest))
    else:
        spool = source = held.enter_context(core.blobs.spool(spec.length))
        await intake.take(core, intake.pieces(body, spec.length), digest, lambda piece, _: spool.write(piece))
    spec.checks.verify()
    return source


def unpack(core: Core, spec: ExtractSpec, source: Source, held: AsyncExitStack) -> tuple[Source, list[Member]]:
    """Decode an archive and read its headers, all of them; for a worker thread.

    Args:
        core: The spool.
        spec: What is asked for.
        source: As it was received.
        held: Gives memory and file of what it was decoded to back.

    Returns:
        The archive, plain, and its members: good ones, and with ``spec.tolerant`` bad ones with their error.

    Raises:
        S3Error: The archive is refused.
        Unavailable: There is no room for it.
        IntegrityError: The disk does not give back what was spooled.
    """
    kind = coding(source.read(0, min(16, source.size)))
    if kind:
        plain = held.enter_context(core.blobs.spool())
        decode(source, kind, MAX_ARCHIVE_BYTES, plain.write)
        source = Held(plain.read(0, plain.size)) if plain.size <= MEMORY_BYTES else plain
    members = read_contents(source, prefix=spec.prefix, max_size=MAX_MEMBER_BYTES, tolerant=spec.tolerant)
    plain_headers, plain_metadata = spec.described(_NO_FIELDS)
    check_metadata(plain_headers, plain_metadata)
    for number, member in enumerate(members):
        if member.fields and member.error is None:
            try:
                check_metadata(*spec.described(member.fields))
            except S3Error as error:
                error.fields["Member"] = member.key
                if not spec.tolerant:
                    raise
                members[number] = member._replace(error=error)
    return source, members
