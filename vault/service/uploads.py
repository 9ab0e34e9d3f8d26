"""Multipart uploads: begun, filled, listed, given up. Lock, headers and metadata are fixed when one is begun.

Not handled here: completing one (``vault.service.completion``).
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from vault.checksums import find_algorithm, multipart_type
from vault.errors import CorruptError, S3Error
from vault.manifest import VERSION, Checksum, ContentDocument
from vault.record import ObjectRef, Request
from vault.service import foresight, limits
from vault.service.commit import reference
from vault.service.completion import Completion, require_algorithm, upload_row
from vault.service.core import intent
from vault.service.failures import released
from vault.service.intake import commit_stored, receive
from vault.service.limits import MAX_KEYS
from vault.service.listing import Query, list_uploads
from vault.service.results import (
    Done,
    ListedPart,
    ListedUpload,
    PartResult,
    PartsPage,
    UploadResult,
    UploadsPage,
)
from vault.service.sealing import Sealer, new_salt
from vault.state import lookup
from vault.state.rows import UploadRow
from vault.times import parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from vault.service.context import BodyCheck, Caller, UploadSpec
    from vault.service.core import Core


class Uploads:
    """Each method raises S3Error where it is refused and recorded, Unavailable, or OutcomeUnknown.

    Those that store raise DurabilityError too, and those that list IntegrityError.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.complete = Completion(core).complete

    async def create(self, caller: Caller, spec: UploadSpec) -> UploadResult:
        """CreateMultipartUpload."""
        core, op = self._core, "multipart.create"
        # The time first, so that uploads of one key are listed in the order in which they were begun.
        upload_id = f"{caller.received:016x}{os.urandom(8).hex()}"
        named, asked = ObjectRef(spec.bucket, spec.key, upload_id=upload_id), Request(http=caller.http)
        with ExitStack() as held:
            try:
                limits.check_metadata(spec.headers, spec.metadata)
                checksum = None
                if spec.algorithm:
                    algorithm = find_algorithm(spec.algorithm)
                    checksum = Checksum(algorithm.name, multipart_type(algorithm, spec.checksum_type or None).value)
                mode, until = spec.lock.mode if spec.lock is not None else "", foresight.canonical_until(spec.lock)
                asked = Request(mode=mode, until=until, hold=spec.hold, http=caller.http)
                ends = parse_rfc3339(until) if until else 0
                unstored = partial(intent, caller, op, named, asked)
                domain = await foresight.domain(core, unstored, spec.bucket, ends, caller.received)
                held.callback(core.keyring.give_back, domain)
            except S3Error as refused:
                await core.commit(intent(caller, op, named, asked, refused=refused))
                raise
            document = ContentDocument(
                v=VERSION,
                salt=new_salt(),
                size=0,
                etag="",
                checksum=checksum,
                headers=spec.headers,
                metadata=spec.metadata,
            )
            stored = Sealer(domain).logged(document)
            named = ObjectRef(spec.bucket, spec.key, upload_id=upload_id, content=stored.content)
            committed = await core.commit(intent(caller, op, named, asked, storage=stored.storage, body=stored.body))
            core.documents.remember(committed.position, document)
        kind = (checksum.algorithm, checksum.type) if checksum is not None else ("", "")
        return UploadResult(upload_id, *kind, reference(committed))

    async def part(  # noqa: PLR0917 - S3's parameters
        self,
        caller: Caller,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        length: int,
        checks: BodyCheck,
        body: AsyncIterator[bytes],
    ) -> PartResult:
        """UploadPart; a later part of the same number takes this one's place. ``body`` as in ``Objects.put``."""
        core, op = self._core, "multipart.part"
        named = ObjectRef(bucket, key, upload_id=upload_id, part=number)
        with ExitStack() as held:
            try:
                limits.check_length(length)
                unstored = partial(intent, caller, op, named)
                upload = upload_row(core, unstored, named, caller.received)
                begun = await core.document(upload.seq, upload.storage, upload.content)
                domain = await foresight.domain(core, unstored, bucket, upload.until, caller.received, length=length)
                held.callback(core.keyring.give_back, domain)
                stored = await receive(
                    core,
                    domain,
                    body,
                    length=length,
                    checks=checks,
                    accept=lambda document: require_algorithm(begun.checksum, document.checksum),
                )
            except S3Error as refused:
                await core.commit(intent(caller, op, named, refused=refused))
                raise
            named = ObjectRef(bucket, key, upload_id=upload_id, part=number, size=length, content=stored.content)
            made = intent(caller, op, named, storage=stored.storage, body=stored.body)
            committed = await commit_stored(core, made, stored)
            core.documents.remember(committed.position, stored.document)
        return PartResult(stored.document.etag, stored.document.checksum, reference(committed))

    async def abort(self, caller: Caller, bucket: str, key: str, upload_id: str) -> Done:
        """AbortMultipartUpload."""
        named = ObjectRef(bucket, key, upload_id=upload_id)
        return Done(reference(await self._core.commit(intent(caller, "multipart.abort", named))))

    async def list(  # noqa: PLR0917 - S3's parameters
        self,
        caller: Caller,
        bucket: str,
        prefix: str,
        delimiter: str,
        key_marker: str,
        upload_marker: str,
        max_uploads: int,
    ) -> UploadsPage:
        """ListMultipartUploads: goes on after all uploads of ``key_marker``, or after its ``upload_marker``."""
        core, named = self._core, ObjectRef(bucket, prefix=prefix)
        committed = await core.commit(intent(caller, "multipart.list", named))

        def page() -> UploadsPage:
            query = Query(bucket, prefix, delimiter, key_marker, min(max_uploads, MAX_KEYS))
            found = list_uploads(core.state, query, upload_marker if key_marker else "")
            uploads = []
            for _, row in found.entries:
                try:
                    checksum = core.documents.load(row.seq, row.storage, row.content).checksum
                except CorruptError:
                    if isinstance(core.upload(row.bucket, row.key, row.upload_id), UploadRow):
                        raise
                    continue  # aborted and erased since it was found
                uploads.append(ListedUpload(row, *(checksum.algorithm, checksum.type) if checksum else ("", "")))
            ends_in_upload = bool(found.entries) and found.entries[-1][0] == found.last
            return UploadsPage(
                uploads,
                found.prefixes,
                found.truncated,
                found.last if found.truncated else "",
                found.entries[-1][1].upload_id if found.truncated and ends_in_upload else "",
                reference(committed),
            )

        return await released(core, caller, named, committed, page)

    async def parts(  # noqa: PLR0917 - S3's parameters
        self, caller: Caller, bucket: str, key: str, upload_id: str, number_marker: int, max_parts: int
    ) -> PartsPage:
        """ListParts: goes on after part ``number_marker``."""
        core = self._core
        named = ObjectRef(bucket, key, upload_id=upload_id)
        committed = await core.commit(intent(caller, "multipart.parts", named))
        upload = committed.row
        if not isinstance(upload, UploadRow):
            raise TypeError("the journal answered a listing of parts without the upload")

        def page() -> PartsPage:
            size = max(min(max_parts, MAX_KEYS), 0)
            after = (row for row in lookup.parts(core.state, upload_id) if row.number > number_marker)
            rows = list(islice(after, size + 1)) if size else []
            checksum = core.documents.load(upload.seq, upload.storage, upload.content).checksum
            parts = [ListedPart(row, core.documents.load(row.seq, row.storage, row.content)) for row in rows[:size]]
            return PartsPage(
                upload,
                parts,
                *(checksum.algorithm, checksum.type) if checksum else ("", ""),
                truncated=len(rows) > size,
                next_number=parts[-1].row.number if parts else number_marker,
                record=reference(committed),
            )

        return await released(core, caller, named, committed, page)
