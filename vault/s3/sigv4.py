"""AWS Signature Version 4: which principal signed this request, and over what body.

Source: "Authenticating Requests (AWS Signature Version 4)" of the Amazon S3 API
reference (canonical request, string to sign, signing key).

The path is verified as it came on the wire and, if that fails, in the encoding AWS
documents (decoded once, every byte but ``A-Z a-z 0-9 - . _ ~ /`` escaped), because
HTTP libraries send ``/a$b`` for what SDKs sign as ``/a%24b``. Both forms decode to
the same path; so **callers must route on the path decoded once, and read ``+`` in
the query as a space**: that is what was signed.

Steps left to the caller: that the body has the digest that was signed
(``vault.checksums``), the chunk signatures (``vault.s3.chunked``), whether the
principal may do what it asks. A request can be replayed within the allowed time, as
with S3.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Final, Generic, TypeVar
from urllib.parse import quote_from_bytes, unquote_to_bytes

import msgspec

from vault.errors import S3Error
from vault.s3.authorization import Payload, Reason, payload_mode, read_authorization

#: A bucket and a key of 1,024 bytes, each byte escaped, fit in half of this.
MAX_PATH_BYTES: Final = 8 * 1024
MAX_QUERY_BYTES: Final = 16 * 1024
#: Header fields of one request, a count.
MAX_HEADERS: Final = 256
#: Signing keys kept, a count: one for each secret, day and region in use.
MAX_CACHED_KEYS: Final = 4096

_UNRESERVED: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_ONCE: Final = frozenset({b"authorization", b"host", b"x-amz-content-sha256", b"x-amz-date"})

P = TypeVar("P")

#: Access key -> (secret, principal), or None if no such key may sign.
Lookup = Callable[[str], tuple[bytes, P] | None]


class Verified(msgspec.Struct, Generic[P], frozen=True, gc=False):
    """A request whose signature is right.

    Attributes:
        access_key: Key that signed.
        principal: What the lookup returned for it.
        scope: Credential scope, ``yyyymmdd/region/s3/aws4_request``.
        region: Region of the scope; any is accepted.
        amz_date: Time of signing, ``yyyymmddThhmmssZ``.
        presigned: Authentication was in the query string.
        payload: What the signature covers of the body.
        content_sha256: SHA-256 the body must have, lowercase hex; None unless ``payload`` is SIGNED.
        seed_signature: The request's signature, lowercase hex: the first of the chunk signatures.
        signing_key: 32 bytes; a secret for the rest of the scope's day.
    """

    access_key: str
    principal: P
    scope: str
    region: str
    amz_date: str
    presigned: bool
    payload: Payload
    content_sha256: str | None
    seed_signature: str
    signing_key: bytes

    def __repr__(self) -> str:
        # The signing key must not reach a log.
        return f"Verified(access_key={self.access_key!r}, scope={self.scope!r}, payload={self.payload})"


def verify(
    method: str,
    raw_path: bytes,
    query: bytes,
    headers: Sequence[tuple[bytes, bytes]],
    *,
    now: float,
    lookup: Lookup[P],
) -> Verified[P]:
    """Verify the signature of one request, in its header or its query string.

    Thread-safe. Signing keys are cached by the secret itself, so a changed secret counts at
    once; that of a removed key stays in memory, unused, until it is evicted.

    Args:
        method: HTTP method as sent.
        raw_path: Path as sent, not normalised, without the query.
        query: Query string as sent, without ``?``.
        headers: Header fields in order, names in lower case.
        now: Wall clock, seconds since the epoch.
        lookup: Finds the secret and principal of an access key; called at most once.

    Returns:
        Who signed, and what was signed about the body.

    Raises:
        S3Error: Refused; ``reason`` is a :class:`vault.s3.authorization.Reason`.
    """
    # 1. Bounded.
    if len(raw_path) > MAX_PATH_BYTES or len(query) > MAX_QUERY_BYTES:
        raise S3Error("InvalidURI", reason=Reason.TOO_LARGE)
    if len(headers) > MAX_HEADERS:
        raise S3Error("InvalidRequest", f"At most {MAX_HEADERS} headers are allowed.", reason=Reason.TOO_LARGE)

    # 2. One claim, well formed, of the right time.
    fields = _fold(headers)
    pairs = _canonical_pairs(query) if query else []
    claim = read_authorization(fields, pairs, now)
    payload, content_sha256 = payload_mode(claim.payload)

    # 3. The key is known.
    found = lookup(claim.access_key)
    if found is None:
        raise S3Error("InvalidAccessKeyId", reason=Reason.UNKNOWN_KEY, AWSAccessKeyId=claim.access_key)
    secret, principal = found

    # 4. Whatever steers the request is signed.
    names = claim.signed_headers.split(b";")
    _require_signed(fields, names, claim.payload)

    # 5. The signature is right, for one of the forms the path may have been signed in.
    signing_key, signer = _signer(secret, claim.scope[:8], claim.region)
    canonical_query = b"&".join([name + b"=" + value for name, value in pairs if name != b"X-Amz-Signature"])
    canonical_headers = _canonical_headers(fields, names)
    for path in _paths(raw_path):
        request = b"\n".join(
            (
                method.encode(errors="replace"),
                path,
                canonical_query,
                canonical_headers,
                b"",
                claim.signed_headers,
                claim.payload,
            )
        )
        to_sign = f"AWS4-HMAC-SHA256\n{claim.amz_date}\n{claim.scope}\n{hashlib.sha256(request).hexdigest()}"
        mac = signer.copy()
        mac.update(to_sign.encode())
        expected = mac.hexdigest()
        if hmac.compare_digest(expected.encode(), claim.signature):
            return Verified(
                claim.access_key,
                principal,
                claim.scope,
                claim.region,
                claim.amz_date,
                claim.presigned,
                payload,
                content_sha256,
                expected,
                signing_key,
            )
    raise S3Error(
        "SignatureDoesNotMatch",
        reason=Reason.SIGNATURE,
        AWSAccessKeyId=claim.access_key,
        StringToSign=to_sign,
        SignatureProvided=claim.signature.decode("latin-1"),
        CanonicalRequest=request.decode("latin-1"),
    )


def _fold(headers: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Header fields by name; the values of a repeated one are joined by a comma, as signers do."""
    fields = dict(headers)
    if len(fields) == len(headers):
        return fields
    fields.clear()
    for name, value in headers:
        if name not in fields:
            fields[name] = value
        elif name in _ONCE:
            message = f"The {name.decode()} header must be given once."
            raise S3Error("InvalidRequest", message, reason=Reason.DUPLICATE_HEADER)
        else:
            fields[name] = fields[name].strip() + b"," + value.strip()
    return fields


def _canonical_pairs(query: bytes) -> list[tuple[bytes, bytes]]:
    """Name and value of each query parameter, in canonical encoding and order."""
    pairs = []
    for item in query.split(b"&"):
        if item:
            name, _, value = item.partition(b"=")
            pairs.append((_requote(name), _requote(value)))
    pairs.sort()
    return pairs


def _requote(text: bytes) -> bytes:
    if not text.translate(None, _UNRESERVED):
        return text
    return quote_from_bytes(unquote_to_bytes(text.replace(b"+", b" ")), safe="").encode()


def _paths(raw_path: bytes) -> Iterator[bytes]:
    yield raw_path or b"/"
    yield quote_from_bytes(unquote_to_bytes(raw_path), safe="/").encode()


def _require_signed(fields: dict[bytes, bytes], names: Sequence[bytes], payload: bytes) -> None:
    unlisted = fields.keys() - names
    unsigned = [name for name in unlisted if name.startswith((b"x-amz-", b"x-strongroom-"))]
    # The canonical request ends in the payload line, so a header of that value is signed without being listed.
    if b"x-amz-content-sha256" in unlisted and fields[b"x-amz-content-sha256"] == payload:
        unsigned.remove(b"x-amz-content-sha256")
    if b"host" not in names:
        unsigned.append(b"host")
    if unsigned:
        raise S3Error(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            reason=Reason.UNSIGNED_HEADERS,
            HeadersNotSigned=b", ".join(sorted(unsigned)).decode("latin-1"),
        )


def _canonical_headers(fields: dict[bytes, bytes], names: Sequence[bytes]) -> bytes:
    # A header that is listed but absent counts as empty: the signature differs if it had a value.
    lines = b"\n".join([name + b":" + fields.get(name, b"").strip() for name in names])
    if b"  " in lines or b"\t" in lines:
        return b"\n".join([name + b":" + b" ".join(fields.get(name, b"").split()) for name in names])
    return lines


@lru_cache(MAX_CACHED_KEYS)
def _signer(secret: bytes, day: str, region: str) -> tuple[bytes, hmac.HMAC]:
    """The signing key, and an HMAC under it to copy: half the price of keying a new one."""
    key = b"AWS4" + secret
    for step in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, step.encode(), "sha256")
    return key, hmac.new(key, digestmod="sha256")
