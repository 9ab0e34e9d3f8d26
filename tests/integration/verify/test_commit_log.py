"""The commit log: what a crash may leave, what a recovery may cut, and what neither explains."""

from __future__ import annotations

import struct
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from audit.journal.segment import SegmentHeader, stream_hash
from tests.doubles.logbuilder import LogBuilder
from tests.doubles.vaultbuilder import Plan, commit_segment, crc, write_vault
from tests.integration.verify.conftest import whole_log

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.verify.conftest import Museum, Verify

S = "streams/site-a.node-1"


def crashed(tmp_path: Path, size: int = 40, checkpoint: int = 30) -> tuple[LogBuilder, Path]:
    """A stream that never settled and did not stop in order: groups of ten, two segments of one incarnation."""
    log = LogBuilder()
    log.start()
    log.put("k", size=3000)
    log.fill(size)
    groups = [(first, 10) for first in range(0, size, 10)]
    write_vault(log, tmp_path / "vault", Plan(0, 0, [(0, 1, groups[:2]), (1, 1, groups[2:])], checkpoint))
    return log, tmp_path / "vault"


def test_a_torn_last_group_is_an_unrecovered_tail_and_no_fault(tmp_path: Path, verify: Verify) -> None:
    _, vault = crashed(tmp_path)
    segment = vault / S / "commit/0000000001.log"
    data = segment.read_bytes()
    last = data.rindex(b"SRGRPv1\n")
    for torn in (data[: last + 1000], data[: last + 600] + b"x" * 100, data[:last] + b"\0" * 8 + data[last + 8 :]):
        segment.write_bytes(torn.ljust(len(data), b"\0"))
        code, answer = verify(vault)
        assert (code, answer["size"]) == (0, 30)
        assert answer["states"][0]["name"] == "unrecovered tail"
        assert str(last)[:-3] in answer["states"][0]["place"]


def test_a_torn_tail_that_a_checkpoint_covers_is_lost_evidence(tmp_path: Path, verify: Verify) -> None:
    _, vault = crashed(tmp_path, checkpoint=31)
    segment = vault / S / "commit/0000000001.log"
    data = segment.read_bytes()
    segment.write_bytes(data[: data.rindex(b"SRGRPv1\n")].ljust(len(data), b"\0"))
    code, answer = verify(vault)
    assert (code, answer["first_bad"]["seq"]) == (1, 30)


def test_a_damaged_group_before_a_good_one_is_found(tmp_path: Path, verify: Verify) -> None:
    _, vault = crashed(tmp_path)
    segment = vault / S / "commit/0000000001.log"
    for change in (b"x", b""):  # damaged; or gone altogether
        data = bytearray(segment.read_bytes())
        data[4096 : 4096 + (4096 if not change else 1)] = change or bytes(4096)
        segment.write_bytes(data)
        code, answer = verify(vault)
        assert (code, answer["first_bad"]["seq"]) == (1, 20)
        assert "good one follows" in answer["first_bad"]["why"]


def test_only_the_last_segment_may_be_torn(tmp_path: Path, verify: Verify) -> None:
    _, vault = crashed(tmp_path)
    segment = vault / S / "commit/0000000000.log"
    segment.write_bytes(segment.read_bytes()[:-10] + b"torn bytes")
    code, answer = verify(vault)
    assert (code, answer["first_bad"]["seq"]) == (1, 20)


def recovered(tmp_path: Path, tail: bytes, *, named: bool) -> Path:
    """A crash tore ``tail``; the next incarnation wrote the last group again, and named what it cut, or did not."""
    log = LogBuilder()
    log.start()
    log.fill(20)
    if named:
        cut = {"incarnation": 2, "quarantined": "0000000000-9.bin", "digest": sha256(tail).hexdigest()}
        log.record("ledger.recover", ledger=cut | {"bytes": len(tail)})
    log.fill(30)
    write_vault(log, tmp_path / "vault", Plan(0, 0, [(0, 1, [(0, 10), (10, 10)]), (1, 2, [(10, 10), (20, 10)])]))
    vault = tmp_path / "vault"
    segment = vault / S / "commit/0000000000.log"
    segment.write_bytes(segment.read_bytes()[: -4 * 4096] + tail.ljust(4 * 4096, b"\0"))
    if named:
        (vault / S / "quarantine").mkdir()
        (vault / S / "quarantine/0000000000-9.bin").write_bytes(tail)
    return vault


def test_a_tail_that_a_recovery_cut_and_named_is_no_fault(tmp_path: Path, verify: Verify) -> None:
    vault = recovered(tmp_path, b"torn", named=True)
    assert verify(vault)[0] == 0
    (vault / S / "quarantine/0000000000-9.bin").write_bytes(b"other")
    code, answer = verify(vault)
    assert (code, answer["first_bad"]["seq"]) == (1, 20)
    (vault / S / "quarantine/0000000000-9.bin").unlink()
    assert verify(vault)[0] == 1


def test_a_tail_that_is_not_what_a_recovery_cut_is_found(tmp_path: Path, verify: Verify) -> None:
    vault = recovered(tmp_path, b"torn", named=True)
    segment = vault / S / "commit/0000000000.log"
    data = segment.read_bytes()
    for changed in (data.replace(b"torn", b"tarn"), data[:-1] + b"x"):
        segment.write_bytes(changed)
        code, answer = verify(vault)
        assert (code, answer["first_bad"]["seq"]) == (1, 20)
        assert "ledger.recover" in answer["first_bad"]["why"]


def test_a_tail_that_nothing_says_was_cut_is_found(tmp_path: Path, verify: Verify) -> None:
    code, answer = verify(recovered(tmp_path, b"torn", named=False))
    assert (code, answer["first_bad"]["seq"]) == (1, 20)
    assert "ledger.recover" in answer["first_bad"]["why"]


def test_the_same_seq_with_other_bytes_is_found(museum: Museum, vault: Path, verify: Verify) -> None:
    other = whole_log()
    other.entries[525].fields["origin"]["ip"] = "203.0.113.9"
    other.rechain(525)
    path = vault / S / "commit/0000000005.log"
    path.write_bytes(commit_segment(other, 5, 2, [(520, 30), (550, 40), (590, 11)]))
    code, answer = verify(vault)
    assert (code, answer["first_bad"]["seq"]) == (1, 525)
    assert "twice" in answer["first_bad"]["why"]


def test_a_retired_segment_is_not_read(vault: Path, verify: Verify) -> None:
    path = vault / S / "commit/0000000002.log"
    header = SegmentHeader(2, 2, 512, 8192, stream_hash(LogBuilder().origin)).encode()
    path.write_bytes(b"SRRETIRE" + header[8:] + b"anything" * 512)
    assert verify(vault)[0] == 0
    path.write_bytes(b"SRRETIRE" + b"anything" * 1023)  # its header stays what it was
    assert verify(vault)[0] == 1


def test_a_live_segment_made_to_look_retired_leaves_a_gap(vault: Path, verify: Verify) -> None:
    path = vault / S / "commit/0000000003.log"
    path.write_bytes(b"SRRETIRE" + path.read_bytes()[8:])
    code, answer = verify(vault)
    assert (code, answer["first_bad"]["seq"]) == (1, 512)


@pytest.mark.parametrize(
    ("offset", "value"),
    [(12, 0), (12, 2**32 - 1), (16, 2**63), (16, 0), (24, 9), (32, 0), (40, 7), (48, 0), (48, 2**64 - 1), (56, 1)],
)
def test_group_headers_that_lie_are_found_although_their_checksum_fits(
    vault: Path, verify: Verify, offset: int, value: int
) -> None:
    path = vault / S / "commit/0000000005.log"
    data = bytearray(path.read_bytes())
    at = data.index(b"SRGRPv1\n", data.index(b"SRGRPv1\n") + 1)
    [length] = struct.unpack_from(">Q", data, at + 16)
    struct.pack_into(">I" if offset == 12 else ">Q", data, at + offset, value)
    data[at + 8 : at + 12] = crc(bytes(data[at + 12 : at + 96 + length]))
    path.write_bytes(data)
    code, answer = verify(vault)
    assert (code, answer["first_bad"]["seq"]) == (1, 550)


def test_a_checkpoint_that_was_removed_is_missed_where_the_local_anchor_tells(tmp_path: Path, verify: Verify) -> None:
    _, vault = crashed(tmp_path, checkpoint=40)
    (vault / S / "checkpoint").unlink()
    assert verify(vault)[0] == 0  # a crash between the anchor and publishing leaves just this
    segment = vault / S / "commit/0000000001.log"
    data = segment.read_bytes()
    segment.write_bytes(data[: data.rindex(b"SRGRPv1\n")].ljust(len(data), b"\0"))
    assert verify(vault)[0] == 1


def test_a_blob_that_no_record_names_is_a_state_only_after_a_crash(tmp_path: Path, verify: Verify) -> None:
    _, vault = crashed(tmp_path)
    (vault / "blobs/ab").mkdir(parents=True)
    (vault / "blobs/ab/abcdef").write_bytes(b"linked, and then the power went")
    code, answer = verify(vault)
    assert (code, answer["states"][0]["name"]) == (0, "unswept")
