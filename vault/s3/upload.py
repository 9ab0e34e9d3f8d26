"""What the headers of an upload say of the object: stored headers, metadata, lock, preconditions.

Not handled here: the body and its digests (``vault.s3.body``), how much may be stored (``vault.service.limits``),
whether the lock is allowed (``vault.state``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vault.errors import S3Error
from vault.record import LockRef
from vault.retention import MODES
from vault.s3.chunked import strip_aws_chunked
from vault.s3.documents import retain_until
from vault.s3.headers import METADATA

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What S3 answers with where no type was given.
DEFAULT_TYPE: Final = "binary/octet-stream"

_STORED: Final = ("cache-control", "content-disposition", "content-language", "expires")
_MODE: Final = "x-amz-object-lock-mode"
_UNTIL: Final = "x-amz-object-lock-retain-until-date"
_HOLD: Final = "x-amz-object-lock-legal-hold"
_NO_CHECKSUM: Final = (
    "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters"
)


def stored_headers(fields: Mapping[str, str]) -> dict[str, str]:
    """The headers that every read gives back."""
    stored = {"content-type": fields.get("content-type") or DEFAULT_TYPE}
    encoding = fields.get("content-encoding")
    if encoding:
        kept = strip_aws_chunked(encoding)
        if kept:
            stored["content-encoding"] = kept
    for name in _STORED:
        value = fields.get(name)
        if value:
            stored[name] = value
    return stored


def metadata(fields: Mapping[str, str]) -> dict[str, str]:
    """User metadata, names without ``x-amz-meta-``."""
    start = len(METADATA)
    return {name[start:]: value for name, value in fields.items() if name.startswith(METADATA)}


def lock(fields: Mapping[str, str]) -> tuple[LockRef | None, bool | None]:
    """The lock asked for.

    Returns:
        Retention (None where none is asked for), and the legal hold (None where nothing is said of it).

    Raises:
        S3Error: InvalidArgument.
    """
    hold = fields.get(_HOLD)
    if hold is not None and hold not in {"ON", "OFF"}:
        raise _argument("Legal Hold must be either of 'ON' or 'OFF'", _HOLD, hold)
    on = None if hold is None else hold == "ON"
    mode, until = fields.get(_MODE), fields.get(_UNTIL)
    if mode is None and until is None:
        return None, on
    if mode is None or until is None:
        missing = _MODE if mode is None else _UNTIL
        raise S3Error("InvalidArgument", f"{_UNTIL} and {_MODE} must both be supplied", ArgumentName=missing)
    if mode not in MODES:
        raise _argument("Unknown wormMode directive.", _MODE, mode)
    try:
        return LockRef(mode, retain_until(until)), on
    except ValueError as error:
        message = "The retain until date must be provided in ISO 8601 format"
        raise _argument(message, _UNTIL, until) from error


def checked_lock(fields: Mapping[str, str], *, claimed: bool) -> tuple[LockRef | None, bool | None]:
    """The lock asked for by a request that brings the body itself; S3 then wants a checksum of it.

    Args:
        fields: Header fields.
        claimed: The request names one.

    Returns:
        As :func:`lock`.

    Raises:
        S3Error: InvalidArgument; InvalidRequest for a missing checksum.
    """
    found, hold = lock(fields)
    if (found is not None or hold is not None) and not claimed:
        raise S3Error("InvalidRequest", _NO_CHECKSUM, reason="checksum_missing")
    return found, hold


def _argument(message: str, name: str, value: str) -> S3Error:
    return S3Error("InvalidArgument", message, ArgumentName=name, ArgumentValue=value[:64])


def preconditions(fields: Mapping[str, str]) -> tuple[bool, str]:
    """Conditional writes.

    Returns:
        Whether the key must not exist (``If-None-Match: *``), and the ETag it must have ('' for any).

    Raises:
        S3Error: NotImplemented for what S3 does not have either.
    """
    none_match, match = fields.get("if-none-match"), fields.get("if-match")
    if (none_match is not None and none_match != "*") or (none_match is not None and match is not None):
        raise S3Error("NotImplemented", Header="If-None-Match")
    if match is not None and (match == "*" or "," in match or not match.strip('"')):
        raise S3Error("NotImplemented", Header="If-Match")
    return none_match is not None, (match or "").strip('"')


def has_lock(fields: Mapping[str, str]) -> bool:
    """Whether the upload names a lock: S3 then wants a checksum of the body."""
    return _MODE in fields or _UNTIL in fields or _HOLD in fields
