"""What goes into the service: values that the wire layer makes of requests.

Not handled here: what comes out (``vault.service.results``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from vault.checksums import BodyDigests
    from vault.record import Actor, LockRef, Origin

#: (first, last), both inclusive; (first, None): to the end; (None, n): the last n bytes. Never (None, None).
ByteRange = tuple[int | None, int | None]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, over which connection.

    Attributes:
        actor: The principal, whose signature was verified.
        origin: The connection and the request's id.
        http: Method and raw target without signature parameters, at most 1 KiB: for people who read the record.
        received: When the request came, wall clock, ns since the epoch.
    """

    actor: Actor
    origin: Origin
    http: str
    received: int


class BodyCheck(Protocol):
    """What a request claims of its body, and the digests that tell whether it is true.

    The service feeds :attr:`digests` every byte in order, from worker threads but never one half of them from two at
    once, exhausts the body, and then asks once.
    """

    @property
    def digests(self) -> BodyDigests:
        """MD5, SHA-256, and the checksum that the client named."""

    def verify(self) -> None:
        """Compare with what was claimed, trailers included, after the body was exhausted.

        Raises:
            S3Error: BadDigest, XAmzContentSHA256Mismatch, InvalidRequest …
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class PutSpec:
    """An object to be made.

    Attributes:
        bucket: Its bucket.
        key: Its key, at most 1,024 bytes of UTF-8.
        length: Bytes of the decoded body.
        checks: Verifies the body.
        headers: To be stored and given back: names in lower case.
        metadata: User metadata, names in lower case without prefix.
        lock: Retention asked for; None leaves it to the bucket's default.
        hold: Legal hold asked for; None where nothing is said.
        if_none_match: The key must have no current version (``If-None-Match: *``).
        if_match: ETag, without quotes, that the current version must have; empty for any.
    """

    bucket: str
    key: str
    length: int
    checks: BodyCheck
    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    lock: LockRef | None = None
    hold: bool | None = None
    if_none_match: bool = False
    if_match: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractSpec:
    """An archive whose members are to be made objects; fields as in :class:`PutSpec`, of all of them.

    Attributes:
        key: What the request named: no object's key.
        length: Bytes of the archive as it is sent.
        checks: Verifies the archive.
        prefix: What all keys begin with, from :func:`vault.archive.contents.checked_prefix`.
        described: Makes stored headers and user metadata of what a member's extended header says, both as in
            :class:`PutSpec`; raises S3Error where they cannot be stored. Called in a worker thread.
        tolerant: Bad members are skipped and told; else they refuse the archive.
        needs_md5: ``checks`` looks at the MD5. No ETag is made of the archive, so else it is not computed.
    """

    bucket: str
    key: str
    length: int
    checks: BodyCheck
    described: Callable[[Mapping[str, str]], tuple[dict[str, str], dict[str, str]]]
    prefix: str = ""
    lock: LockRef | None = None
    hold: bool | None = None
    if_none_match: bool = False
    tolerant: bool = False
    needs_md5: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadSpec:
    """A multipart upload to be begun; fields as in :class:`PutSpec`.

    Attributes:
        algorithm: Checksum algorithm in capitals; empty for none.
        checksum_type: COMPOSITE, FULL_OBJECT, or empty for the algorithm's own.
    """

    bucket: str
    key: str
    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    lock: LockRef | None = None
    hold: bool | None = None
    algorithm: str = ""
    checksum_type: str = ""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions of a read (RFC 9110 §13.1). ETags without quotes, ``("*",)`` for any; dates in s since the epoch."""

    if_match: tuple[str, ...] = ()
    if_none_match: tuple[str, ...] = ()
    modified_since: int | None = None
    unmodified_since: int | None = None


@dataclass(frozen=True, slots=True)
class CompletedPart:
    """A part as a completion names it: ETag without quotes; ``checksum`` (algorithm, base64) where given."""

    number: int
    etag: str
    checksum: tuple[str, str] | None = None
