"""What all of the service shares: the way to the journal, the durable view, bytes, keys, and threads for slow work.

Not handled here: what any operation does with it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, TypeVarTuple

from vault.errors import CorruptError, IntegrityError, KeyringError, S3Error
from vault.ports import Intent
from vault.record import Request, Tail, encode_tail
from vault.service.commit import Commits
from vault.service.documents import Documents
from vault.service.limits import bounded
from vault.service.plaintext import Plaintext
from vault.state import rows
from vault.state.rows import BucketRow, UploadRow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from concurrent.futures import Executor

    from vault.crypto.keyring import Keyring
    from vault.manifest import ContentDocument
    from vault.ports import Bodies, Committed, Journal, State
    from vault.record import BucketConfig, ObjectRef, Storage
    from vault.service.context import Caller
    from vault.storage.blobs import BlobStore

T = TypeVar("T")
Args = TypeVarTuple("Args")


@dataclass(frozen=True, slots=True)
class Core:
    """Belongs to one event loop; see :func:`assemble`.

    Attributes:
        commits: The way to the journal.
        state: The durable view.
        documents: Content documents.
        plaintext: Reads versions.
        blobs: Large bodies.
        keyring: Domain keys.
        pool: Threads for what blocks or computes for long; also what bounds how much of that is done at once.
    """

    commits: Commits
    state: State
    documents: Documents
    plaintext: Plaintext
    blobs: BlobStore
    keyring: Keyring
    pool: Executor

    def commit(self, intent: Intent) -> Awaitable[Committed]:
        """Have one operation decided and recorded; see :meth:`vault.service.commit.Commits.commit`."""
        return self.commits.commit(intent)

    async def run(self, work: Callable[[*Args], T], *args: *Args) -> T:
        """Do something slow in a thread; it is done to its end even where the caller is cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, work, *args)

    async def document(self, seq: int, storage: Storage, content: str) -> ContentDocument:
        """A content document that an operation needs before it can be submitted.

        Raises:
            S3Error: InternalError, to be recorded, where it cannot be read.
        """
        known = self.documents.known(seq)
        if known is not None:
            return known
        try:
            return await self.run(self.documents.load, seq, storage, content)
        except (CorruptError, IntegrityError, KeyringError) as error:
            raise S3Error("InternalError", reason="integrity") from error

    def bucket(self, name: str) -> BucketRow | None:
        """A bucket as the durable view has it."""
        row = self.state.get(rows.bucket_key(name))
        return row if isinstance(row, BucketRow) else None

    def upload(self, bucket: str, key: str, upload_id: str) -> UploadRow | None:
        """A multipart upload under way as the durable view has it."""
        row = self.state.get(rows.upload_key(bucket, key, upload_id))
        return row if isinstance(row, UploadRow) else None


def assemble(
    *, journal: Journal, state: State, bodies: Bodies, blobs: BlobStore, keyring: Keyring, pool: Executor
) -> Core:
    """Put a core together; to be called in the event loop that will use it.

    Args:
        journal: The point of order.
        state: The durable view.
        bodies: Bodies of records.
        blobs: Large bodies.
        keyring: Domain keys.
        pool: Threads for slow work; a few more than there are processors.
    """
    documents = Documents(bodies, keyring)
    plaintext = Plaintext(documents, blobs, state)
    return Core(Commits(journal, asyncio.get_running_loop()), state, documents, plaintext, blobs, keyring, pool)


def intent(
    caller: Caller,
    op: str,
    named: ObjectRef | None,
    asked: Request | None = None,
    *,
    storage: Storage | None = None,
    config: BucketConfig | None = None,
    ref: int = -1,
    body: Sequence[bytes] = (),
    parts: Sequence[tuple[int, int]] = (),
    refused: S3Error | None = None,
) -> Intent:
    """Make an operation of what the caller asks for.

    Args:
        caller: Who asks.
        op: Of the record's enumeration.
        named: What it is about. Names too long for S3 are refused here, whatever the operation.
        asked: What bears on the decision; made with ``http=caller.http``.
        storage: Where the bytes are that it brings.
        config: Bucket settings that it sets.
        ref: Seq of an earlier record that this one is about.
        body: The record's body.
        parts: (number, seq) of a completion.
        refused: Why it cannot be done, where that is known already.
    """
    if named is not None:
        named, too_long = bounded(named)
        refused = too_long or refused
    tail = Tail(
        op=op,
        actor=caller.actor,
        origin=caller.origin,
        object=named,
        storage=storage,
        request=asked or Request(http=caller.http),
        bucket=config,
        ref=ref,
    )
    return Intent(tail, encode_tail(tail), body, parts, refused)


def shown_id(bucket: BucketRow | None, version_id: str, *, null: bool) -> str:
    """A version id as S3 shows it: none in a bucket that never had versioning, ``null`` for the null version."""
    if bucket is None or not bucket.versioning:
        return ""
    return "null" if null else version_id
