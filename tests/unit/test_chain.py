from __future__ import annotations

import pytest

from audit.chain import Chain
from audit.errors import LedgerCorrupt
from tests.doubles.traffic import Traffic

RECORDS = [entry.record for entry in Traffic(4).mixed(6)]


def test_records_in_order_chain_from_any_seq() -> None:
    for first in range(len(RECORDS)):
        chain = Chain(first, RECORDS[first - 1] if first else None)
        for record in RECORDS[first:]:
            chain.add(record, "here")
        assert chain.seq == len(RECORDS)


@pytest.mark.parametrize(
    "record",
    [
        RECORDS[1],
        RECORDS[3],
        RECORDS[2].replace(b'"seq":2', b'"seq":3'),
        RECORDS[2].replace(b'"prev":"', b'"prev":"0', 1),
        b'{"seq":2}',
        b"",
    ],
)
def test_any_other_record_is_refused(record: bytes) -> None:
    chain = Chain(2, RECORDS[1])
    with pytest.raises(LedgerCorrupt, match="here: what stands as record 2 does not follow"):
        chain.add(record, "here")


def test_a_changed_record_is_noticed_at_the_next_one() -> None:
    chain = Chain(2, RECORDS[1])
    chain.add(RECORDS[2].replace(b"server", b"Server").replace(b"s3", b"S3"), "here")
    with pytest.raises(LedgerCorrupt):
        chain.add(RECORDS[3], "here")


def test_a_record_of_a_later_schema_still_chains() -> None:
    chain = Chain(2, RECORDS[1])
    chain.add(RECORDS[2].replace(b'{"v":1,', b'{"v":77,'), "here")
    assert chain.seq == 3


def test_a_record_that_was_pruned_is_passed_over_and_the_chain_goes_on() -> None:
    for chain in (Chain(1, RECORDS[0]), Chain(1, b"")):
        chain.skip()
        chain.add(RECORDS[2], "here")
        with pytest.raises(LedgerCorrupt):
            chain.add(RECORDS[4], "here")
