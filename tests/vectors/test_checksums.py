"""Published check values of each algorithm: RFC 3720, the CRC catalogue, FIPS 180-4, RFC 1321, xxHash's own."""

from __future__ import annotations

import pytest

from vault.checksums import ALGORITHMS

VALUES = [
    ("CRC32", b"123456789", "cbf43926"),
    ("CRC32C", b"123456789", "e3069283"),
    ("CRC32C", bytes(32), "8a9136aa"),
    ("CRC64NVME", b"123456789", "ae8b14860a799888"),
    ("SHA1", b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
    ("SHA256", b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
        "SHA512",
        b"abc",
        (
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        ),
    ),
    ("MD5", b"abc", "900150983cd24fb0d6963f7d28e17f72"),
    ("XXHASH64", b"", "ef46db3751d8e999"),
    ("XXHASH64", b"xxhash", "32dd38952c4bc720"),
    ("XXHASH3", b"", "2d06800538d394c2"),
    ("XXHASH128", b"", "99aa06d3014798d86001c324468d497f"),
]


@pytest.mark.parametrize(("name", "data", "expected"), VALUES)
def test_published_check_value(name: str, data: bytes, expected: str) -> None:
    digest = ALGORITHMS[name].new()
    digest.update(data)

    assert digest.digest().hex() == expected
    assert len(digest.digest()) == ALGORITHMS[name].size


def test_every_algorithm_has_a_check_value() -> None:
    assert {name for name, _, _ in VALUES} == set(ALGORITHMS)
