"""ListObjects in both versions and ListObjectVersions: recorded, then read from the durable view in a thread.

Not handled here: the engine (``vault.service.listing``), and how names are written (``vault.s3``).
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from vault.errors import CorruptError, S3Error
from vault.record import ObjectRef
from vault.service.commit import reference
from vault.service.core import intent, shown_id
from vault.service.failures import released
from vault.service.limits import MAX_KEYS
from vault.service.listing import Query, Slice, list_objects, list_versions
from vault.service.results import ListedVersion, Page
from vault.state import lookup, rows
from vault.state.rows import BucketRow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vault.ports import Committed
    from vault.service.context import Caller
    from vault.service.core import Core
    from vault.state.rows import VersionRow


class Pages:
    """Each method raises S3Error where it is refused, Unavailable, OutcomeUnknown, or IntegrityError.

    ``max_keys`` counts entries and common prefixes together, at most :data:`~vault.service.limits.MAX_KEYS`.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def list(  # noqa: PLR0917 - S3's parameters
        self, caller: Caller, bucket: str, prefix: str, delimiter: str, marker: str, max_keys: int
    ) -> Page:
        """ListObjects: goes on after the name ``marker``."""
        return await self._objects(caller, Query(bucket, prefix, delimiter, marker, min(max_keys, MAX_KEYS)))

    async def list_v2(  # noqa: PLR0917 - S3's parameters
        self, caller: Caller, bucket: str, prefix: str, delimiter: str, start_after: str, token: str, max_keys: int
    ) -> Page:
        """ListObjectsV2: goes on where ``token`` says, else after the name ``start_after``."""
        try:
            after = _read_token(token) if token else start_after
        except S3Error as refused:
            named = ObjectRef(bucket, prefix=prefix)
            await self._core.commit(intent(caller, "object.list", named, refused=refused))
            raise
        return await self._objects(caller, Query(bucket, prefix, delimiter, after, min(max_keys, MAX_KEYS)))

    async def list_versions(  # noqa: PLR0917 - S3's parameters
        self,
        caller: Caller,
        bucket: str,
        prefix: str,
        delimiter: str,
        key_marker: str,
        version_marker: str,
        max_keys: int,
    ) -> Page:
        """ListObjectVersions: goes on after all versions of ``key_marker``, or after its ``version_marker``."""
        core = self._core
        query = Query(bucket, prefix, delimiter, key_marker, min(max_keys, MAX_KEYS))
        refused = None
        if version_marker not in {"", "null"} and not rows.ordinal_of(version_marker):
            refused = S3Error("InvalidArgument", "Invalid version id specified", ArgumentName="version-id-marker")
        named = ObjectRef(bucket, prefix=prefix)
        committed = await core.commit(intent(caller, "object.versions", named, refused=refused))

        def page() -> Page:
            found = list_versions(core.state, query, version_marker)
            row = _bucket(committed)
            entries = _listed(core, row, ((name, version, latest) for name, (version, latest) in found.entries))
            last = found.entries[-1] if found.entries and found.entries[-1][0] == found.last else None
            following = (shown_id(row, last[1][0].version_id, null=last[1][0].null) or "null") if last else ""
            return _page(row, found, entries, committed, following)

        return await released(core, caller, named, committed, page)

    async def _objects(self, caller: Caller, query: Query) -> Page:
        core = self._core
        named = ObjectRef(query.bucket, prefix=query.prefix)
        committed = await core.commit(intent(caller, "object.list", named))

        def page() -> Page:
            found = list_objects(core.state, query)
            row = _bucket(committed)
            entries = _listed(core, row, ((name, version, True) for name, version in found.entries))
            return _page(row, found, entries, committed)

        return await released(core, caller, named, committed, page)


def _listed(core: Core, bucket: BucketRow, found: Iterable[tuple[str, VersionRow, bool]]) -> list[ListedVersion]:
    """What is shown of versions; one whose bytes were erased since it was found is left out."""
    entries = []
    for name, row, latest in found:
        document = None
        if row.storage is not None:
            try:
                document = core.documents.load(row.seq, row.storage, row.content)
            except CorruptError:
                if lookup.version_by_ordinal(core.state, bucket.name, name, row.ordinal) is None:
                    continue
                raise
        shown = shown_id(bucket, row.version_id, null=row.null)
        entries.append(ListedVersion(name, row, shown, document, latest))
    return entries


def _bucket(committed: Committed) -> BucketRow:
    if not isinstance(committed.row, BucketRow):
        raise TypeError("the journal answered a listing without a bucket")
    return committed.row


def _page(
    bucket: BucketRow,
    found: Slice[VersionRow] | Slice[tuple[VersionRow, bool]],
    entries: list[ListedVersion],
    committed: Committed,
    next_version: str = "",
) -> Page:
    return Page(
        bucket=bucket,
        entries=entries,
        prefixes=found.prefixes,
        truncated=found.truncated,
        next_token=_token(found.last) if found.truncated else "",
        next_marker=found.last if found.truncated else "",
        next_version=next_version if found.truncated else "",
        record=reference(committed),
    )


def _token(name: str) -> str:
    """An opaque continuation token: where to go on."""
    return base64.urlsafe_b64encode(name.encode()).decode()


def _read_token(token: str) -> str:
    """Read a continuation token.

    Raises:
        S3Error: InvalidArgument where it is none of ours.
    """
    try:
        return base64.b64decode(token, b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise S3Error(
            "InvalidArgument", "The continuation token provided is incorrect", ArgumentName="continuation-token"
        ) from error
