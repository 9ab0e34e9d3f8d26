"""Bounds on what becomes part of an object, S3's own where it has one; checked before any work is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from vault.errors import S3Error
from vault.state.rows import MAX_KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vault.record import ObjectRef

#: One PUT or one part, in bytes.
MAX_PUT_BYTES: Final = 5 * 1024**3
#: One object made of parts, in bytes.
MAX_OBJECT_BYTES: Final = 5 * 1024**4
#: One part that is not the last, in bytes.
MIN_PART_BYTES: Final = 5 * 1024**2
#: Names and values of user metadata together, in bytes.
MAX_METADATA_BYTES: Final = 2 * 1024
#: Names and values of stored headers together, in bytes.
MAX_HEADERS_BYTES: Final = 8 * 1024
#: Entries on one page of a listing.
MAX_KEYS: Final = 1000

#: Field of :class:`~vault.record.ObjectRef`, bytes of UTF-8 it may have, and the error beyond.
_NAMES: Final = (
    ("bucket", 255, ("InvalidBucketName",)),
    ("key", MAX_KEY_BYTES, ("KeyTooLongError",)),
    ("version_id", 128, ("InvalidArgument", "Invalid version id specified")),
    ("upload_id", 128, ("NoSuchUpload",)),
    ("prefix", MAX_KEY_BYTES, ("KeyTooLongError",)),
)


def bounded(named: ObjectRef) -> tuple[ObjectRef, S3Error | None]:
    """Bound the names of a request, so that every one fits a record.

    Args:
        named: What the request named, of any length.

    Returns:
        The same, cut where it is too long, and then why it cannot be done: KeyTooLongError, InvalidBucketName,
        InvalidArgument or NoSuchUpload.
    """
    refused = None
    for name, limit, error in _NAMES:
        value: str = getattr(named, name)
        if len(value) * 4 > limit and len(value.encode()) > limit:
            named = msgspec.structs.replace(named, **{name: value[: limit // 4]})
            refused = S3Error(*error)
    return named, refused


def check_key(key: str) -> None:
    """Check an object's key.

    Raises:
        S3Error: KeyTooLongError.
    """
    if len(key) * 4 > MAX_KEY_BYTES and len(key.encode()) > MAX_KEY_BYTES:
        raise S3Error("KeyTooLongError", MaxSizeAllowed=str(MAX_KEY_BYTES), Size=str(len(key.encode())))


def check_length(length: int) -> None:
    """Check the length of a body.

    Raises:
        S3Error: EntityTooLarge.
    """
    if length > MAX_PUT_BYTES:
        raise S3Error("EntityTooLarge", MaxSizeAllowed=str(MAX_PUT_BYTES), ProposedSize=str(length))


def check_metadata(headers: Mapping[str, str], metadata: Mapping[str, str]) -> None:
    """Check what is stored beside the bytes.

    Raises:
        S3Error: MetadataTooLarge.
    """
    for fields, limit in ((metadata, MAX_METADATA_BYTES), (headers, MAX_HEADERS_BYTES)):
        size = sum(len(name.encode()) + len(value.encode()) for name, value in fields.items())
        if size > limit:
            raise S3Error("MetadataTooLarge", Size=str(size), MaxSizeAllowed=str(limit))
