"""Compressed archives: told by their first bytes, as MinIO tells them, and decoded within bounds.

Plain tar, gzip and zstd are taken. What else MinIO takes (lz4, bzip2, S2, which ``minio-go`` can make) is refused and
named. A *bomb* is refused before its bytes are anywhere: what comes out may be :data:`MAX_RATIO` times what went in,
and never more than ``limit``.

Not handled here: where the bytes go.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

import zstandard

from vault.errors import S3Error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vault.archive.contents import Source

#: How many times its compressed size an archive may have; tars of small text files come to 20 to 50.
MAX_RATIO: Final = 250
#: What an archive may come to whatever its ratio, in bytes: as much as memory holds of one anyway.
FREE_BYTES: Final = 8 * 1024 * 1024
#: Compressed pieces, each with its own header, that one archive may be joined from (bgzip makes one of each 64 KiB).
MAX_FRAMES: Final = 65_536
#: Compressed bytes read at once.
_WINDOW: Final = 256 * 1024
#: Bytes that one call may decode to.
_STEP: Final = 1024 * 1024
#: Bytes of zstd decoded at once: at four bytes for a block of 128 KiB they become 16 MiB at most.
_ZSTD_STEP: Final = 512
#: What a zstd frame may ask for to be decoded, in bytes.
_MAX_WINDOW: Final = 8 * 1024 * 1024

_GZIP: Final = b"\x1f\x8b\x08"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = b"\x2a\x4d\x18"
_OTHERS: Final = {
    b"\x04\x22\x4d\x18": "lz4",
    b"\xff\x06\x00\x00": "S2 or Snappy",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"PK\x03\x04": "zip",
}


def coding(start: bytes) -> str:
    """Tell how an archive is compressed.

    Args:
        start: Its first bytes, at least six where it has as many.

    Returns:
        ``gzip``, ``zstd``, or an empty string for none.

    Raises:
        S3Error: NotImplemented for one that is not taken.
    """
    if start.startswith(_GZIP):
        return "gzip"
    if start.startswith(_ZSTD) or start[1:4] == _SKIPPABLE:
        return "zstd"
    for magic, name in _OTHERS.items():
        if start.startswith(magic):
            message = f"An archive compressed by {name} is not taken: send plain tar, gzip or zstd."
            raise S3Error("NotImplemented", message, reason="archive_coding")
    return ""


def decode(source: Source, kind: str, limit: int, write: Callable[[bytes], None]) -> None:
    """Decode an archive.

    Args:
        source: As it was sent.
        kind: From :func:`coding`, not empty.
        limit: The most bytes that may come out.
        write: Takes them in order, at most some MiB at once; may raise what is raised here.

    Raises:
        S3Error: InvalidRequest: it is damaged or cut; EntityTooLarge: it becomes too large.
    """
    left = min(limit, max(FREE_BYTES, MAX_RATIO * source.size))
    pieces = _gunzip(source) if kind == "gzip" else _unzstd(source)
    for piece in pieces:
        left -= len(piece)
        if left < 0:
            message = (
                f"The archive becomes larger than {limit} bytes or {MAX_RATIO} times what was sent; send it plain, or "
                "in several archives."
            )
            raise S3Error("EntityTooLarge", message, reason="archive_ratio")
        write(piece)


def _damaged(kind: str) -> S3Error:
    return S3Error("InvalidRequest", f"The archive is not {kind}, damaged, or cut.", reason="archive_damaged")


def _windows(source: Source) -> Iterator[bytes]:
    for start in range(0, source.size, _WINDOW):
        yield source.read(start, min(_WINDOW, source.size - start))


def _require_frames(count: int) -> None:
    if count > MAX_FRAMES:
        message = f"An archive of more than {MAX_FRAMES} compressed pieces"
        raise S3Error("EntityTooLarge", message, reason="archive_ratio")


def _gunzip(source: Source) -> Iterator[bytes]:
    """All members of a gzip file (RFC 1952 §2.2), as one; each with its CRC."""
    engine, frames = None, 0
    for window in _windows(source):
        rest = window
        while rest:
            if engine is None:
                engine, frames = zlib.decompressobj(wbits=31), frames + 1
                _require_frames(frames)
            yield from _inflated(engine, rest)
            rest, engine = (engine.unused_data, None) if engine.eof else (b"", engine)
    if engine is not None:
        raise _damaged("gzip")


def _inflated(engine: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """All that comes out for these bytes, at most :data:`_STEP` at a time."""
    more = True
    while more:
        try:
            piece = engine.decompress(data, _STEP)
        except zlib.error as error:
            raise _damaged("gzip") from error
        if piece:
            yield piece
        data = engine.unconsumed_tail
        more = not engine.eof and (bool(data) or len(piece) == _STEP)


def _unzstd(source: Source) -> Iterator[bytes]:
    """All frames of a zstd stream (RFC 8878 §3.1), as one; those with a checksum are held to it."""
    engine, frames = None, 0
    for window in _windows(source):
        at = 0
        while at < len(window):
            if engine is None:
                engine = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj()
                frames += 1
                _require_frames(frames)
            given = window[at : at + _ZSTD_STEP]
            try:
                piece = engine.decompress(given)
            except zstandard.ZstdError as error:
                raise _damaged("zstd (with a window of at most 8 MiB)") from error
            if piece:
                yield piece
            at += len(given) - len(engine.unused_data)
            if engine.eof:
                engine = None
    if engine is not None:
        raise _damaged("zstd")
