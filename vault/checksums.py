"""The digests that S3 knows: computed over a body in one pass, written as S3 writes them, combined over parts.

Source: "Checking object integrity in Amazon S3" (user guide). All ten algorithms that
S3 names are computed, CRCs and XXHash by awscrt, the others by hashlib; another one is
refused as NotImplemented, never ignored.

The digest of a multipart object is either COMPOSITE, the digest of its parts' digests
with ``-N`` behind it, or FULL_OBJECT, as if it had been sent at once. The latter is
combined from the parts' digests without reading them again, which only CRCs allow;
CRC64NVME allows nothing else.

Not handled here: what clients claim (``vault.s3.claims``), ETags, which algorithm is
used when a client names none.
"""

from __future__ import annotations

import binascii
import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from awscrt import checksums as crt

from vault.errors import S3Error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PREFIX: Final = "x-amz-checksum-"


class Digest(Protocol):
    """An incremental digest; not thread-safe."""

    def update(self, data: bytes | memoryview, /) -> None:
        """Add bytes; releases the GIL while working on large ones."""

    def digest(self) -> bytes:
        """The digest of all bytes so far, big-endian where it is a number."""


@dataclass(frozen=True, slots=True, eq=False)
class Algorithm:
    """A checksum algorithm of S3; the ten instances are in :data:`ALGORITHMS`.

    Attributes:
        name: S3's name, in capitals.
        size: Of a digest, bytes.
        new: Starts a digest.
        combine: For a CRC: (first, second, length of the second's data in bytes) to the CRC of both.
    """

    name: str
    size: int
    new: Callable[[], Digest]
    combine: Callable[[int, int, int], int] | None = None

    @property
    def header(self) -> str:
        """Header, trailer or response header of the value."""
        return _PREFIX + self.name.lower()


class _Crc:
    __slots__ = ("_compute", "_size", "_value")

    def __init__(self, compute: Callable[[bytes | memoryview, int], int], size: int) -> None:
        self._compute = compute
        self._size = size
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = self._compute(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


class _XxHash:
    __slots__ = ("_state",)

    def __init__(self, new: Callable[[], crt.XXHash]) -> None:
        self._state = new()

    def update(self, data: bytes | memoryview, /) -> None:
        self._state.update(bytes(data))  # no memoryview, whatever awscrt's annotation says; bytes are not copied

    def digest(self) -> bytes:
        digest: bytes = self._state.finalize()
        return digest


_md5: Final = partial(hashlib.md5, usedforsecurity=False)

#: By name.
ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("CRC32", 4, partial(_Crc, crt.crc32, 4), crt.combine_crc32),
        Algorithm("CRC32C", 4, partial(_Crc, crt.crc32c, 4), crt.combine_crc32c),
        Algorithm("CRC64NVME", 8, partial(_Crc, crt.crc64nvme, 8), crt.combine_crc64nvme),
        Algorithm("SHA1", 20, partial(hashlib.sha1, usedforsecurity=False)),
        Algorithm("SHA256", 32, hashlib.sha256),
        Algorithm("SHA512", 64, hashlib.sha512),
        Algorithm("MD5", 16, _md5),
        Algorithm("XXHASH64", 8, partial(_XxHash, crt.XXHash.new_xxhash64)),
        Algorithm("XXHASH3", 8, partial(_XxHash, crt.XXHash.new_xxhash3_64)),
        Algorithm("XXHASH128", 16, partial(_XxHash, crt.XXHash.new_xxhash3_128)),
    )
}


@dataclass(frozen=True, slots=True)
class Checksum:
    """A digest and how it was made."""

    algorithm: Algorithm
    digest: bytes

    @property
    def base64(self) -> str:
        """The value as it stands in a header."""
        return to_base64(self.digest)


def find_algorithm(name: str) -> Algorithm:
    """Find an algorithm by S3's name in any case, as in ``x-amz-checksum-algorithm``.

    Raises:
        S3Error: NotImplemented.
    """
    algorithm = ALGORITHMS.get(name.upper())
    if algorithm is None:
        message = f"Checksum algorithm provided is unsupported. Please try again with any of: {', '.join(ALGORITHMS)}"
        raise S3Error("NotImplemented", message, reason="checksum_algorithm")
    return algorithm


def to_base64(digest: bytes) -> str:
    """Write a digest as S3 does."""
    return binascii.b2a_base64(digest, newline=False).decode()


def from_base64(value: str) -> bytes | None:
    """Read canonical base64 (RFC 4648, section 4); None if it is not."""
    try:
        digest = binascii.a2b_base64(value)
    except ValueError:  # not ASCII, or not base64 (binascii.Error)
        return None
    return digest if to_base64(digest) == value else None


def parse_checksum(algorithm: Algorithm, value: str, *, trailing: bool = False) -> Checksum:
    """Read the value of an ``x-amz-checksum-*`` header or trailer.

    Raises:
        S3Error: InvalidRequest unless it is the base64 of as many bytes as the algorithm has.
    """
    digest = from_base64(value)
    if digest is None or len(digest) != algorithm.size:
        where = "trailing header" if trailing else "header"
        raise S3Error("InvalidRequest", f"Value for {algorithm.header} {where} is invalid.", reason="checksum_value")
    return Checksum(algorithm, digest)


class BodyDigests:
    """All digests of one body in one pass: MD5 and SHA-256 always, one more if wanted; not thread-safe.

    An algorithm that is MD5 or SHA-256 itself is not computed twice. Large updates release the GIL,
    so threads can digest several bodies at once, and two threads the halves of one.

    Args:
        algorithm: The further one.

    Attributes:
        size: Bytes so far.
    """

    __slots__ = ("_algorithm", "_further", "_md5", "_others", "_sha256", "size")

    def __init__(self, algorithm: Algorithm | None = None) -> None:
        self.size = 0
        self._algorithm = algorithm
        self._md5: Digest = _md5()
        self._sha256: Digest = hashlib.sha256()
        self._further: Digest | None = None
        self._others: list[Digest] = [self._sha256]
        if algorithm is not None:
            self._further = {"MD5": self._md5, "SHA256": self._sha256}.get(algorithm.name)
            if self._further is None:
                self._further = algorithm.new()
                self._others.append(self._further)

    def update(self, data: bytes | memoryview) -> None:
        """Add bytes."""
        self.update_md5(data)
        self.update_others(data)

    def update_md5(self, data: bytes | memoryview) -> None:
        """One half of :meth:`update`: MD5 alone, which takes longer than SHA-256 where processors help with that."""
        self._md5.update(data)

    def update_others(self, data: bytes | memoryview) -> None:
        """The other half; another thread may do the first at the same time."""
        self.size += len(data)
        for digest in self._others:
            digest.update(data)

    @property
    def md5(self) -> bytes:
        """MD5, 16 bytes."""
        return self._md5.digest()

    @property
    def sha256(self) -> bytes:
        """SHA-256, 32 bytes."""
        return self._sha256.digest()

    @property
    def checksum(self) -> Checksum | None:
        """The further digest, if one was wanted."""
        if self._algorithm is None or self._further is None:
            return None
        return Checksum(self._algorithm, self._further.digest())


class ChecksumType(StrEnum):
    """How the digest of a multipart object comes from those of its parts."""

    COMPOSITE = "COMPOSITE"
    FULL_OBJECT = "FULL_OBJECT"


def multipart_type(algorithm: Algorithm, requested: str | None) -> ChecksumType:
    """Settle the type of a new multipart upload.

    Args:
        algorithm: Of the upload.
        requested: ``x-amz-checksum-type``; None for the algorithm's default.

    Returns:
        The type.

    Raises:
        S3Error: InvalidRequest if there is no such type, or the algorithm cannot have it.
    """
    allowed = []
    if algorithm.name != "CRC64NVME":
        allowed.append(ChecksumType.COMPOSITE)
    if algorithm.combine is not None:
        allowed.append(ChecksumType.FULL_OBJECT)
    if requested is None:
        return allowed[0]
    for kind in ChecksumType:
        if kind == requested:
            if kind in allowed:
                return kind
            message = f"The {kind} checksum type cannot be used with the {algorithm.name.lower()} checksum algorithm."
            raise S3Error("InvalidRequest", message, reason="checksum_type")
    raise S3Error("InvalidRequest", "Value for x-amz-checksum-type header is invalid.", reason="checksum_type")


def multipart_checksum(kind: ChecksumType, parts: Sequence[tuple[Checksum, int]]) -> str:
    """Compute the checksum of a multipart object.

    Args:
        kind: Of the upload.
        parts: Checksum and size in bytes of each part, in order; at least one, all of one algorithm.

    Returns:
        The value as it stands in a header: base64, for COMPOSITE followed by ``-N``.

    Raises:
        S3Error: InvalidRequest if the algorithm cannot have this type.
    """
    algorithm = parts[0][0].algorithm
    multipart_type(algorithm, kind)
    if kind is ChecksumType.FULL_OBJECT and algorithm.combine is not None:
        first, *rest = ((int.from_bytes(part.digest, "big"), size) for part, size in parts)
        crc = first[0]
        for value, size in rest:
            crc = algorithm.combine(crc, value, size)
        return to_base64(crc.to_bytes(algorithm.size, "big"))
    digest = algorithm.new()
    digest.update(b"".join(part.digest for part, _ in parts))
    return f"{to_base64(digest.digest())}-{len(parts)}"
