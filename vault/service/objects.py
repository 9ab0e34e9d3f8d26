"""PutObject and DeleteObject, and the other operations on objects gathered.

Not handled here: receiving bytes (``intake``), reads (``reading``), listings (``pages``).
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from vault.errors import S3Error, Unavailable
from vault.record import ObjectRef, Request
from vault.service import foresight, limits
from vault.service.commit import reference
from vault.service.core import intent, shown_id
from vault.service.intake import commit_stored, receive
from vault.service.pages import Pages
from vault.service.reading import Reads
from vault.service.results import DeleteResult, PutResult
from vault.state.rows import VersionRow
from vault.times import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from vault.manifest import ContentDocument
    from vault.ports import Committed, Intent
    from vault.service.context import Caller, PutSpec
    from vault.service.core import Core


class Objects:
    """Operations on objects; reads and listings stand in :class:`Reads` and :class:`Pages`."""

    def __init__(self, core: Core) -> None:
        self._core = core
        reads, pages = Reads(core), Pages(core)
        self.get = reads.get
        self.head = reads.head
        self.list = pages.list
        self.list_v2 = pages.list_v2
        self.list_versions = pages.list_versions

    async def put(self, caller: Caller, spec: PutSpec, body: AsyncIterator[bytes]) -> PutResult:
        """PutObject.

        Args:
            caller: Who asks.
            spec: What is to be made.
            body: The decoded bytes. It may raise S3Error, which is recorded and raised again; where the client went
                away it must do so (IncompleteBody), or the operation has no record. Not read where the operation
                could not be allowed anyway.

        Raises:
            S3Error: Refused, and recorded.
            Unavailable: Nothing was written.
            OutcomeUnknown: The record's fate is not known.
            DurabilityError: A side file could not be made durable; nothing was written.
        """
        core, named = self._core, ObjectRef(spec.bucket, spec.key)
        asked = Request(http=caller.http)
        with ExitStack() as held:
            try:
                limits.check_length(spec.length)
                limits.check_metadata(spec.headers, spec.metadata)
                asked = Request(
                    mode=spec.lock.mode if spec.lock is not None else "",
                    until=foresight.canonical_until(spec.lock),
                    hold=spec.hold,
                    if_none_match=spec.if_none_match,
                    if_match=await foresight.ordinal(core, spec.bucket, spec.key, spec.if_match),
                    http=caller.http,
                )
                until = parse_rfc3339(asked.until) if asked.until else 0
                unstored = partial(intent, caller, "object.put", named, asked)
                domain = await foresight.domain(core, unstored, spec.bucket, until, caller.received, length=spec.length)
                held.callback(core.keyring.give_back, domain)
                stored = await receive(
                    core,
                    domain,
                    body,
                    length=spec.length,
                    checks=spec.checks,
                    headers=spec.headers,
                    metadata=spec.metadata,
                )
            except S3Error as refused:
                await core.commit(intent(caller, "object.put", named, asked, refused=refused))
                raise
            named = ObjectRef(spec.bucket, spec.key, size=spec.length, content=stored.content)
            made = intent(caller, "object.put", named, asked, storage=stored.storage, body=stored.body)
            committed = await commit_stored(core, made, stored)
            core.documents.remember(committed.position, stored.document)
        return put_result(core, spec.bucket, committed, stored.document)

    async def delete(
        self,
        caller: Caller,
        bucket: str,
        key: str,
        version_id: str = "",
        *,
        bypass: bool = False,
        bypass_sent: bool = False,
    ) -> DeleteResult:
        """DeleteObject.

        Args:
            caller: Who asks.
            bucket: The bucket.
            key: The key.
            version_id: The version to remove; empty to hide the key, or to remove it where nothing is versioned.
            bypass: Asks for the GOVERNANCE bypass.
            bypass_sent: The bypass header was there at all.

        Raises:
            S3Error: Refused, and recorded.
            Unavailable: Nothing was written.
            OutcomeUnknown: The record's fate is not known.
        """
        member = _deletion(caller, bucket, key, version_id, bypass=bypass, sent=bypass_sent)
        return self._deleted(bucket, version_id, await self._core.commit(member))

    async def delete_many(
        self,
        caller: Caller,
        bucket: str,
        members: Sequence[tuple[str, str]],
        *,
        bypass: bool = False,
        bypass_sent: bool = False,
    ) -> Sequence[DeleteResult | S3Error]:
        """DeleteObjects: each member is an operation of its own, with its own record.

        Args:
            caller: Who asks.
            bucket: The bucket.
            members: (key, version id or empty), decided in this order.
            bypass: As in :meth:`delete`.
            bypass_sent: As in :meth:`delete`.

        Returns:
            For each member its result, or why it was refused; ServiceUnavailable, without a record, where nothing was
            written for it.

        Raises:
            OutcomeUnknown: The fate of at least one record is not known.
        """
        intents = [
            _deletion(caller, bucket, key, version_id, bypass=bypass, sent=bypass_sent) for key, version_id in members
        ]
        results: list[DeleteResult | S3Error] = []
        for (_, version_id), outcome in zip(members, await self._core.commits.commit_all(intents), strict=True):
            if isinstance(outcome, Unavailable):
                results.append(S3Error("ServiceUnavailable"))
            else:
                results.append(outcome.error or self._deleted(bucket, version_id, outcome))
        return results

    def _deleted(self, bucket: str, version_id: str, committed: Committed) -> DeleteResult:
        row = committed.row
        if not isinstance(row, VersionRow):  # there was nothing to delete, which S3 calls done
            return DeleteResult(version_id, marker=False, record=reference(committed))
        shown = version_id or shown_id(self._core.bucket(bucket), row.version_id, null=row.null)
        return DeleteResult(shown, marker=row.marker, record=reference(committed))


def put_result(core: Core, bucket: str, committed: Committed, document: ContentDocument) -> PutResult:
    """What a version that was made is answered with."""
    row = committed.row
    if not isinstance(row, VersionRow):
        raise TypeError("the journal made a version and answered without it")
    return PutResult(
        shown_id(core.bucket(bucket), row.version_id, null=row.null),
        document.etag,
        document.checksum,
        reference(committed),
    )


def _deletion(caller: Caller, bucket: str, key: str, version_id: str, *, bypass: bool, sent: bool) -> Intent:
    asked = Request(bypass=bypass, bypass_sent=sent, http=caller.http)
    return intent(caller, "object.delete", ObjectRef(bucket, key, version_id), asked)
