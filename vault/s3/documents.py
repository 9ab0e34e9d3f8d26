"""The XML documents that requests carry, read into values (AWS S3 API reference, 2006-03-01).

Elements that ask for what we do not have (event holds, MFA delete, conditions on members of a DeleteObjects) are
refused as NotImplemented and named; elements that S3 does not know are MalformedXML.

Not handled here: whether what they ask for is allowed (``vault.state.decide``).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from vault.checksums import ALGORITHMS
from vault.errors import S3Error
from vault.record import DefaultRetention, LockRef
from vault.retention import MODES
from vault.s3 import xml
from vault.service.context import CompletedPart
from vault.times import MAX_NS, parse_rfc3339, rfc3339

#: S3's bound on the members of one DeleteObjects request.
MAX_DELETES: Final = 1000
#: S3's bound on the parts of one upload.
MAX_PARTS: Final = 10_000

_MILLISECOND: Final = 1_000_000
_INTEGER: Final = re.compile(r"-?[0-9]{1,10}", re.ASCII)
_CHECKSUM: Final = "Checksum"

_LOCATION: Final = frozenset({"LocationConstraint", "Location", "Bucket", "Tags"})
_VERSIONING: Final = frozenset({"Status", "MfaDelete"})
_LOCK: Final = frozenset({"ObjectLockEnabled", "Rule"})
_RULE: Final = frozenset({"DefaultRetention"})
_DEFAULT: Final = frozenset({"Mode", "Days", "Years", "DefaultEventHold"})
_RETENTION: Final = frozenset({"Mode", "RetainUntilDate", "EventHold", "EventHoldDuration"})
_HOLD: Final = frozenset({"Status"})
_DELETE: Final = frozenset({"Object", "Quiet"})
_MEMBER: Final = frozenset({"Key", "VersionId", "ETag", "LastModifiedTime", "Size"})
_COMPLETION: Final = frozenset({"Part"})
_PART: Final = frozenset({"PartNumber", "ETag", *(_CHECKSUM + name for name in ALGORITHMS)})


class Deletion(NamedTuple):
    """A DeleteObjects request: ``members`` as (key, version id or '')."""

    members: list[tuple[str, str]]
    quiet: bool


def _malformed() -> S3Error:
    return S3Error("MalformedXML")


def _refuse(found: object, *names: str) -> None:
    """Refuse what S3 knows and we do not have."""
    for name in names:
        if isinstance(found, dict) and name in found:
            raise S3Error("NotImplemented", f"{name} is not implemented", Element=name)


def location(data: bytes) -> str:
    """CreateBucket: the region asked for; empty where none is.

    Raises:
        S3Error: MalformedXML, NotImplemented.
    """
    if not data:
        return ""
    found = xml.children(xml.parse(data, "CreateBucketConfiguration"), _LOCATION)
    _refuse(found, "Location", "Bucket", "Tags")
    return xml.text(found["LocationConstraint"][0]) if found else ""


def versioning(data: bytes) -> str:
    """PutBucketVersioning: ``Enabled`` or ``Suspended``.

    Raises:
        S3Error: MalformedXML, NotImplemented.
    """
    found = xml.texts(xml.parse(data, "VersioningConfiguration"), _VERSIONING)
    if found.get("MfaDelete", "Disabled") != "Disabled":
        _refuse(found, "MfaDelete")
    if found.get("Status") not in {"Enabled", "Suspended"}:
        raise _malformed()
    return found["Status"]


def lock_configuration(data: bytes) -> DefaultRetention | None:
    """PutObjectLockConfiguration: the default retention, or None where there is no rule.

    Raises:
        S3Error: MalformedXML, InvalidRetentionPeriod, NotImplemented.
    """
    found = xml.children(xml.parse(data, "ObjectLockConfiguration"), _LOCK)
    if "ObjectLockEnabled" not in found or xml.text(found["ObjectLockEnabled"][0]) != "Enabled":
        raise _malformed()
    if "Rule" not in found:
        return None
    rule = xml.children(found["Rule"][0], _RULE)
    if "DefaultRetention" not in rule:
        raise _malformed()
    inner = xml.children(rule["DefaultRetention"][0], _DEFAULT)
    _refuse(inner, "DefaultEventHold")
    values = {name: xml.text(elements[0]) for name, elements in inner.items()}
    if values.get("Mode") not in MODES or ("Days" in values) == ("Years" in values):
        raise _malformed()
    unit = "Days" if "Days" in values else "Years"
    period = _integer(values[unit])
    if period <= 0:
        raise S3Error("InvalidRetentionPeriod", "Default retention period must be a positive integer value.")
    return DefaultRetention(values["Mode"], **{unit.lower(): period})


def _integer(value: str) -> int:
    if _INTEGER.fullmatch(value) is None:
        raise _malformed()
    return int(value)


def retain_until(value: str) -> str:
    """Read a retain-until date; S3 keeps milliseconds, so what is finer is rounded up: never an earlier date.

    Args:
        value: ISO 8601 as RFC 3339 narrows it.

    Returns:
        RFC 3339, UTC, nine fractional digits.

    Raises:
        ValueError: It is no such date.
    """
    moment = -(-parse_rfc3339(value) // _MILLISECOND) * _MILLISECOND
    if moment > MAX_NS:
        raise ValueError("after the year 9999")
    return rfc3339(moment)


def retention(data: bytes) -> LockRef | None:
    """PutObjectRetention: mode and date, or None where the document is empty (which removes the retention).

    Raises:
        S3Error: MalformedXML, NotImplemented.
    """
    found = xml.children(xml.parse(data, "Retention"), _RETENTION)
    _refuse(found, "EventHold", "EventHoldDuration")
    values = {name: xml.text(elements[0]) for name, elements in found.items()}
    if not values:
        return None
    if values.get("Mode") not in MODES or "RetainUntilDate" not in values:
        raise _malformed()
    try:
        return LockRef(values["Mode"], retain_until(values["RetainUntilDate"]))
    except ValueError as error:
        raise _malformed() from error


def legal_hold(data: bytes) -> bool:
    """PutObjectLegalHold: whether the hold is to be on.

    Raises:
        S3Error: MalformedXML.
    """
    found = xml.texts(xml.parse(data, "LegalHold"), _HOLD)
    if found.get("Status") not in {"ON", "OFF"}:
        raise _malformed()
    return found["Status"] == "ON"


def deletion(data: bytes) -> Deletion:
    """DeleteObjects: which members, and whether only failures are to be told.

    Raises:
        S3Error: MalformedXML, NotImplemented.
    """
    found = xml.children(xml.parse(data, "Delete"), _DELETE, repeated="Object")
    quiet = xml.text(found["Quiet"][0]) if "Quiet" in found else "false"
    objects = found.get("Object", [])
    if quiet not in {"true", "false"} or not 1 <= len(objects) <= MAX_DELETES:
        raise _malformed()
    members = []
    for element in objects:
        values = xml.texts(element, _MEMBER)
        _refuse(values, "ETag", "LastModifiedTime", "Size")
        if not values.get("Key"):
            raise _malformed()
        members.append((values["Key"], values.get("VersionId", "")))
    return Deletion(members, quiet == "true")


def completion(data: bytes) -> list[CompletedPart]:
    """CompleteMultipartUpload: the parts in the order named.

    Raises:
        S3Error: MalformedXML, InvalidArgument for a part number out of range.
    """
    found = xml.children(xml.parse(data, "CompleteMultipartUpload"), _COMPLETION, repeated="Part")
    elements = found.get("Part", [])
    if not 1 <= len(elements) <= MAX_PARTS:
        raise _malformed()
    return [_part(xml.texts(element, _PART)) for element in elements]


def _part(values: dict[str, str]) -> CompletedPart:
    if "PartNumber" not in values or not values.get("ETag"):
        raise _malformed()
    number = _integer(values["PartNumber"])
    if not 1 <= number <= MAX_PARTS:
        raise S3Error(
            "InvalidArgument",
            "PartNumber must be >= 1 and <= 10000",
            ArgumentName="PartNumber",
            ArgumentValue=str(number),
        )
    checksums = [(name.removeprefix(_CHECKSUM), value) for name, value in values.items() if name.startswith(_CHECKSUM)]
    if len(checksums) > 1:
        raise _malformed()
    return CompletedPart(number, values["ETag"].strip('"'), checksums[0] if checksums else None)
