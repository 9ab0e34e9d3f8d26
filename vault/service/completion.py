"""CompleteMultipartUpload: the parts that a client names become one object.

ETags and checksums of parts are sealed: here each named part is resolved to the record that stored it, and the
committer checks that this is still the latest part of its number. No byte of data is read or moved.

Not handled here: reading such an object (``vault.service.plaintext``).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from hashlib import md5
from itertools import islice, pairwise
from typing import TYPE_CHECKING, Final

from vault.checksums import ChecksumType, find_algorithm, multipart_checksum, parse_checksum
from vault.errors import CorruptError, IntegrityError, KeyringError, S3Error
from vault.manifest import VERSION, Checksum, ContentDocument
from vault.record import ObjectRef, Request
from vault.service import foresight, limits
from vault.service.core import intent, shown_id
from vault.service.objects import put_result
from vault.service.plaintext import encode_parts
from vault.service.results import PutResult
from vault.service.sealing import Sealer, new_salt
from vault.state import lookup, rows
from vault.state.rows import PartRow, UploadRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vault.ports import Intent
    from vault.service.context import Caller, CompletedPart
    from vault.service.core import Core
    from vault.service.plaintext import Part

#: Newest versions of a key among which one is sought that an upload became.
_RECENT: Final = 100


class Completion:
    """Completes uploads."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def complete(
        self,
        caller: Caller,
        bucket: str,
        key: str,
        upload_id: str,
        named_parts: Sequence[CompletedPart],
        *,
        if_none_match: bool = False,
        if_match: str = "",
        checksum: tuple[str, str] | None = None,
        checksum_type: str = "",
        size: int | None = None,
    ) -> PutResult:
        """CompleteMultipartUpload.

        Args:
            caller: Who asks.
            bucket: The bucket.
            key: The key.
            upload_id: The upload. One that was completed already is no upload any more: NoSuchUpload. Where it was
                completed from just these parts the answer may have been lost: the record says so, and the answer is
                given again for as long as the version is there.
            named_parts: In ascending order of their numbers.
            if_none_match: The key must have no current version.
            if_match: ETag that the current version must have; empty for any.
            checksum: What the client claims of the whole object: algorithm and value.
            checksum_type: COMPOSITE or FULL_OBJECT where the client names it.
            size: Bytes that the client takes the object to have; None where it does not say.

        Raises:
            S3Error: Refused, and recorded.
            Unavailable: Nothing was written.
            OutcomeUnknown: The record's fate is not known.
        """
        core, op = self._core, "multipart.complete"
        named, asked = ObjectRef(bucket, key, upload_id=upload_id), Request(http=caller.http)

        async def again(refused: S3Error) -> PutResult | None:
            if refused.s3_code != "NoSuchUpload":
                return None
            return await core.run(self._completed, named, named_parts, checksum, checksum_type, size)

        with ExitStack() as held:
            try:
                upload = upload_row(core, partial(intent, caller, op, named, asked), named, caller.received)
                parts, document = await core.run(self._join, upload, named_parts, checksum, checksum_type)
                if size is not None and size != document.size:
                    raise _other_size(size, document.size)
                asked = Request(
                    if_none_match=if_none_match,
                    if_match=await foresight.ordinal(core, bucket, key, if_match),
                    http=caller.http,
                )
                resolved = [(number, position) for number, position, _ in parts]
                unstored = partial(intent, caller, op, named, asked, parts=resolved)
                domain = await foresight.domain(core, unstored, bucket, upload.until, caller.received)
                held.callback(core.keyring.give_back, domain)
            except S3Error as refused:
                before = await again(refused)
                if before is not None:
                    refused.reason = "completed_before"
                try:
                    await core.commit(intent(caller, op, named, asked, refused=refused))
                except S3Error as recorded:
                    if before is not None and recorded is refused:
                        return replace(before, record=recorded.record)
                    raise
                raise
            listed = [(number, core.documents.seq_of(position), size) for number, position, size in parts]
            stored = Sealer(domain).of_parts(document, encode_parts(listed))
            named = ObjectRef(bucket, key, upload_id=upload_id, size=document.size, content=stored.content)
            try:
                committed = await core.commit(
                    intent(caller, op, named, asked, storage=stored.storage, body=stored.body, parts=resolved)
                )
            except S3Error as refused:  # the same request may have been decided while this one was on its way
                before = await again(refused)
                if before is None:
                    raise
                return replace(before, record=refused.record)
            core.documents.remember(committed.position, document)
        return put_result(core, bucket, committed, document)

    def _completed(
        self,
        named: ObjectRef,
        parts: Sequence[CompletedPart],
        claimed: tuple[str, str] | None,
        claimed_type: str,
        size: int | None,
    ) -> PutResult | None:
        """What came of an upload that was completed from just these parts, if every claim holds; in a thread."""
        core = self._core
        for row in islice(lookup.versions(core.state, named.bucket, named.key), _RECENT):
            if row.upload != named.upload_id or row.storage is None:
                continue
            try:
                document = core.documents.load(row.seq, row.storage, row.content)
                _, found = self._resolve(named.upload_id, parts, document.checksum)
                whole = _whole_checksum(document.checksum, found, claimed, claimed_type)
            except (S3Error, CorruptError, IntegrityError, KeyringError):  # other parts, or erased meanwhile
                return None
            if (_etag(found), whole) != (document.etag, document.checksum) or size not in {None, document.size}:
                return None
            shown = shown_id(core.bucket(named.bucket), row.version_id, null=row.null)
            return PutResult(shown, document.etag, document.checksum, "")
        return None

    def _join(
        self,
        upload: UploadRow,
        named: Sequence[CompletedPart],
        claimed: tuple[str, str] | None,
        claimed_type: str,
    ) -> tuple[list[Part], ContentDocument]:
        """Resolve the parts and write the content document of the whole; in a thread."""
        documents = self._core.documents
        try:
            begun = documents.load(upload.seq, upload.storage, upload.content)
            parts, found = self._resolve(upload.upload_id, named, begun.checksum)
        except (CorruptError, IntegrityError, KeyringError) as error:
            if self._core.upload(upload.bucket, upload.key, upload.upload_id) is None:  # aborted meanwhile
                raise S3Error("NoSuchUpload", UploadId=upload.upload_id) from error
            raise S3Error("InternalError", reason="integrity") from error
        size = sum(part[2] for part in parts)
        if size > limits.MAX_OBJECT_BYTES:
            raise S3Error("EntityTooLarge", ProposedSize=str(size), MaxSizeAllowed=str(limits.MAX_OBJECT_BYTES))
        whole = ContentDocument(
            v=VERSION,
            salt=new_salt(),
            size=size,
            etag=_etag(found),
            checksum=_whole_checksum(begun.checksum, found, claimed, claimed_type),
            headers=begun.headers,
            metadata=begun.metadata,
            parts=len(parts),
        )
        return parts, whole

    def _resolve(
        self, upload_id: str, named: Sequence[CompletedPart], kind: Checksum | None
    ) -> tuple[list[Part], list[ContentDocument]]:
        if not named:
            raise S3Error("MalformedXML")
        if any(later.number <= earlier.number for earlier, later in pairwise(named)):
            raise S3Error("InvalidPartOrder")
        parts: list[Part] = []
        found = []
        for place, wanted in enumerate(named):
            row = self._core.state.get(rows.part_key(upload_id, wanted.number))
            if not isinstance(row, PartRow):
                raise _invalid(wanted)
            document = self._core.documents.load(row.seq, row.storage, row.content)
            if document.etag != wanted.etag:
                raise _invalid(wanted)
            _check_part(wanted, document, kind)
            if row.size < limits.MIN_PART_BYTES and place < len(named) - 1:
                raise S3Error(
                    "EntityTooSmall",
                    PartNumber=str(wanted.number),
                    ETag=document.etag,
                    ProposedSize=str(row.size),
                    MinSizeAllowed=str(limits.MIN_PART_BYTES),
                )
            parts.append((row.number, row.seq, row.size))
            found.append(document)
        return parts, found


def _etag(parts: Sequence[ContentDocument]) -> str:
    """The ETag of a multipart object, from the MD5 of each part."""
    digests = b"".join(bytes.fromhex(document.md5) for document in parts)
    return f"{md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"


def upload_row(core: Core, unstored: Callable[[], Intent], named: ObjectRef, received: int) -> UploadRow:
    """The upload that an operation names.

    Raises:
        S3Error: The committer's own answer where there is none: NoSuchUpload, NoSuchBucket, AccessDenied.
    """
    row = core.upload(named.bucket, named.key, named.upload_id)
    if row is None:
        raise foresight.refusal(core, unstored(), received) or S3Error("NoSuchUpload")
    return row


def require_algorithm(kind: Checksum | None, used: Checksum | None) -> None:
    """Hold a part to the checksum algorithm of its upload.

    Raises:
        S3Error: InvalidRequest.
    """
    if kind is not None and (used is None or used.algorithm != kind.algorithm):
        actual = used.algorithm.lower() if used is not None else "null"
        raise _mismatch(kind.algorithm.lower(), actual)


def _mismatch(expected: str, actual: str) -> S3Error:
    return S3Error(
        "InvalidRequest",
        f"Checksum Type mismatch occurred, expected checksum Type: {expected}, actual checksum Type: {actual}",
        reason="checksum_algorithm",
    )


def _other_size(claimed: int, computed: int) -> S3Error:
    return S3Error(
        "InvalidRequest",
        f"The provided 'x-amz-mp-object-size' header value {claimed} does not match what was computed: {computed}",
        reason="object_size",
    )


def _invalid(wanted: CompletedPart) -> S3Error:
    return S3Error("InvalidPart", PartNumber=str(wanted.number), ETag=wanted.etag[:128])


def _check_part(wanted: CompletedPart, document: ContentDocument, kind: Checksum | None) -> None:
    """Hold what a completion says of a part's checksum against the part.

    Raises:
        S3Error: InvalidPart, InvalidRequest.
    """
    if wanted.checksum is not None:
        claimed = Checksum(wanted.checksum[0], "FULL_OBJECT", wanted.checksum[1])
        require_algorithm(kind, claimed)
        if document.checksum != claimed:
            raise _invalid(wanted)
    elif kind is not None and kind.type == ChecksumType.COMPOSITE:
        raise S3Error(
            "InvalidRequest",
            f"The upload was created using a {kind.algorithm.lower()} checksum. The complete request must include "
            f"the checksum for each part. It was missing for part {wanted.number} in the request.",
            reason="checksum_missing",
        )


def _whole_checksum(
    kind: Checksum | None, parts: Sequence[ContentDocument], claimed: tuple[str, str] | None, claimed_type: str
) -> Checksum | None:
    """Compute the checksum of the whole from those of its parts.

    Raises:
        S3Error: InvalidRequest, BadDigest.
    """
    if claimed_type and claimed_type != (kind.type if kind is not None else ""):
        raise S3Error(
            "InvalidRequest",
            f"The upload was created using the {kind.type if kind is not None else 'null'} checksum mode. "
            "The complete request must use the same checksum mode.",
            reason="checksum_type",
        )
    if kind is None:
        if claimed is not None:
            raise _mismatch("null", claimed[0].lower())
        return None
    algorithm = find_algorithm(kind.algorithm)
    values = [
        (parse_checksum(algorithm, document.checksum.value), document.size)
        for document in parts
        if document.checksum is not None and document.checksum.algorithm == kind.algorithm
    ]
    if len(values) != len(parts):
        raise _mismatch(kind.algorithm.lower(), "null")
    whole = Checksum(kind.algorithm, kind.type, multipart_checksum(ChecksumType(kind.type), values))
    if claimed is not None:
        if claimed[0] != kind.algorithm:
            raise _mismatch(kind.algorithm.lower(), claimed[0].lower())
        # S3 takes a composite value with and without its number of parts (versity/versitygw pull request 1589).
        if claimed[1] not in {whole.value, whole.value.partition("-")[0]}:
            raise S3Error("BadDigest", f"The {claimed[0]} you specified did not match the calculated checksum.")
    return whole
