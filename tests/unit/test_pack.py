from __future__ import annotations

import struct

import pytest

from audit.verify.crc32c import crc32c
from vault.errors import CorruptError
from vault.storage.pack import MAX_HEADER_BYTES, PackHeader, bodies, decode_index, encode_pack

HEADER = PackHeader(1, "site-a.node-1", "trades", "2032-11")
BODIES = [(3, b"three"), (7, b""), (1 << 40, b"\x00\xff" * 9)]


def decode(data: bytes) -> dict[int, bytes]:
    index = decode_index(lambda offset, length: data[offset : offset + length], len(data), "x.pack")
    assert index.header == HEADER
    return {seq: bytes(body) for seq, body in bodies(data, index, "x.pack")}


def test_a_pack_has_the_bytes_that_the_format_says() -> None:
    json = b'{"v":1,"stream":"site-a.node-1","bucket":"trades","until":"2032-11"}'
    first = 12 + len(json) + 12
    index = struct.pack(">QQI", 3, first, 5) + struct.pack(">QQI", 9, first + 5 + 12, 2)
    assert encode_pack(HEADER, [(3, b"three"), (9, b"99")]) == (
        b"SRPACK1\n" + struct.pack(">I", len(json)) + json
        + struct.pack(">QI", 3, 5) + b"three" + struct.pack(">QI", 9, 2) + b"99"
        + index + struct.pack(">II", 2, crc32c(index)) + b"SRPEND1\n"
    )  # fmt: skip


def test_what_was_packed_comes_out() -> None:
    assert decode(encode_pack(HEADER, BODIES)) == dict(BODIES)


def test_no_changed_byte_passes_for_another_structure() -> None:
    good = encode_pack(HEADER, BODIES)
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 0x01
        try:
            found = decode(bytes(bad))
        except (CorruptError, AssertionError):
            continue
        # Only a body's own byte may change unseen here: its record's root tells.
        changed = [seq for seq, body in BODIES if found[seq] != body]
        assert len(changed) == 1
        assert found.keys() == dict(BODIES).keys()


def test_a_cut_pack_is_damage() -> None:
    good = encode_pack(HEADER, BODIES)
    for length in range(len(good)):
        with pytest.raises(CorruptError):
            decode(good[:length])


@pytest.mark.parametrize(
    "header",
    [b"[]", b"{}", b"\xff", b'{"v":2,"stream":"s","bucket":"b","until":""}', b" " * (MAX_HEADER_BYTES + 1)],
)
def test_a_header_that_is_none_is_damage(header: bytes) -> None:
    with pytest.raises(CorruptError):
        decode(b"SRPACK1\n" + struct.pack(">I", len(header)) + header + encode_pack(HEADER, BODIES)[80:])


@pytest.mark.parametrize("order", [[(7, b"a"), (3, b"b")], [(3, b"a"), (3, b"b")], []])
def test_a_pack_without_ascending_bodies_is_damage(order: list[tuple[int, bytes]]) -> None:
    with pytest.raises(CorruptError):
        decode(encode_pack(HEADER, order))
