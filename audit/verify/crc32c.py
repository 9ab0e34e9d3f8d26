"""CRC-32C (Castagnoli, RFC 3720 §B.4): in C where the product is installed, else in Python, a thousand times slower.

Only data directories have checksums of this kind; ``strongroom-verify.pyz`` never meets one.
"""

from __future__ import annotations

from typing import Final

_POLYNOMIAL: Final = 0x82F63B78


def _table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE: Final = _table()


def slow_crc32c(data: bytes, crc: int = 0) -> int:
    """Checksum of ``data``, continuing from ``crc``."""
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


try:
    from awscrt.checksums import crc32c
except ImportError:
    crc32c = slow_crc32c

__all__ = ["crc32c", "slow_crc32c"]
