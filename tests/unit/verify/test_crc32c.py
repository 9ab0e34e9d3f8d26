"""CRC-32C, both ways of computing it; the vectors are those of RFC 3720 §B.4."""

from __future__ import annotations

import pytest

from audit.verify.crc32c import crc32c, slow_crc32c

VECTORS = [
    (b"", 0),
    (b"123456789", 0xE3069283),
    (bytes(32), 0x8A9136AA),
    (b"\xff" * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
]


@pytest.mark.parametrize(("data", "checksum"), VECTORS)
def test_the_vectors_of_the_rfc(data: bytes, checksum: int) -> None:
    assert crc32c(data) == slow_crc32c(data) == checksum
    assert crc32c(data[5:], crc32c(data[:5])) == slow_crc32c(data[5:], slow_crc32c(data[:5])) == checksum
