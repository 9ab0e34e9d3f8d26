from __future__ import annotations

import gzip
import os

import pytest
import zstandard

from tests.doubles.archives import hostile
from vault.archive import coding as module
from vault.archive.coding import FREE_BYTES, MAX_RATIO, coding, decode
from vault.errors import S3Error
from vault.service.unpacking import Held

LIMIT = 1 << 30
_SKIPPABLE = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
DATA = os.urandom(300_000) + bytes(2_000_000) + os.urandom(5)


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def decoded(data: bytes, limit: int = LIMIT) -> bytes:
    out: list[bytes] = []
    decode(Held(data), coding(data[:16]), limit, out.append)
    assert max(map(len, out), default=0) <= 32 << 20
    return b"".join(out)


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(DATA),
        gzip.compress(DATA[:1000]) + gzip.compress(b"") + gzip.compress(DATA[1000:]),
        zstd(DATA),
        zstd(DATA[:1000]) + zstd(b"") + _SKIPPABLE + zstd(DATA[1000:]),
        _SKIPPABLE + zstd(DATA),
    ],
)
def test_what_was_compressed_comes_back(data: bytes) -> None:
    assert decoded(data) == DATA


def test_plain_bytes_are_told() -> None:
    assert coding(b"name\0\0\0") == coding(b"") == ""


@pytest.mark.parametrize("name", ["lz4", "s2", "bzip2", "xz", "zip"])
def test_other_codings_are_named(name: str) -> None:
    (data,) = {each.data for each in hostile(130) if each.name.endswith(f"-{name}")}
    with pytest.raises(S3Error) as caught:
        coding(data[:16])
    assert (caught.value.s3_code, caught.value.reason) == ("NotImplemented", "archive_coding")


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_a_bomb_is_refused_before_it_goes_off(compress: object) -> None:
    bomb = compress(bytes(64 << 20))  # type: ignore[operator]
    made = 0

    def write(piece: bytes) -> None:
        nonlocal made
        made += len(piece)

    with pytest.raises(S3Error) as caught:
        decode(Held(bomb), coding(bomb[:16]), LIMIT, write)
    assert caught.value.reason == "archive_ratio"
    assert made <= max(FREE_BYTES, MAX_RATIO * len(bomb))


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
def test_what_becomes_too_large_is_refused(compress: object) -> None:
    data = compress(os.urandom(100_000))  # type: ignore[operator]
    assert len(decoded(data, 100_000)) == 100_000
    with pytest.raises(S3Error, match="larger than 99999 bytes"):
        decoded(data, 99_999)


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
@pytest.mark.parametrize("cut", [1, 4, 8, 1000, 200_000])
def test_what_is_cut_or_damaged_is_refused(compress: object, cut: int) -> None:
    data = compress(os.urandom(300_000))  # type: ignore[operator]
    flipped = bytearray(data)
    flipped[-cut] ^= 1
    for bad in (data[:-cut], bytes(flipped), data + b"x"):
        with pytest.raises(S3Error, match="damaged, or cut"):
            decoded(bad)


def test_very_many_pieces_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FRAMES", 10)
    for piece in (gzip.compress(b""), zstd(b"")):
        assert decoded(piece * 10) == b""
        with pytest.raises(S3Error, match="pieces"):
            decoded(piece * 11)
