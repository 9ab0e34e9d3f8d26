"""A production that is kept, handed out: read from the bytes under lock, on behalf of whoever may have it.

That somebody is handed it was recorded before (``desk``); that the bytes were released, and which of them, is a record
of its own, like that of every read. Not handled here: HTTP.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from audit.errors import AuditError
from audit.own_objects import acting_for
from audit.production.container import encrypted
from vault.service.reading import Wanted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from audit.production.container import Recipient
    from audit.production.keep import Asker, Kept
    from vault.service import Service
    from vault.service.context import ByteRange
    from vault.service.results import GetResult


#: Archives that are encrypted at one time: each takes a thread for as long as somebody reads it.
MAX_ENCRYPTED: Final = 4


class TooManyEncrypted(AuditError):
    """As many archives are being encrypted as may be at one time."""

    code = "too-many-encrypted"
    status = 503
    retryable = True


class Archives:
    """Of one vault. For the event loop of its service.

    Args:
        service: The vault's.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._pool = ThreadPoolExecutor(MAX_ENCRYPTED, "encrypt")
        self._encrypting = 0

    async def get(self, asker: Asker, kept: Kept, span: ByteRange | None, *, data: bool) -> GetResult:
        """Open an archive.

        Args:
            asker: On behalf of whom.
            kept: Which.
            span: Bytes asked for; None for all.
            data: False for what is known of it alone.

        Returns:
            Its ``body`` is to be exhausted or closed.

        Raises:
            S3Error: There are no such bytes, or it is not there any more; recorded.
            IntegrityError: What is stored does not authenticate; recorded.
            Unavailable: The read could not be recorded.
            OutcomeUnknown: The record's fate is not known.
        """
        caller = acting_for(asker.actor, asker.origin, asker.http, time.time_ns())
        wanted = Wanted(bucket=kept.bucket, key=kept.key, version_id=kept.version_id, range=span)
        reading = self._service.objects.get if data else self._service.objects.head
        return await reading(caller, wanted)

    async def encrypted(self, asker: Asker, kept: Kept, to: Sequence[Recipient]) -> AsyncGenerator[bytes, None]:
        """Open an archive, to be encrypted as it is read; see :func:`audit.production.container.encrypted`.

        Args:
            asker: On behalf of whom.
            kept: Which.
            to: At least one.

        Returns:
            To be exhausted or closed: until then it is one of :data:`MAX_ENCRYPTED`.

        Raises:
            TooManyEncrypted: Not now; nothing was read.
            Exception: As :meth:`get`.
        """
        body = self._encrypted(asker, kept, to)
        await anext(body)
        return body

    async def _encrypted(self, asker: Asker, kept: Kept, to: Sequence[Recipient]) -> AsyncGenerator[bytes, None]:
        """It counts from before the read is recorded. The first thing that it yields only says that it has begun."""
        if self._encrypting >= MAX_ENCRYPTED:
            raise TooManyEncrypted(f"{MAX_ENCRYPTED} archives are being encrypted; come again, or take it as it is")
        self._encrypting += 1
        try:
            got = await self.get(asker, kept, None, data=True)
            if got.body is None:
                raise TypeError("an archive was read without its bytes")
            async with aclosing(got.body), aclosing(encrypted(got.body, to, self._pool)) as pieces:
                yield b""
                async for piece in pieces:
                    yield piece
        finally:
            self._encrypting -= 1
