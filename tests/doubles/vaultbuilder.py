"""Data directories written straight from ARCHITECTURE.md, with no code of the writer or of the verifier."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import zstandard
from awscrt.checksums import crc32c

from tests.doubles.logbuilder import LogBuilder, write_tiles

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 4096


@dataclass
class Plan:
    """How a log lies in a data directory.

    ``settled``: records in settled segments, a multiple of 256, split after ``first_segment``. ``segments``: for each
    commit segment its number, incarnation, and the groups in it as (first seq, records).
    """

    settled: int
    first_segment: int
    segments: list[tuple[int, int, list[tuple[int, int]]]]
    checkpoint: int = -1
    anchor: int = -1


_KEK: Final = b"k" * 32


def write_vault(log: LogBuilder, root: Path, plan: Plan, *, unpacked: frozenset[int] = frozenset()) -> None:
    """Write a data directory; bodies of ``unpacked`` seqs are left out, as if erased."""
    site, node = log.stream.split(".")
    identity = {"format": 1, "vault": log.vault, "site": site, "node": node, "stream": log.stream}
    identity |= {"profile": "standard", "anchor": ""}
    _write(root / "vault.json", json.dumps(identity, indent=2).encode())
    _write(root / "root.credentials", b"access_key = SRA\nsecret_key = not one\n")
    _write(root / "keys/kek", base64.b64encode(_KEK) + b"\n")
    kek_id = sha256(b"strongroom kek id" + _KEK).hexdigest()[:8]
    header = f'{{"v":1,"kek":"{kek_id}","generation":7,"site":""}}'.encode()
    for copy in "ab":
        _write(root / f"keys/keyring-{copy}", b"SRKEYS1\n" + len(header).to_bytes(4, "big") + header + b"sealed bytes")
    _write(root / f"keys/{log.stream}.signing", sealed_file(b"SRSIGN1\n", log.stream))
    _write(root / "keys/secrets/p1", sealed_file(b"SRSECR1\n", "p1"))
    _write(root / f"keys/{log.stream}.vkey", f"{log.vkey()}\n".encode())
    _write(root / "views/lock", b"")
    home = root / "streams" / log.stream
    sealed = log.size if plan.checkpoint < 0 else plan.checkpoint
    _write(home / "checkpoint", log.checkpoint(sealed))
    write_tiles(home, log.leaves(sealed))
    anchored = sealed if plan.anchor < 0 else plan.anchor
    name = sha256(log.origin.encode()).hexdigest()
    _write(root.with_name(f"{root.name}.anchor") / name, log.checkpoint(anchored))
    for first, end in ((0, plan.first_segment), (plan.first_segment, plan.settled)):
        if end > first:
            _write(home / f"ledger/{first:016d}-{end:016d}.ndjson.zst", settled_segment(log, first, end))
    for number, incarnation, groups in plan.segments:
        _write(home / f"commit/{number:010d}.log", commit_segment(log, number, incarnation, groups))
    write_packs(log, root / "packs", range(plan.settled), unpacked)
    for blob, data in log.blobs.items():
        _write(root / f"blobs/{blob[:2]}/{blob}", data)


def sealed_file(magic: bytes, name: str) -> bytes:
    """What a sealed file looks like to who has no key."""
    data = magic + b"s" * 60
    return data + sha256(data + name.encode()).digest()


def settled_segment(log: LogBuilder, first: int, end: int) -> bytes:
    pieces, table = [], b""
    for start in range(first, end, 256):
        plain = b"".join(entry.bytes() + b"\n" for entry in log.entries[start : start + 256])
        pieces.append(zstandard.ZstdCompressor(level=1, write_checksum=True).compress(plain))
        table += struct.pack("<II", len(pieces[-1]), len(plain))
    table += struct.pack("<IBI", len(pieces), 0, 0x8F92EAB1)
    return b"".join(pieces) + struct.pack("<II", 0x184D2A5E, len(table)) + table


def commit_segment(log: LogBuilder, number: int, incarnation: int, groups: list[tuple[int, int]]) -> bytes:
    """A segment of as many blocks as the groups need and four more, which are zeros."""
    origin = sha256(log.origin.encode()).digest()
    data = b""
    for first, count in groups:
        data += group(log, (number, incarnation, BLOCK + len(data)), first, count)
    length = BLOCK + len(data) + 4 * BLOCK
    head = struct.pack(">8sQQQQ32s", b"SRSEGv1\n", number, incarnation, groups[0][0] if groups else 0, length, origin)
    return (head + crc(head)).ljust(BLOCK, b"\0") + data + bytes(4 * BLOCK)


def group(log: LogBuilder, place: tuple[int, int, int], first: int, count: int) -> bytes:
    number, incarnation, offset = place
    payload = b""
    for entry in log.entries[first : first + count]:
        record = entry.bytes()
        payload += struct.pack(">II", len(record), len(entry.body)) + record + entry.body
    origin = sha256(log.origin.encode()).digest()
    rest = struct.pack(">IQQQQQQ32s", count, len(payload), number, offset, incarnation, first, first, origin)
    data = b"SRGRPv1\n" + crc(rest + payload) + rest + payload
    return data.ljust(-(-len(data) // BLOCK) * BLOCK, b"\0")


def write_packs(log: LogBuilder, folder: Path, seqs: range, unpacked: frozenset[int]) -> None:
    """Bodies of settled records, in a pack for each month of expiry."""
    kept: dict[str, list[int]] = {}
    for seq in seqs:
        if log.entries[seq].body and seq not in unpacked:
            month = str(log.entries[seq].fields.get("lock", {}).get("until", ""))[:7]
            kept.setdefault(month, []).append(seq)
    for number, (until, some) in enumerate(kept.items()):
        if some:
            _write(folder / f"{log.stream}-{some[0]}-{number}.pack", pack(log, some, until))


def pack(log: LogBuilder, seqs: list[int], until: str) -> bytes:
    header = json.dumps({"v": 1, "stream": log.stream, "bucket": "b", "until": until}, separators=(",", ":")).encode()
    data = b"SRPACK1\n" + struct.pack(">I", len(header)) + header
    index = b""
    for seq in seqs:
        body = log.entries[seq].body
        data += struct.pack(">QI", seq, len(body))
        index += struct.pack(">QQI", seq, len(data), len(body))
        data += body
    return data + index + struct.pack(">I", len(seqs)) + crc(index) + b"SRPEND1\n"


def crc(data: bytes) -> bytes:
    return struct.pack(">I", crc32c(data))


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
