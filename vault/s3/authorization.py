"""What a request says of its own signature, read strictly and judged for form and time.

Sources: "Authenticating Requests (AWS Signature Version 4)" of the Amazon S3 API
reference, header-based and query-based (presigned). The order of the checks and the
wording of the refusals are S3's own; :class:`Reason` is the closed list of what can
be wrong, so that callers can count refusals without reading messages.

Not handled here: whether any of it is true (``vault.s3.sigv4``). Left out on
purpose: the ``Date`` header in place of ``x-amz-date``, session tokens (there are
none to issue), POST policies, Signature Versions 2 and 4A (refused by name).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from enum import Enum, StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

import msgspec

from vault.errors import S3Error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_SKEW_SECONDS: Final = 15 * 60
MAX_EXPIRES_SECONDS: Final = 7 * 24 * 3600

_ALGORITHM: Final = b"AWS4-HMAC-SHA256"
_CREDENTIAL: Final = re.compile(rb"([!-~]{1,128})/(([0-9]{8})/([0-9A-Za-z_-]{1,64})/s3/aws4_request)")
_AMZ_DATE: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_HEX_DIGITS: Final = b"0123456789abcdefABCDEF"
_COMPONENTS: Final = re.compile(rb"Credential=([^,]*), *SignedHeaders=([^,]*), *Signature=([^,]*)")
_PARAMETERS: Final = {
    b"X-Amz-Credential",
    b"X-Amz-Signature",
    b"X-Amz-Date",
    b"X-Amz-SignedHeaders",
    b"X-Amz-Expires",
}


class Reason(StrEnum):
    """Why a request was not accepted: ``S3Error.reason`` of every refusal of a signature."""

    ANONYMOUS = "anonymous"
    """The request carries no credentials at all."""
    TWO_MECHANISMS = "two_mechanisms"
    SIGNATURE_V2 = "signature_v2"
    SIGNATURE_V4A = "signature_v4a"
    AUTHORIZATION_TYPE = "authorization_type"
    MALFORMED = "malformed_authorization"
    CREDENTIAL = "malformed_credential"
    DATE = "malformed_date"
    SKEWED = "skewed"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    PAYLOAD = "payload_mode"
    UNKNOWN_KEY = "unknown_access_key"
    UNSIGNED_HEADERS = "unsigned_headers"
    SIGNATURE = "signature"
    DUPLICATE_HEADER = "duplicate_header"
    TOO_LARGE = "too_large"


class Payload(Enum):
    """What a signature says about the body; the values are those of ``x-amz-content-sha256``."""

    SIGNED = "sha256"
    """The header is the body's SHA-256 in hex."""
    UNSIGNED = "UNSIGNED-PAYLOAD"
    STREAMING = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    STREAMING_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


_MODES: Final = {mode.value.encode(): mode for mode in Payload if mode is not Payload.SIGNED}


class Authorization(msgspec.Struct, frozen=True, gc=False):
    """A claim of well-formed shape and right time; nothing in it is proven.

    Attributes:
        access_key: Key that is said to have signed.
        scope: Credential scope, ``yyyymmdd/region/s3/aws4_request``; the day is that of ``amz_date``.
        region: Region of the scope; any is accepted.
        amz_date: Time of signing, ``yyyymmddThhmmssZ``.
        signed_headers: Names of the signed headers, as sent, joined by ``;``.
        signature: As sent; 64 lowercase hex digits if it is right.
        payload: Last line of the canonical request.
        presigned: It came in the query string.
    """

    access_key: str
    scope: str
    region: str
    amz_date: str
    signed_headers: bytes
    signature: bytes
    payload: bytes
    presigned: bool


def read_authorization(
    fields: Mapping[bytes, bytes], pairs: Sequence[tuple[bytes, bytes]], now: float
) -> Authorization:
    """Find the one authorization of a request.

    Args:
        fields: Header fields, names in lower case.
        pairs: Query parameters in canonical encoding.
        now: Wall clock, seconds since the epoch.

    Returns:
        The claim.

    Raises:
        S3Error: There is none, more than one, or not one of a form and time we accept;
            ``reason`` is a :class:`Reason`.
    """
    params = dict(pairs)
    header = fields.get(b"authorization")
    presigned = b"X-Amz-Algorithm" in params
    v2 = b"Signature" in params or b"AWSAccessKeyId" in params
    if (header is not None) + presigned + v2 > 1:
        raise S3Error(
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
            "parameter or the Authorization header should be specified",
            reason=Reason.TWO_MECHANISMS,
            ArgumentName="Authorization",
        )
    if header is not None:
        return _of_header(header, fields, now)
    if presigned:
        names = [name for name, _ in pairs if name.startswith(b"X-Amz-")]
        if len(names) != len(set(names)):
            raise _bad_query("A query parameter of the signature is given twice.")
        return _of_query(params, fields, now)
    if v2:
        raise _signature_v2()
    raise S3Error("AccessDenied", reason=Reason.ANONYMOUS)


def payload_mode(payload: bytes) -> tuple[Payload, str | None]:
    """Tell how the body is signed.

    Args:
        payload: Last line of the canonical request.

    Returns:
        The mode and, for a signed body, its SHA-256 in lowercase hex.

    Raises:
        S3Error: It is none of the modes, or one of Signature Version 4A.
    """
    mode = _MODES.get(payload)
    if mode is not None:
        return mode, None
    if len(payload) == 64 and not payload.translate(None, _HEX_DIGITS):
        return Payload.SIGNED, payload.decode().lower()
    if payload.startswith(b"STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"):
        raise _signature_v4a()
    raise S3Error(
        "InvalidArgument",
        f"x-amz-content-sha256 must be {', '.join(name.decode() for name in _MODES)} or a valid sha256 value.",
        reason=Reason.PAYLOAD,
        ArgumentName="x-amz-content-sha256",
    )


def _of_header(header: bytes, fields: Mapping[bytes, bytes], now: float) -> Authorization:
    scheme, _, rest = header.partition(b" ")
    if scheme != _ALGORITHM:
        raise _scheme_error(scheme)
    amz_date = fields.get(b"x-amz-date", b"").decode("latin-1")
    signed_at = _epoch(amz_date)
    if signed_at is None:
        raise S3Error("AccessDenied", "AWS authentication requires a valid x-amz-date header", reason=Reason.DATE)
    if abs(now - signed_at) > MAX_SKEW_SECONDS:
        raise S3Error(
            "RequestTimeTooSkewed",
            reason=Reason.SKEWED,
            RequestTime=amz_date,
            ServerTime=_iso(now),
            MaxAllowedSkewMilliseconds=str(MAX_SKEW_SECONDS * 1000),
        )
    components = _COMPONENTS.fullmatch(rest.lstrip(b" "))
    if components is None:
        raise S3Error(
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the authorization header requires three components: "
            "Credential, SignedHeaders, and Signature.",
            reason=Reason.MALFORMED,
        )
    credential, signed_headers, signature = components.groups()
    scope = _scope(credential, amz_date[:8])
    if scope is None:
        raise S3Error(
            "AuthorizationHeaderMalformed",
            f"The authorization header is malformed; {_expecting(amz_date)}",
            reason=Reason.CREDENTIAL,
        )
    payload = fields.get(b"x-amz-content-sha256")
    if payload is None:
        raise S3Error(
            "InvalidRequest", "Missing required header for this request: x-amz-content-sha256", reason=Reason.PAYLOAD
        )
    return Authorization(*scope, amz_date, signed_headers, signature, payload, presigned=False)


def _of_query(params: Mapping[bytes, bytes], fields: Mapping[bytes, bytes], now: float) -> Authorization:
    if params[b"X-Amz-Algorithm"] != _ALGORITHM:
        raise _bad_query('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256".')
    if not params.keys() >= _PARAMETERS:
        raise _bad_query(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    amz_date = params[b"X-Amz-Date"].decode("latin-1")
    signed_at = _epoch(amz_date)
    if signed_at is None:
        raise _bad_query("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"", Reason.DATE)
    digits = params[b"X-Amz-Expires"]
    expires = int(digits) if digits.isdigit() and len(digits) <= len(str(MAX_EXPIRES_SECONDS)) else 0
    if not 1 <= expires <= MAX_EXPIRES_SECONDS:
        raise _bad_query(f"X-Amz-Expires must be a number of seconds between 1 and {MAX_EXPIRES_SECONDS}.")
    if signed_at - now > MAX_SKEW_SECONDS:
        raise S3Error("AccessDenied", "Request is not yet valid", reason=Reason.NOT_YET_VALID, ServerTime=_iso(now))
    if now - signed_at > expires:
        raise S3Error(
            "AccessDenied",
            "Request has expired",
            reason=Reason.EXPIRED,
            Expires=_iso(signed_at + expires),
            ServerTime=_iso(now),
        )
    scope = _scope(unquote_to_bytes(params[b"X-Amz-Credential"]), amz_date[:8])
    if scope is None:
        raise _bad_query(f"Error parsing the X-Amz-Credential parameter; {_expecting(amz_date)}", Reason.CREDENTIAL)
    payload = params.get(b"X-Amz-Content-Sha256") or fields.get(b"x-amz-content-sha256", b"UNSIGNED-PAYLOAD")
    signed_headers, signature = unquote_to_bytes(params[b"X-Amz-SignedHeaders"]), params[b"X-Amz-Signature"]
    return Authorization(*scope, amz_date, signed_headers, signature, payload, presigned=True)


@lru_cache(maxsize=4096)
def _scope(credential: bytes, day: str) -> tuple[str, str, str] | None:
    """Access key, scope and region, if the credential is for S3 and that day."""
    match = _CREDENTIAL.fullmatch(credential)
    if match is None or match[3] != day.encode():
        return None
    return match[1].decode(), match[2].decode(), match[4].decode()


@lru_cache(maxsize=1024)
def _epoch(amz_date: str) -> float | None:
    match = _AMZ_DATE.fullmatch(amz_date)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _iso(epoch: float) -> str:
    return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _expecting(amz_date: str) -> str:
    return f'the Credential is mal-formed; expecting "<YOUR-AKID>/{amz_date[:8]}/REGION/s3/aws4_request".'


def _bad_query(message: str, reason: Reason = Reason.MALFORMED) -> S3Error:
    return S3Error("AuthorizationQueryParametersError", message, reason=reason)


def _scheme_error(scheme: bytes) -> S3Error:
    if scheme == b"AWS":
        return _signature_v2()
    if scheme == b"AWS4-ECDSA-P256-SHA256":
        return _signature_v4a()
    return S3Error(
        "InvalidArgument",
        "Unsupported Authorization Type",
        reason=Reason.AUTHORIZATION_TYPE,
        ArgumentName="Authorization",
    )


def _signature_v2() -> S3Error:
    return S3Error(
        "InvalidRequest",
        "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256: set the "
        "client's signature version to s3v4 (boto3: config=Config(signature_version='s3v4')).",
        reason=Reason.SIGNATURE_V2,
    )


def _signature_v4a() -> S3Error:
    return S3Error(
        "NotImplemented",
        "Signature Version 4A (ECDSA) is not implemented; only AWS4-HMAC-SHA256 is supported.",
        reason=Reason.SIGNATURE_V4A,
    )
