"""The body of a request: read only when asked for, piece by piece, bounded, held against what was claimed of it.

Reading begins with the first ``receive``, which is when the HTTP server answers ``Expect: 100-continue``. Whatever
ends a body early is IncompleteBody: the client left, sent less than it said, or nothing for :data:`STALL_SECONDS`.

Not handled here: the digests themselves (``vault.checksums``), the ``aws-chunked`` framing (``vault.s3.chunked``).
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any, Final

from vault.checksums import BodyDigests
from vault.errors import S3Error
from vault.s3.authorization import Payload, Reason
from vault.s3.chunked import MAX_BODY_BYTES, announced_trailers, decoder
from vault.s3.claims import Claims, check_body, read_claims

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from vault.s3.responses import Receive
    from vault.s3.sigv4 import Verified

#: A client that sends nothing for this long is given up, seconds.
STALL_SECONDS: Final = 60.0
#: What may stay unread on a connection that is used again, bytes: the HTTP server reads past it.
MAX_UNREAD_BYTES: Final = 64 * 1024

#: ASGI extension: its ``body`` is a function that says whether ``receive`` would answer at once.
READY: Final = "strongroom.ready"

#: What a length counts as that no number of ours holds.
_TOO_LONG: Final = 1 << 62
_EMPTY: Final = hashlib.sha256(b"").hexdigest()
_UNANNOUNCED: Final = "aws-chunked framing without x-amz-content-sha256: STREAMING-… would be stored as the object."
_STREAMING: Final = frozenset(Payload) - {Payload.SIGNED, Payload.UNSIGNED}
_CHECKSUMS: Final = (b"x-amz-checksum-", b"x-amz-sdk-checksum-")
_MISSING_CHECKSUM: Final = "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"


class BodyCheck:
    """What a body's digests must be (``vault.service.context.BodyCheck``).

    Args:
        claims: From the headers.
        content_sha256: What the signature says of the body, lowercase hex; None if nothing.

    Attributes:
        digests: To be fed with the body.
        trailers: Filled in when the body has ended.
    """

    __slots__ = ("_claims", "_content_sha256", "digests", "trailers")

    def __init__(self, claims: Claims, content_sha256: str | None) -> None:
        self._claims = claims
        self._content_sha256 = content_sha256
        self.digests = BodyDigests(claims.algorithm)
        self.trailers: Mapping[str, str] = {}

    @property
    def claimed(self) -> bool:
        """Whether the headers claim anything beside what is signed."""
        return self._claims.md5 is not None or self._claims.claimed is not None

    @property
    def needs_md5(self) -> bool:
        """Whether anything that is claimed is an MD5."""
        algorithm = self._claims.algorithm
        return self._claims.md5 is not None or (algorithm is not None and algorithm.name == "MD5")

    def verify(self) -> None:
        """Compare, after the last byte.

        Raises:
            S3Error: BadDigest, XAmzContentSHA256Mismatch, InvalidRequest.
        """
        check_body(self._claims, self.digests, self._content_sha256, self.trailers)


class Body:
    """One request's body; read at most once.

    Args:
        receive: ASGI's.
        raw: Header fields as sent, names in lower case.
        fields: The same, decoded.
        ready: Of the extension :data:`READY`: who need not wait needs no watch against stalling, which costs more than
            receiving a piece does.

    Attributes:
        received: Bytes of it that were read, as sent.
        verified: What the signature covers; nothing is read before it is set.
    """

    __slots__ = (
        "_check", "_declared", "_ended", "_fields", "_raw", "_ready", "_receive", "_started", "received", "verified"
    )  # fmt: skip

    def __init__(
        self,
        receive: Receive,
        raw: Sequence[tuple[bytes, bytes]],
        fields: Mapping[str, str],
        ready: Callable[[], bool] | None = None,
    ) -> None:
        self._receive = receive
        self._ready = ready
        self._raw = raw
        self._fields = fields
        self._check: BodyCheck | None = None
        self._declared = _number(fields.get("content-length"))
        if self._declared < 0 and "content-length" in fields:
            self._declared = _TOO_LONG
        self._started = False
        self._ended = self._declared <= 0 and "transfer-encoding" not in fields
        self.received = 0
        self.verified: Verified[Any] | None = None

    @property
    def cuts(self) -> bool:
        """Whether the connection cannot be used again, because of what was left unread.

        With ``Expect: 100-continue`` unanswered nobody can say whether the body will be sent. One that was begun and
        not ended was given up for a reason.
        """
        if self._ended:
            return False
        return self._started or not 0 < self._declared <= MAX_UNREAD_BYTES or "expect" in self._fields

    def _covered(self) -> Verified[Any]:
        if self.verified is None:
            raise S3Error("AccessDenied", reason=Reason.ANONYMOUS)
        return self.verified

    def length(self, limit: int) -> int:
        """Bytes of the decoded body, as declared.

        Args:
            limit: At most this many.

        Raises:
            S3Error: MissingContentLength, EntityTooLarge.
        """
        length = self._declared
        if self._covered().payload in _STREAMING:
            length = _number(self._fields.get("x-amz-decoded-content-length"))
        elif "x-amz-decoded-content-length" in self._fields or self._chunked():
            raise S3Error("InvalidRequest", _UNANNOUNCED, reason="framing")
        if length < 0:
            raise S3Error("MissingContentLength")
        if length > limit:
            raise S3Error("EntityTooLarge", ProposedSize=str(length), MaxSizeAllowed=str(limit))
        return length

    def _chunked(self) -> bool:
        codings = self._fields.get("content-encoding", "").lower().split(",")
        return "aws-chunked" in map(str.strip, codings)

    async def unread(self) -> None:
        """Hold a body that the operation does not read to what was signed of it.

        Raises:
            S3Error: As :meth:`document`; XAmzContentSHA256Mismatch also where there is no body and one was signed.
        """
        if not self._ended and self._declared > MAX_UNREAD_BYTES:
            return  # the connection ends with it
        signed = self._covered().content_sha256
        if not self._ended:
            await self.document(MAX_UNREAD_BYTES, required=False)
        elif signed is not None and signed != _EMPTY:
            raise S3Error("XAmzContentSHA256Mismatch")

    def check(self, *, apart: bool = False) -> BodyCheck:
        """What the request claims of this body; its trailers join when :meth:`pieces` ends.

        Args:
            apart: The ``x-amz-checksum-*`` headers are of something else.

        Raises:
            S3Error: A claim is malformed.
        """
        if self._check is None:
            raw = [field for field in self._raw if not field[0].startswith(_CHECKSUMS)] if apart else self._raw
            trailers = announced_trailers(self._raw_field(b"x-amz-trailer"))
            self._check = BodyCheck(read_claims(raw, trailers), self._covered().content_sha256)
        return self._check

    def _raw_field(self, name: bytes) -> bytes | None:
        value = self._fields.get(name.decode())
        return None if value is None else value.encode("latin-1")

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The decoded body; nothing of it counts before it has ended without an error.

        Raises:
            S3Error: IncompleteBody; what the ``aws-chunked`` framing refuses.
        """
        chunks = None
        verified = self._covered()
        if verified.payload in _STREAMING:
            length = self._raw_field(b"x-amz-decoded-content-length")
            chunks = decoder(verified, length, self._raw_field(b"x-amz-trailer"))
        self._started = True
        more = True
        while more:
            message = await self._next()
            data: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            self.received += len(data)
            if chunks is not None:
                for view in chunks.feed(data):
                    yield bytes(view)
            elif data:
                yield data
        self._ended = True
        if self._declared >= 0 and self.received != self._declared:
            raise S3Error("IncompleteBody")
        if chunks is not None:
            self.check().trailers = chunks.finish()

    async def _next(self) -> dict[str, Any]:
        if self._ready is not None and self._ready():
            message = await self._receive()
        else:
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    message = await self._receive()
            except TimeoutError as error:
                raise S3Error("IncompleteBody", reason="stalled") from error
        if message["type"] != "http.request":
            self._ended = True
            raise S3Error("IncompleteBody")
        return message

    async def document(self, limit: int, *, required: bool = True, apart: bool = False) -> bytes:
        """Read a body that is a document, and verify it.

        Args:
            limit: At most this many bytes.
            required: The request must name a checksum of it.
            apart: The ``x-amz-checksum-*`` headers are of something else.

        Raises:
            S3Error: InvalidRequest for a missing checksum, MaxMessageLengthExceeded, what :meth:`pieces` and the
                checks raise.
        """
        if not self._ended and self.length(MAX_BODY_BYTES) > limit:
            raise S3Error("MaxMessageLengthExceeded", MaxMessageLengthBytes=str(limit))
        check = self.check(apart=apart)
        if required and not check.claimed:
            raise S3Error("InvalidRequest", _MISSING_CHECKSUM, reason="checksum_missing")
        data = b"" if self._ended else b"".join([piece async for piece in self.pieces()])
        check.digests.update(data)
        check.verify()
        return data


def _number(text: str | None) -> int:
    """A length, or -1 where there is none."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 19 else -1
