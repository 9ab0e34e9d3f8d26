"""Tar archives for tests: good ones, and a thousand that somebody hostile could send, made the same every time.

Headers are written here by hand, since no library writes the ones that matter.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)


class Hostile(NamedTuple):
    """An archive that must be refused: ``whole`` says that even who skips bad members cannot take it."""

    name: str
    data: bytes
    whole: bool


def block(
    name: bytes,
    size: int | bytes = 0,
    kind: bytes = b"0",
    *,
    link: bytes = b"",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    checksum: int | None = None,
) -> bytes:
    """One header, with the checksum that it has to have or with another one."""
    length = b"%011o\0" % size if isinstance(size, int) else size
    head = b"".join(
        (
            name.ljust(100, b"\0"), b"0000644\0", b"0000000\0", b"0000000\0", length, b"00000000000\0", b" " * 8, kind,
            link.ljust(100, b"\0"), magic, bytes(80), prefix.ljust(155, b"\0"), bytes(12),
        )
    )  # fmt: skip
    assert len(head) == BLOCK
    found = sum(head) if checksum is None else checksum
    return head[:148] + b"%06o\0 " % found + head[156:]


def filled(data: bytes) -> bytes:
    """Data up to the end of its last block."""
    return data + bytes(-len(data) % BLOCK)


def member(name: bytes, data: bytes = b"data", kind: bytes = b"0") -> bytes:
    """A header and its data."""
    return block(name, len(data), kind) + filled(data)


def pax(records: dict[str, bytes], kind: bytes = b"x") -> bytes:
    """An extended header."""
    return member(b"PaxHeaders/x", b"".join(record(name.encode(), value) for name, value in records.items()), kind)


def record(name: bytes, value: bytes) -> bytes:
    """One record of an extended header."""
    rest = b" " + name + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(b"%d" % length) + len(rest) != length:
        length += 1
    return b"%d" % length + rest


def archive(members: dict[str, bytes], form: int = tarfile.PAX_FORMAT, times: float = 0) -> bytes:
    """A good archive as Python writes it; ``times`` other than a whole number make extended headers."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as written:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), times
            written.addfile(info, io.BytesIO(data))
    return file.getvalue()


def _good(random: Random) -> bytes:
    """Some good members, without an end."""
    return b"".join(
        member(b"good-%d/%d" % (number, random.randrange(10**6)), random.randbytes(random.randrange(2000)))
        for number in range(random.randrange(1, 5))
    )


def _named(name: bytes) -> Callable[[Random], bytes]:
    return lambda random: _good(random) + member(name) + _good(random)[:0] + END


def _kind(kind: bytes, size: int = 0) -> Callable[[Random], bytes]:
    return lambda random: _good(random) + block(b"odd", size, kind, link=b"../../etc/passwd") + END


def _extended(records: dict[str, bytes], kind: bytes = b"x") -> Callable[[Random], bytes]:
    return lambda random: _good(random) + pax(records, kind) + member(b"real") + END


def _raw_extended(content: bytes) -> Callable[[Random], bytes]:
    return lambda random: _good(random) + member(b"PaxHeaders/x", content, b"x") + member(b"real") + END


def _cut(random: Random) -> bytes:
    whole = _good(random) + member(b"last", b"x" * 3000) + END
    return whole[: random.randrange(BLOCK, len(whole) - BLOCK)]


def _flipped(random: Random) -> bytes:
    """One bit of a header is another."""
    data = bytearray(member(b"a/name/of/some/length", b"x" * 700) + END)
    data[random.choice((*range(100), *range(124, 136), 156, *range(257, 265)))] ^= 1 << random.randrange(8)
    return bytes(data)


def _lied(random: Random) -> bytes:
    """A size that is not that of the data, in a header whose checksum is right."""
    data = random.randbytes(2000)
    size = random.choice((0, 100, 1024, 4000, 10**6, 8**11 - 1))
    return block(b"liar", size) + filled(data) + member(b"next") + END


def _bomb(compress: Callable[[bytes], bytes]) -> Callable[[Random], bytes]:
    return lambda random: compress(block(b"zeros", (9 << 20) + random.randrange(999) * BLOCK) + bytes(10 << 20))


def _long_name(data: bytes) -> Callable[[Random], bytes]:
    return lambda random: _good(random) + member(b"././@LongLink", data, b"L") + member(b"short") + END


def _compressed(data: bytes, cut: int, more: bytes = b"") -> bytes:
    return data[: len(data) - cut] + more


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(data)


_BOMBS: Final = {"gzip": lambda data: gzip.compress(data, 6, mtime=0), "zstd": _zstd}

#: Kind of trouble -> (maker, refused even where bad members are skipped).
KINDS: Final[dict[str, tuple[Callable[[Random], bytes], bool]]] = {
    "absolute": (_named(b"/etc/passwd"), False),
    "dot-dot": (_named(b"../victim"), False),
    "dot-dot-inside": (_named(b"a/../../victim"), False),
    "dot-dot-last": (_named(b"a/.."), False),
    "dot-inside": (_named(b"a/./b"), False),
    "two-dots-slash": (_named(b"././a"), False),
    "empty": (_named(b""), False),
    "only-dot": (_named(b"./"), False),
    "slashes": (_named(b"a//b"), False),
    "trailing-slash": (_named(b"a/b/"), False),
    "backslash": (_named(b"a\\..\\b"), False),
    "control": (_named(b"a\x07b"), False),
    "newline": (_named(b"a\nb"), False),
    "delete": (_named(b"a\x7fb"), False),
    "c1-control": (_named("a\u0085b".encode()), False),
    "latin-1": (_named(b"caf\xe9"), False),
    "surrogate": (_named(b"a\xed\xa0\x80"), False),
    "prefix-dot-dot": (lambda _: block(b"b", prefix=b"../a") + END, False),
    "prefix-absolute": (lambda _: block(b"b", prefix=b"/a") + END, False),
    "duplicate": (lambda random: _good(random) + member(b"twice") + member(b"twice", b"other") + END, False),
    "duplicate-by-dot": (lambda _: member(b"twice") + member(b"./twice", b"other") + END, False),
    "duplicate-by-pax": (lambda _: member(b"twice") + pax({"path": b"twice"}) + member(b"other") + END, False),
    "hard-link": (_kind(b"1"), False),
    "symbolic-link": (_kind(b"2"), False),
    "character-device": (_kind(b"3"), False),
    "block-device": (_kind(b"4"), False),
    "fifo": (_kind(b"6"), False),
    "contiguous": (_kind(b"7"), False),
    "volume-label": (_kind(b"V"), False),
    "multi-volume": (_kind(b"M"), False),
    "dump": (_kind(b"D"), False),
    "unknown-kind": (_kind(b"Z"), False),
    "link-with-data": (lambda _: block(b"l", 512, b"2", link=b"x") + member(b"inside") + END, True),
    "hard-link-with-data": (lambda _: block(b"l", 1024, b"1", link=b"x") + member(b"inside") + END, True),
    "directory-with-data": (lambda _: block(b"d/", 1024, b"5") + member(b"inside") + END, True),
    "directory-dot-dot": (lambda _: block(b"../d/", 0, b"5") + member(b"good") + END, False),
    "directory-absolute": (lambda _: block(b"/d/", 0, b"5") + member(b"good") + END, False),
    "gnu-sparse": (_kind(b"S"), True),
    "solaris": (_kind(b"X"), True),
    "pax-sparse-1": (_extended({"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0"}), True),
    "pax-sparse-0": (_extended({"GNU.sparse.size": b"1000000", "GNU.sparse.numblocks": b"1"}), True),
    "gzip-bomb": (_bomb(_BOMBS["gzip"]), True),
    "zstd-bomb": (_bomb(_BOMBS["zstd"]), True),
    "cut": (_cut, True),
    "cut-in-a-block": (lambda random: _cut(random)[:-1], True),
    "no-end": (_good, True),
    "half-an-end": (lambda random: _good(random) + bytes(BLOCK), True),
    "one-zero-block-inside": (lambda random: _good(random) + bytes(BLOCK) + member(b"hidden") + END, True),
    "flipped": (_flipped, True),
    "checksum-of-signed-bytes": (lambda _: block(b"n\xc3\xa4", checksum=0o4000) + END, True),
    "checksum-beside-by-65521": (lambda _: block(b"a", checksum=sum(block(b"a")) % 4096 + 65521) + END, True),
    "trailing": (lambda random: _good(random) + END + random.randbytes(700), True),
    "trailing-archive": (lambda random: _good(random) + END + member(b"hidden") + END, True),
    "trailing-far": (lambda random: _good(random) + END + bytes(3 << 20) + b"x" * BLOCK, True),
    "size-lie": (_lied, True),
    "size-base-256": (lambda _: block(b"n", b"\x80" + bytes(10) + b"\x04") + b"data".ljust(BLOCK, b"\0") + END, True),
    "size-negative": (lambda _: block(b"n", b"\xff" * 12) + END, True),
    "size-signed": (lambda _: block(b"n", b"-0000000004\0") + filled(b"data") + END, True),
    "size-underscore": (lambda _: block(b"n", b"0000000_004\0") + filled(b"data") + END, True),
    "size-decimal": (lambda _: block(b"n", b"00000000008\0") + filled(b"datadata") + END, True),
    "size-missing": (lambda _: block(b"n", bytes(12)) + END, True),
    "magic": (lambda _: block(b"n", magic=b"mustard!") + END, True),
    "pax-size": (_extended({"size": b"1000"}), True),
    "pax-size-smaller": (_extended({"size": b"0"}), True),
    "pax-size-signed": (_extended({"size": b"-4"}), True),
    "pax-size-endless": (_extended({"size": b"9" * 4000}), True),
    "pax-path-dot-dot": (_extended({"path": b"../victim"}), False),
    "pax-path-absolute": (_extended({"path": b"/victim"}), False),
    "pax-path-nul": (_extended({"path": b"good\0../victim"}), False),
    "pax-path-empty": (_extended({"path": b""}), False),
    "pax-path-latin-1": (_extended({"path": b"caf\xe9"}), False),
    "pax-path-too-long": (_extended({"path": b"a" * 1025}), False),
    "pax-path-far-too-long": (_extended({"path": b"a/" * 100_000}), True),
    "pax-charset": (_extended({"hdrcharset": b"BINARY"}), True),
    "pax-twice": (_raw_extended(record(b"path", b"a") + record(b"path", b"b")), True),
    "pax-length-lie": (_raw_extended(b"99 path=a\n"), True),
    "pax-length-short": (_raw_extended(b"8 path=abcdef\n"), True),
    "pax-length-zero": (_raw_extended(b"0 path=a\n"), True),
    "pax-length-huge": (_raw_extended(b"9" * 300 + b" path=a\n"), True),
    "pax-no-newline": (_raw_extended(b"9 path=abX"), True),
    "pax-no-equals": (_raw_extended(b"8 path\n\n"), True),
    "pax-not-utf-8": (_raw_extended(record(b"\xff\xfe", b"a")), True),
    "pax-huge": (_raw_extended(record(b"comment", b"a" * 70_000)), True),
    "pax-alone": (lambda random: _good(random) + pax({"path": b"a"}) + END, True),
    "pax-pax": (lambda _: pax({"path": b"a"}) + pax({"mtime": b"1"}) + member(b"n") + END, True),
    "pax-then-long-name": (
        lambda _: pax({"path": b"a"}) + member(b"././@LongLink", b"b\0", b"L") + member(b"n") + END, True,
    ),
    "global-path": (_extended({"path": b"same"}, b"g"), True),
    "global-size": (_extended({"size": b"4"}, b"g"), True),
    "global-metadata": (_extended({"minio.metadata.content-type": b"a/b"}, b"g"), True),
    "global-between": (lambda _: pax({"path": b"a"}) + pax({"comment": b"c"}, b"g") + member(b"n") + END, True),
    "version-id": (_extended({"minio.versionId": b"0" * 32}), False),
    "metadata-lock": (_extended({"minio.metadata.X-Amz-Object-Lock-Legal-Hold": b"OFF"}), False),
    "metadata-control": (_extended({"minio.metadata.Content-Type": b"a\r\nb: c"}), False),
    "metadata-latin-1": (_extended({"minio.metadata.Content-Type": b"caf\xe9"}), False),
    "metadata-too-large": (_extended({"minio.metadata.X-Amz-Meta-Big": b"x" * 3000}), False),
    "long-name-dot-dot": (_long_name(b"../" * 60 + b"victim\0"), False),
    "long-name-too-long": (_long_name(b"n" * 1025 + b"\0"), False),
    "long-name-unended": (_long_name(b"n" * 120), True),
    "long-name-hides": (_long_name(b"name\0../victim\0"), True),
    "long-name-huge": (_long_name(b"n" * 100_000 + b"\0"), True),
    "long-name-twice": (
        lambda _: member(b"L", b"a\0", b"L") + member(b"L", b"b\0", b"L") + member(b"short") + END, True,
    ),
    "long-name-alone": (lambda _: member(b"n") + member(b"L", b"a\0", b"L") + END, True),
    "nothing": (lambda _: END, True),
    "only-directories": (lambda _: block(b"./", 0, b"5") + block(b"a/", 0, b"5") + END, True),
    "noise": (lambda random: random.randbytes(BLOCK * random.randrange(1, 9)), True),
    "gzip-cut": (lambda random: _compressed(gzip.compress(_good(random) + END, mtime=0), 9), True),
    "gzip-trailing": (lambda random: _compressed(gzip.compress(_good(random) + END, mtime=0), 0, b"more"), True),
    "zstd-cut": (lambda random: _compressed(_zstd(_good(random) + END), 3), True),
    "zstd-trailing": (lambda random: _compressed(_zstd(_good(random) + END), 0, b"more"), True),
    "gzip-of-gzip": (lambda random: gzip.compress(gzip.compress(_good(random) + END, mtime=0), mtime=0), True),
    "gzip-noise": (lambda random: b"\x1f\x8b\x08" + random.randbytes(600), True),
    "zstd-noise": (lambda random: b"\x28\xb5\x2f\xfd" + random.randbytes(600), True),
    "lz4": (lambda random: b"\x04\x22\x4d\x18" + random.randbytes(600), True),
    "s2": (lambda random: b"\xff\x06\x00\x00S2sTwO" + random.randbytes(600), True),
    "bzip2": (lambda random: b"BZh9" + random.randbytes(600), True),
    "xz": (lambda random: b"\xfd7zXZ\0" + random.randbytes(600), True),
    "zip": (lambda random: b"PK\x03\x04" + random.randbytes(600), True),
}  # fmt: skip


def hostile(count: int = 1000) -> Iterator[Hostile]:
    """Archives that must be refused, kind after kind, each with good members before the bad one where it can."""
    kinds = list(KINDS.items())
    for number in range(count):
        name, (make, whole) = kinds[number % len(kinds)]
        yield Hostile(f"{number}-{name}", make(Random(number)), whole)
