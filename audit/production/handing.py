"""A production that is kept, handed out: read from the bytes under lock, on behalf of whoever may have it.

That somebody is handed it was recorded before (``desk``); that the bytes were released, and which of them, is a record
of its own, like that of every read. Not handled here: HTTP.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
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

    def admit(self) -> None:
        """Whether one more may be encrypted.

        Raises:
            TooManyEncrypted: Not now.
        """
        if self._encrypting >= MAX_ENCRYPTED:
            raise TooManyEncrypted(f"{MAX_ENCRYPTED} archives are being encrypted; come again, or take it as it is")

    async def encrypted(
        self, body: AsyncGenerator[bytes, None], to: Sequence[Recipient]
    ) -> AsyncGenerator[bytes, None]:
        """An archive's bytes, encrypted as they are read; see :func:`audit.production.container.encrypted`."""
        self._encrypting += 1
        pieces = encrypted(body, to, self._pool)
        try:
            async for piece in pieces:
                yield piece
        finally:
            self._encrypting -= 1
            await pieces.aclose()
