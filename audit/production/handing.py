"""A production that is kept, handed out: read from the bytes under lock, on behalf of whoever may have it.

That somebody is handed it was recorded before (``desk``); that the bytes were released, and which of them, is a record
of its own, like that of every read. Not handled here: HTTP.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from audit.own_objects import acting_for
from vault.service.reading import Wanted

if TYPE_CHECKING:
    from audit.production.keep import Asker, Kept
    from vault.service import Service
    from vault.service.context import ByteRange
    from vault.service.results import GetResult


class Archives:
    """Of one vault. For the event loop of its service.

    Args:
        service: The vault's.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

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
