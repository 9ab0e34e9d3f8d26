"""Errors of the vault: one root, typed, turned into the wire form in one place only.

Every error says what happened and what to do, and carries no secret. ``retryable``
means the same request may succeed later; ``fatal`` means the process must stop
serving and be restarted, so that recovery decides (DESIGN §1, "fail closed").

Not handled here: the XML form of an error (``vault.s3.xml``) and log lines.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final


class VaultError(Exception):
    """Root of every error this package raises on purpose.

    Attributes:
        code: Stable machine-readable name.
        status: HTTP status the front ends answer with.
        retryable: The same request may succeed later.
        fatal: The process must not go on serving.
    """

    code: ClassVar[str] = "InternalError"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    fatal: ClassVar[bool] = False


class Unavailable(VaultError):
    """Nothing was written; the request may be sent again (DESIGN §1, *not done*).

    Args:
        message: For the operator.
        told: For the client, where it helps to know; the default says no more than to try again.
    """

    code = "ServiceUnavailable"
    status = 503
    retryable = True

    def __init__(self, message: str, told: str = "") -> None:
        super().__init__(message)
        self.told = told


class NoSpace(Unavailable):
    """The disk is too full for this operation (DESIGN §7, tiers); what frees some, and holds, still work."""

    def __init__(self) -> None:
        super().__init__(
            "disk space is running out: free some, or lower disk.reserve_mib",
            "The vault is running out of disk space; its operator must free some.",
        )


class Behind(Unavailable):
    """A copy is further behind than its operator allows: nothing new is taken until it has caught up (DESIGN §1)."""

    code = "SlowDown"

    def __init__(self, why: str) -> None:
        super().__init__(why, "A copy of the vault's records is too far behind; try again later.")


class OutcomeUnknown(VaultError):
    """The write was begun and its fate is not known; the ledger decides at restart (DESIGN §1, *unknown*)."""

    code = "InternalError"
    status = 500
    fatal = True


class DurabilityError(VaultError):
    """A write or sync failed; it is never retried and the writer is poisoned (DESIGN §4)."""

    code = "DurabilityError"
    status = 500
    fatal = True


class CorruptError(VaultError):
    """Bytes on disk are not what was written there; the message names the place."""

    code = "Corrupt"
    status = 500
    fatal = True


class IntegrityError(VaultError):
    """Stored ciphertext does not authenticate; the read is refused and recorded."""

    code = "InternalError"
    status = 500


class KeyringError(VaultError):
    """The keyring cannot be opened or a key is missing; says which file and what to restore."""

    code = "KeyringError"
    status = 500
    fatal = True


#: S3 error code -> (HTTP status, default message as AWS words it).
S3_ERRORS: Final[dict[str, tuple[int, str]]] = {
    "AccessDenied": (403, "Access Denied"),
    "AuthorizationHeaderMalformed": (400, "The authorization header you provided is invalid."),
    "AuthorizationQueryParametersError": (400, "Error parsing the X-Amz-Credential parameter."),
    "BadDigest": (400, "The Content-MD5 you specified did not match what we received."),
    "BucketAlreadyExists": (409, "The requested bucket name is not available."),
    "BucketAlreadyOwnedByYou": (
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    ),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty."),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed size."),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed size."),
    "IncompleteBody": (400, "You did not provide the number of bytes specified by the Content-Length HTTP header."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (403, "The AWS Access Key Id you provided does not exist in our records."),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidBucketState": (409, "The request is not valid for the current state of the bucket."),
    "InvalidChunkSizeError": (403, "Only the last chunk is allowed to have a size less than 8192 bytes"),
    "InvalidDigest": (400, "The Content-MD5 you specified is not valid."),
    "InvalidPart": (
        400,
        (
            "One or more of the specified parts could not be found. The part may not have been uploaded, "
            "or the specified entity tag may not match the part's entity tag."
        ),
    ),
    "InvalidLocationConstraint": (400, "The specified location-constraint is not valid"),
    "InvalidPartNumber": (416, "The requested partnumber is not satisfiable"),
    "InvalidPartOrder": (
        400,
        "The list of parts was not in ascending order. Parts must be ordered by part number.",
    ),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InvalidRequest": (400, "Invalid Request"),
    "InvalidRetentionPeriod": (400, "The retention period specified must be a positive integer value."),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "KeyTooLongError": (400, "Your key is too long"),
    "MalformedXML": (
        400,
        "The XML you provided was not well-formed or did not validate against our published schema",
    ),
    "MaxMessageLengthExceeded": (400, "Your request was too big."),
    "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed metadata size"),
    "MethodNotAllowed": (405, "The specified method is not allowed against this resource."),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "MissingSecurityHeader": (400, "Your request was missing a required header."),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchObjectLockConfiguration": (404, "The specified object does not have a ObjectLock configuration"),
    "NoSuchUpload": (
        404,
        (
            "The specified upload does not exist. The upload ID may be invalid, "
            "or the upload may have been aborted or completed."
        ),
    ),
    "NoSuchVersion": (404, "The specified version does not exist."),
    "NotImplemented": (501, "A header you provided implies functionality that is not implemented"),
    "NotModified": (304, "Not Modified"),
    "ObjectLockConfigurationNotFoundError": (404, "Object Lock configuration does not exist for this bucket"),
    "OperationAborted": (409, "A conflicting conditional operation is currently in progress against this resource."),
    "PreconditionFailed": (412, "At least one of the pre-conditions you specified did not hold"),
    "RequestTimeTooSkewed": (403, "The difference between the request time and the current time is too large."),
    "ServiceUnavailable": (503, "The service cannot take this request now; try again."),
    "SignatureDoesNotMatch": (
        403,
        (
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method."
        ),
    ),
    "SlowDown": (503, "Please reduce your request rate."),
    "XAmzContentSHA256Mismatch": (
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
}

_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class S3Error(VaultError):
    """A refusal with S3's own code, status and message.

    Args:
        code: A key of :data:`S3_ERRORS`.
        message: Replaces the default message.
        reason: What the record says in ``reason``; the code in snake_case unless
            something narrower is known (``retention``, ``legal_hold``, ``strict`` …).
        headers: Extra response headers (``x-amz-delete-marker`` …).
        fields: Extra elements of the XML body (``BucketName``, ``ArgumentName`` …).

    Attributes:
        record: ``stream/seq/leaf`` of the record that holds the refusal, once it is durable.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        reason: str | None = None,
        headers: dict[str, str] | None = None,
        **fields: str,
    ) -> None:
        status, default = S3_ERRORS[code]
        super().__init__(message or default)
        self.s3_code = code
        self.http_status = status
        self.message = message or default
        self.reason = reason or _WORD.sub("_", code).lower()
        self.headers = headers or {}
        self.fields = fields
        self.record = ""

    @property
    def denied(self) -> bool:
        """True when the record's outcome is ``denied`` rather than ``failure``."""
        return self.http_status == 403
