r"""The ``aws-chunked`` framing of a body: chunks, their signatures, trailers.

Sources: "Transferring Payload in Multiple Chunks" and "Including Trailing Headers"
of the Amazon S3 API reference; the endings that SDKs are known to send::

    10000;chunk-signature=<64 hex>\r\n     size in hex; no extension when unsigned
    <65536 bytes>\r\n
    0;chunk-signature=<64 hex>\r\n
    x-amz-checksum-crc32c:sOO8/Q==\r\n     trailers, if announced; some end in \n only
    x-amz-trailer-signature:<64 hex>\r\n   if chunks are signed
    \r\n                                   may be missing, or come before a trailer too

A chunk's signature can be checked only when its last byte is there, and chunks may be
large, so payload is handed on before: **nothing that :meth:`ChunkedDecoder.feed`
returned may count until** :meth:`ChunkedDecoder.finish` **has returned**. Memory is
bounded by one line.

Not handled here: HTTP's own chunking, what a trailer means and whether its checksum
is right (``vault.checksums``), Signature Version 4A.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING, Any, Final

from vault.errors import S3Error
from vault.s3.authorization import Payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from vault.s3.sigv4 import Verified

#: Decoded bytes of one body, and so of one chunk; S3's bound on a single upload.
MAX_BODY_BYTES: Final = 5 * 1024**3
#: Every chunk but the last has at least this many bytes (S3's rule, and a bound on our work).
MIN_CHUNK_BYTES: Final = 8 * 1024
#: A chunk header or a trailer, with its line ending; the longest that SDKs send has some 150 bytes.
MAX_LINE_BYTES: Final = 1024
#: Trailers of one body, a count; S3 defines one a body.
MAX_TRAILERS: Final = 8
#: Empty lines after the last chunk, a count.
MAX_EMPTY_LINES: Final = 2

_EMPTY_SHA256: Final = hashlib.sha256().hexdigest()
_SIGNED_HEADER: Final = re.compile(rb"([0-9A-Fa-f]{1,16});chunk-signature=([0-9a-f]{64})")
_UNSIGNED_HEADER: Final = re.compile(rb"([0-9A-Fa-f]{1,16})")
_LENGTH: Final = re.compile(rb"[0-9]{1,15}")
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_SIGNATURE_TRAILER: Final = "x-amz-trailer-signature"
_TERMINATED: Final = "The request body terminated unexpectedly"
_MALFORMED_TRAILER: Final = (
    "The request contained trailing data that was not well-formed or did not conform to our published schema."
)


class ChunkSignatures:
    """The chain of signatures that begins with the request's; not thread-safe.

    Args:
        verified: The request whose signature is the seed.
    """

    def __init__(self, verified: Verified[Any]) -> None:
        self._key = verified.signing_key
        self._time_and_scope = f"{verified.amz_date}\n{verified.scope}"
        self._previous = verified.seed_signature

    def chunk(self, sha256: str, claimed: bytes) -> bool:
        """Tell whether the next chunk, of this SHA-256 in hex, was signed as claimed."""
        return self._next(f"AWS4-HMAC-SHA256-PAYLOAD\n{self._time_and_scope}", f"{_EMPTY_SHA256}\n{sha256}", claimed)

    def trailers(self, trailers: dict[str, str], claimed: bytes) -> bool:
        """Tell whether the trailers were signed as claimed, each as ``name:value`` and a newline, by name."""
        canonical = "".join(f"{name}:{trailers[name]}\n" for name in sorted(trailers))
        sha256 = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
        return self._next(f"AWS4-HMAC-SHA256-TRAILER\n{self._time_and_scope}", sha256, claimed)

    def _next(self, head: str, tail: str, claimed: bytes) -> bool:
        to_sign = f"{head}\n{self._previous}\n{tail}"
        self._previous = hmac.digest(self._key, to_sign.encode(), "sha256").hex()
        return hmac.compare_digest(self._previous.encode(), claimed)


def announced_trailers(value: bytes | None) -> tuple[str, ...]:
    """Read an ``x-amz-trailer`` header.

    Args:
        value: The header, or None if there is none.

    Returns:
        The names in lower case, in order.

    Raises:
        S3Error: A name is malformed or repeated, or there are too many.
    """
    if value is None:
        return ()
    names = tuple(name.strip() for name in value.decode("latin-1").lower().split(",", MAX_TRAILERS))
    if len(names) > MAX_TRAILERS or len(set(names)) < len(names) or not all(_NAME.fullmatch(name) for name in names):
        raise S3Error("InvalidRequest", "The value specified in the x-amz-trailer header is not supported")
    return names


def strip_aws_chunked(content_encoding: str) -> str | None:
    """Take the transport's own coding out of a ``Content-Encoding`` that is to be stored.

    Args:
        content_encoding: The header as sent.

    Returns:
        The header unchanged if ``aws-chunked`` is not in it, else what is left; None if that is nothing.
    """
    codings = [coding.strip() for coding in content_encoding.split(",")]
    kept = [coding for coding in codings if coding.lower() != "aws-chunked"]
    if len(kept) == len(codings):
        return content_encoding
    return ", ".join(coding for coding in kept if coding) or None


def decoder(verified: Verified[Any], decoded_length: bytes | None, trailer: bytes | None) -> ChunkedDecoder:
    """Make the decoder that a request's payload mode asks for.

    Args:
        verified: The request; its ``payload`` is one of the three streaming modes.
        decoded_length: The ``x-amz-decoded-content-length`` header.
        trailer: The ``x-amz-trailer`` header.

    Returns:
        A decoder at the start of the body.

    Raises:
        S3Error: A header is missing, malformed or too large.
    """
    if decoded_length is None:
        raise S3Error("MissingContentLength")
    if not _LENGTH.fullmatch(decoded_length):
        raise S3Error("InvalidArgument", ArgumentName="x-amz-decoded-content-length")
    length = int(decoded_length)
    if length > MAX_BODY_BYTES:
        raise S3Error("EntityTooLarge", MaxSizeAllowed=str(MAX_BODY_BYTES), ProposedSize=str(length))
    names = announced_trailers(trailer)
    if names and verified.payload is Payload.STREAMING:
        raise S3Error("InvalidRequest", f"x-amz-trailer cannot be used with {verified.payload.value}.")
    signatures = None if verified.payload is Payload.STREAMING_UNSIGNED_TRAILER else ChunkSignatures(verified)
    return ChunkedDecoder(length, names, signatures, signed_trailers=verified.payload is Payload.STREAMING_TRAILER)


class ChunkedDecoder:
    """Incremental decoder of one body; not thread-safe.

    Args:
        length: Decoded length that was announced, bytes.
        trailers: Names of the trailers that were announced, lower case.
        signatures: Chain to check chunks with, or None if they are not signed.
        signed_trailers: The trailers end in a signature.
    """

    def __init__(
        self,
        length: int,
        trailers: tuple[str, ...] = (),
        signatures: ChunkSignatures | None = None,
        *,
        signed_trailers: bool = False,
    ) -> None:
        self._missing = length
        self._announced = trailers
        self._signatures = signatures
        self._trailers_signed = not signed_trailers
        self._trailers: dict[str, str] = {}
        self._empty_lines = 0
        self._on_line: Callable[[bytes], None] = self._chunk_header
        self._line = b""
        self._chunk_size = MIN_CHUNK_BYTES
        self._chunk_missing = 0
        self._chunk_signature = b""
        self._chunk_sha256 = hashlib.sha256()
        self._refusal: S3Error | None = None

    def feed(self, data: bytes) -> list[memoryview]:
        """Decode the next bytes of the body.

        Args:
            data: Any number of bytes as they came; the pieces returned are views of it.

        Returns:
            Payload in order, **not yet to be trusted** (see the module).

        Raises:
            S3Error: The body is malformed or a signature is wrong; the decoder stays refused.
        """
        if self._refusal is not None:
            raise self._refusal
        view = memoryview(data)
        pieces = []
        at = 0
        while at < len(data):
            if self._chunk_missing:
                piece = view[at : at + self._chunk_missing]
                at += len(piece)
                self._payload(piece)
                pieces.append(piece)
                continue
            end = data.find(b"\n", at, at + MAX_LINE_BYTES) + 1
            self._line += data[at : end or at + MAX_LINE_BYTES]
            if len(self._line) > MAX_LINE_BYTES or (not end and len(self._line) == MAX_LINE_BYTES):
                raise self._refuse("IncompleteBody", "line_too_long", "A chunk header or trailer is too long.")
            if not end:
                break
            at = end
            line, self._line = self._line, b""
            self._on_line(line)
        return pieces

    def finish(self) -> dict[str, str]:
        """Say that the body has ended.

        Returns:
            The trailers that were announced, by name in lower case, without the signature.

        Raises:
            S3Error: Something is missing, or an earlier call was refused.
        """
        if self._refusal is not None:
            raise self._refusal
        if self._on_line != self._trailer or self._line:
            raise self._refuse("IncompleteBody", "truncated", _TERMINATED)
        if not self._trailers_signed or len(self._trailers) < len(self._announced):
            raise self._malformed_trailer()
        return self._trailers

    def _payload(self, piece: memoryview) -> None:
        self._chunk_missing -= len(piece)
        if self._signatures is not None:
            self._chunk_sha256.update(piece)
        if not self._chunk_missing:
            self._check_chunk()
            self._on_line = self._chunk_end

    def _chunk_header(self, line: bytes) -> None:
        pattern = _UNSIGNED_HEADER if self._signatures is None else _SIGNED_HEADER
        header = pattern.fullmatch(line[:-2]) if line.endswith(b"\r\n") else None
        if header is None:
            raise self._refuse("IncompleteBody", "malformed_chunk", _TERMINATED)
        size = int(header[1], 16)
        if size > self._missing or (size == 0 and self._missing):
            raise self._refuse("IncompleteBody", "decoded_length")
        if size and self._chunk_size < MIN_CHUNK_BYTES:
            raise self._refuse("InvalidChunkSizeError", "chunk_size")
        self._chunk_size = self._chunk_missing = size
        self._missing -= size
        if self._signatures is not None:
            self._chunk_signature = header[2]
            self._chunk_sha256 = hashlib.sha256()
        if size == 0:
            self._check_chunk()
            self._on_line = self._trailer

    def _chunk_end(self, line: bytes) -> None:
        if line != b"\r\n":
            raise self._refuse("IncompleteBody", "malformed_chunk", _TERMINATED)
        self._on_line = self._chunk_header

    def _check_chunk(self) -> None:
        signatures = self._signatures
        if signatures is not None and not signatures.chunk(self._chunk_sha256.hexdigest(), self._chunk_signature):
            raise self._refuse("SignatureDoesNotMatch", "chunk_signature")

    def _trailer(self, line: bytes) -> None:
        text = line.decode("latin-1").removesuffix("\n").removesuffix("\r")
        name, colon, value = (part.strip(" \t") for part in text.partition(":"))
        name = name.lower()
        if not text:
            self._empty_lines += 1
            if self._empty_lines > MAX_EMPTY_LINES:
                raise self._malformed_trailer()
        elif name == _SIGNATURE_TRAILER and not self._trailers_signed and self._signatures is not None:
            if len(self._trailers) < len(self._announced):
                raise self._malformed_trailer()
            if not self._signatures.trailers(self._trailers, value.encode("latin-1")):
                raise self._refuse("SignatureDoesNotMatch", "trailer_signature")
            self._trailers_signed = True
        elif colon and name in self._announced and name not in self._trailers:
            self._trailers[name] = value
        else:
            raise self._malformed_trailer()

    def _malformed_trailer(self) -> S3Error:
        return self._refuse("InvalidRequest", "malformed_trailer", _MALFORMED_TRAILER)

    def _refuse(self, code: str, reason: str, message: str | None = None) -> S3Error:
        self._refusal = S3Error(code, message, reason=reason)
        return self._refusal
