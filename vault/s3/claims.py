"""What a request claims about the digests of its body, read strictly and held against what was computed.

Sources: the S3 API reference (``Content-MD5``, ``x-amz-checksum-*``, ``x-amz-trailer``,
``x-amz-sdk-checksum-algorithm``, ``x-amz-checksum-type``) and S3's answers as recorded
by others; refusals are worded as S3 words them.

Not handled here: computing (``vault.checksums``), how trailers are framed and signed
(``vault.s3.chunked``), which operations insist on a checksum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vault.checksums import ChecksumType, find_algorithm, from_base64, multipart_type, parse_checksum, to_base64
from vault.errors import S3Error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vault.checksums import Algorithm, BodyDigests, Checksum

_PREFIX: Final = b"x-amz-checksum-"
#: What the headers begin with that claim anything.
_CLAIMS: Final = (_PREFIX, b"content-md5", b"x-amz-sdk-checksum-algorithm")
#: Headers that begin like a checksum and are none.
_NOT_CHECKSUMS: Final = frozenset({b"x-amz-checksum-algorithm", b"x-amz-checksum-mode", b"x-amz-checksum-type"})
_MULTIPLE: Final = "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."


@dataclass(frozen=True, slots=True)
class Claims:
    """What a request claims its body's digests to be; made by :func:`read_claims`.

    Attributes:
        md5: From Content-MD5, 16 bytes.
        checksum: From an ``x-amz-checksum-*`` header.
        trailing: Algorithm whose value follows in a trailer.
        asked: Algorithm to compute where no value is claimed (``x-amz-checksum-algorithm``, of MinIO's SDKs).
    """

    md5: bytes | None = None
    checksum: Checksum | None = None
    trailing: Algorithm | None = None
    asked: Algorithm | None = None

    @property
    def claimed(self) -> Algorithm | None:
        """The algorithm of the checksum that is claimed, in a header or a trailer."""
        return self.trailing if self.checksum is None else self.checksum.algorithm

    @property
    def algorithm(self) -> Algorithm | None:
        """The algorithm that the body is to be digested with, if the client chose one."""
        return self.claimed or self.asked


def checksum_header(headers: Sequence[tuple[bytes, bytes]]) -> tuple[Algorithm, str] | None:
    """Find the one ``x-amz-checksum-*`` header and its value, unparsed.

    On CompleteMultipartUpload the value is the object's, see :func:`vault.checksums.multipart_checksum`.

    Raises:
        S3Error: NotImplemented for an algorithm we do not have, InvalidRequest for more than one header.
    """
    found = [
        (find_algorithm(name[len(_PREFIX) :].decode("latin-1")), value.decode("latin-1").strip())
        for name, value in headers
        if name.startswith(_PREFIX) and name not in _NOT_CHECKSUMS
    ]
    if len(found) > 1:
        raise S3Error("InvalidRequest", _MULTIPLE, reason="checksum_headers")
    return found[0] if found else None


def read_claims(headers: Sequence[tuple[bytes, bytes]], trailers: Sequence[str] = ()) -> Claims:
    """Read everything that a request claims about the digests of its body.

    Args:
        headers: Header fields, names in lower case.
        trailers: Names that ``x-amz-trailer`` announces, lower case.

    Returns:
        The claims, well formed.

    Raises:
        S3Error: A value is malformed (InvalidDigest, InvalidRequest), there is more than one checksum
            (InvalidRequest), or one that we cannot compute (NotImplemented).
    """
    headers = [field for field in headers if field[0].startswith(_CLAIMS)]
    found = checksum_header(headers)
    trailing = [_trailing_algorithm(name) for name in trailers]
    if len(trailing) + (found is not None) > 1:
        raise S3Error("InvalidRequest", _MULTIPLE, reason="checksum_headers")
    asked = [find_algorithm(name) for name in _values(headers, b"x-amz-checksum-algorithm")]
    claims = Claims(
        md5=_md5(_values(headers, b"content-md5")),
        checksum=parse_checksum(*found) if found else None,
        trailing=trailing[0] if trailing else None,
        asked=asked[0] if asked else None,
    )
    if any(algorithm is not claims.algorithm for algorithm in asked):
        raise S3Error("InvalidRequest", _MULTIPLE, reason="checksum_headers")
    for name in _values(headers, b"x-amz-sdk-checksum-algorithm"):
        algorithm = find_algorithm(name)
        if claims.claimed is None:
            message = (
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer "
                "headers were found."
            )
            raise S3Error("InvalidRequest", message, reason="checksum_missing")
        if algorithm is not claims.claimed:
            message = "Value for x-amz-sdk-checksum-algorithm header is invalid."
            raise S3Error("InvalidRequest", message, reason="checksum_algorithm")
    return claims


def check_body(
    claims: Claims,
    digests: BodyDigests,
    content_sha256: str | None = None,
    trailers: Mapping[str, str] | None = None,
) -> None:
    """Hold a whole body against everything that was claimed of it.

    Args:
        claims: From the headers.
        digests: Of the body, with the claims' algorithm.
        content_sha256: SHA-256 that the request's signature covers, lowercase hex.
        trailers: By name in lower case.

    Raises:
        S3Error: XAmzContentSHA256Mismatch or BadDigest; InvalidRequest for a malformed trailer.
    """
    if content_sha256 is not None and content_sha256 != digests.sha256.hex():
        raise S3Error(
            "XAmzContentSHA256Mismatch",
            ClientComputedContentSHA256=content_sha256,
            S3ComputedContentSHA256=digests.sha256.hex(),
        )
    if claims.md5 is not None and claims.md5 != digests.md5:
        raise S3Error("BadDigest", ExpectedDigest=to_base64(claims.md5), CalculatedDigest=to_base64(digests.md5))
    claimed = claims.checksum
    if claims.trailing is not None:
        claimed = parse_checksum(claims.trailing, (trailers or {}).get(claims.trailing.header, ""), trailing=True)
    if claimed is not None and claimed != digests.checksum:
        raise bad_checksum(claimed.algorithm)


def read_upload(headers: Sequence[tuple[bytes, bytes]]) -> tuple[Algorithm, ChecksumType] | None:
    """Read the checksum that CreateMultipartUpload asks for.

    Returns:
        Algorithm and type, or None if it asks for none.

    Raises:
        S3Error: NotImplemented for an algorithm we do not have, InvalidRequest for a type it cannot have.
    """
    names = _values(headers, b"x-amz-checksum-algorithm")
    types = _values(headers, b"x-amz-checksum-type")
    if len(names) > 1 or len(types) > 1:
        raise S3Error("InvalidRequest", _MULTIPLE, reason="checksum_headers")
    if names:
        algorithm = find_algorithm(names[0])
        return algorithm, multipart_type(algorithm, types[0] if types else None)
    if types:
        message = "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header."
        raise S3Error("InvalidRequest", message, reason="checksum_type")
    return None


def check_completion(
    algorithm: Algorithm, created: ChecksumType, requested: str | None, parts: Mapping[int, Mapping[str, str]]
) -> None:
    """Check what a completion says about checksums before its parts are looked up.

    Args:
        algorithm: Of the upload.
        created: Type of the upload.
        requested: ``x-amz-checksum-type`` of the completion.
        parts: By part number, the checksums that the completion lists: algorithm to value.

    Raises:
        S3Error: InvalidRequest for another type, another algorithm, or a missing checksum (COMPOSITE).
    """
    if requested is not None and requested != created:
        raise S3Error(
            "InvalidRequest",
            f"The upload was created using the {created} checksum mode. "
            "The complete request must use the same checksum mode.",
            reason="checksum_type",
        )
    for number, claimed in parts.items():
        if created is ChecksumType.COMPOSITE and not claimed:
            raise S3Error(
                "InvalidRequest",
                f"The upload was created using a {algorithm.name.lower()} checksum. The complete request must include "
                f"the checksum for each part. It was missing for part {number} in the request.",
                reason="checksum_missing",
            )
        for other in claimed:
            require_algorithm(algorithm, find_algorithm(other))


def require_algorithm(created: Algorithm, used: Algorithm) -> None:
    """Hold a part, or a completion, to the algorithm of its upload.

    Raises:
        S3Error: InvalidRequest.
    """
    if used is not created:
        raise S3Error(
            "InvalidRequest",
            f"Checksum Type mismatch occurred, expected checksum Type: {created.name.lower()}, "
            f"actual checksum Type: {used.name.lower()}",
            reason="checksum_algorithm",
        )


def bad_checksum(algorithm: Algorithm) -> S3Error:
    """Make the refusal of a checksum that is not that of the body."""
    return S3Error("BadDigest", f"The {algorithm.name} you specified did not match the calculated checksum.")


def _values(headers: Sequence[tuple[bytes, bytes]], wanted: bytes) -> list[str]:
    return [value.decode("latin-1").strip() for name, value in headers if name == wanted]


def _md5(values: list[str]) -> bytes | None:
    if not values:
        return None
    digest = from_base64(values[0])
    if len(values) > 1 or digest is None or len(digest) != 16:
        raise S3Error("InvalidDigest")
    return digest


def _trailing_algorithm(name: str) -> Algorithm:
    if not name.startswith(_PREFIX.decode()):
        message = "The value specified in the x-amz-trailer header is not supported"
        raise S3Error("InvalidRequest", message, reason="trailer_name")
    return find_algorithm(name[len(_PREFIX) :])
