"""Which bytes of a version a read gets, and whether its conditions hold (RFC 9110 §13, §14). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault.errors import S3Error
from vault.times import NS

if TYPE_CHECKING:
    from vault.service.context import ByteRange, Conditions


def check_conditions(asked: Conditions, etag: str, created: int) -> None:
    """Check the conditions of a read, in the order of RFC 9110 §13.2.2.

    Args:
        asked: The conditions.
        etag: Of the version, without quotes.
        created: When the version was made, ns since the epoch; Last-Modified has whole seconds.

    Raises:
        S3Error: PreconditionFailed or NotModified.
    """
    modified = created // NS
    if asked.if_match:
        if not _matches(asked.if_match, etag):
            raise S3Error("PreconditionFailed", Condition="If-Match")
    elif asked.unmodified_since is not None and modified > asked.unmodified_since:
        raise S3Error("PreconditionFailed", Condition="If-Unmodified-Since")
    if asked.if_none_match:
        if _matches(asked.if_none_match, etag):
            raise S3Error("NotModified", headers={"etag": f'"{etag}"'})
    elif asked.modified_since is not None and modified <= asked.modified_since:
        raise S3Error("NotModified", headers={"etag": f'"{etag}"'})


def _matches(etags: tuple[str, ...], etag: str) -> bool:
    return "*" in etags or etag in etags


def resolve_range(asked: ByteRange | None, size: int) -> tuple[int, int]:
    """Find the bytes that a range means.

    Args:
        asked: None for everything.
        size: Of the version.

    Returns:
        First and last offset, both inclusive; (0, -1) for all of an empty version.

    Raises:
        S3Error: InvalidRange.
    """
    if asked is None:
        return 0, size - 1
    first, last = asked
    if first is None:
        first, last = max(size - (last or 0), 0), size - 1
    if first >= size:
        raise S3Error("InvalidRange", ActualObjectSize=str(size), headers={"content-range": f"bytes */{size}"})
    return first, min(size - 1 if last is None else last, size - 1)


def resolve_part(number: int, sizes: list[int], size: int) -> tuple[int, int]:
    """Find the bytes of a part.

    Args:
        number: From 1.
        sizes: Of the parts, in order; empty for a version put in one piece, which counts as its own only part.
        size: Of the version.

    Returns:
        First and last offset, both inclusive.

    Raises:
        S3Error: InvalidPartNumber where there is no such part.
    """
    sizes = sizes or [size]
    if not 1 <= number <= len(sizes):
        raise S3Error("InvalidPartNumber", PartNumberRequested=str(number), ActualPartCount=str(len(sizes)))
    first = sum(sizes[: number - 1])
    return first, first + sizes[number - 1] - 1
