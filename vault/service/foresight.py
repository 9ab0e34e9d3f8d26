"""What the committer will probably decide, asked of the durable view before a body is received or a key is made.

The committer's own rules are asked, so nothing is judged twice in different ways. What they refuse here is refused
early, since storing it would be for nothing; what they let pass is no promise: only the committer allows. The durable
view holds everything that was ever answered, so a refusal is right at the moment of the request.

Not handled here: deciding (``vault.state.decide``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vault import retention
from vault.errors import S3Error
from vault.service.sealing import INLINE_BYTES
from vault.state import lookup
from vault.state.decide import decide
from vault.times import Now, parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from vault.crypto.keyring_file import DomainKey
    from vault.ports import Intent
    from vault.record import LockRef
    from vault.service.core import Core

_UNTIL: Final = "x-amz-object-lock-retain-until-date"


def canonical_until(lock: LockRef | None) -> str:
    """The date of a lock as records write it; empty without one.

    Raises:
        S3Error: InvalidArgument where it is none.
    """
    if lock is None or not lock.until:
        return ""
    try:
        return rfc3339(parse_rfc3339(lock.until))
    except ValueError as error:
        raise S3Error(
            "InvalidArgument",
            "The retain until date must be provided in ISO 8601 format",
            ArgumentName=_UNTIL,
            ArgumentValue=lock.until[:64],
        ) from error


def refusal(core: Core, intent: Intent, received: int) -> S3Error | None:
    """The refusal that an operation would get now.

    The request's time stands for both clocks, which can only make this milder than the committer: a retention expires
    by the earlier of them, and starts from the later.
    """
    return decide(intent.tail, core.state, Now(received, received), intent.parts).error


async def domain(
    core: Core, unstored: Callable[[], Intent], bucket_name: str, until: int, received: int, *, length: int = 0
) -> DomainKey:
    """The domain key for the lock that a version, part or upload will probably have; the caller gives it back.

    Neither is a key made nor a large body received for what could not be allowed anyway.

    Args:
        core: Keys and the durable view.
        unstored: Makes the operation as it is before its bytes are there.
        bucket_name: The bucket.
        until: End of the lock asked for, ns since the epoch; 0 leaves it to the bucket's default.
        received: When the request came.
        length: Of the body to come, in bytes.

    Raises:
        S3Error: It could not be allowed.
        Unavailable: The keyring is full.
        KeyringError: The keyring takes no changes.
        DurabilityError: A new key could not be made durable.
    """
    bucket = core.bucket(bucket_name)
    if bucket is not None and not until and bucket.default is not None:
        until = retention.default_until(bucket.default, Now(received, received))
    found = core.keyring.take(bucket_name, until) if bucket is not None else None
    if found is None or length > INLINE_BYTES:
        refused = refusal(core, unstored(), received)
        if refused is not None:
            if found is not None:
                core.keyring.give_back(found)
            raise refused
    if bucket is None:  # allowed without a bucket: made between the two looks
        raise S3Error("NoSuchBucket")
    return found if found is not None else await core.run(core.keyring.take_or_make, bucket_name, until)


async def ordinal(core: Core, bucket: str, key: str, etag: str) -> str:
    """The ordinal, in decimal, of a key's current version where that has this ETag, else 0, which none has.

    Args:
        core: The durable view and content documents.
        bucket: The bucket.
        key: The key.
        etag: Of If-Match, without quotes; empty gives an empty string, for any version or none.

    Raises:
        S3Error: InternalError where the version's content document cannot be read.
    """
    if not etag:
        return ""
    found = lookup.key_row(core.state, bucket, key)
    row = found.current if found is not None else None
    if row is None or row.storage is None:
        return "0"
    document = await core.document(row.seq, row.storage, row.content)
    return str(row.ordinal) if document.etag == etag else "0"
