from __future__ import annotations

import gzip
import hashlib
from typing import TYPE_CHECKING

import pytest
import zstandard

from tests.doubles.archives import END, archive, member, pax
from tests.doubles.extracting import BUCKET, bucket, content, extract, holds, named, refused, some
from tests.doubles.ledger import START
from tests.doubles.world import ADA, served
from vault.archive.contents import Member
from vault.errors import S3Error
from vault.record import DefaultRetention, LockRef
from vault.s3.extract import described_by
from vault.service import unpacking
from vault.service.extraction import GROUP_BYTES, GROUP_MEMBERS, grouped
from vault.service.reading import Wanted
from vault.service.sealing import INLINE_BYTES
from vault.storage import spool
from vault.times import DAY_NS, rfc3339

if TYPE_CHECKING:
    from tests.doubles.world import World


@served
async def test_each_member_is_an_object_with_a_record_of_its_own(world: World) -> None:
    await bucket(world)
    members = some(5) | {"empty": b"", "ü €": b"x" * 5000}
    before = len(world.ledger.records)
    made = await extract(world, archive(members))
    records = world.ledger.records[before:]
    assert [named(record) for record in records] == [each.key for each in made] == list(members)
    assert [each.record for each in made] == [record.reference for record in records]
    for each, record, data in zip(made, records, members.values(), strict=True):
        assert record.head.outcome == "success"
        assert record.head.version is not None
        assert (each.version_id, each.size, each.error) == (record.head.version.version_id, len(data), None)
        assert each.etag == hashlib.md5(data, usedforsecurity=False).hexdigest()
        assert record.tail.origin.request_id == ADA.origin.request_id
    await holds(world, members)


@served
async def test_a_members_record_is_what_a_put_of_it_makes(world: World) -> None:
    await bucket(world)
    await world.put("k", b"hello")
    alone = world.last
    await extract(world, archive({"k": b"hello"}))
    one, other = alone.tail, world.last.tail
    assert one.object is not None
    assert other.object is not None
    assert one.storage is not None
    assert other.storage is not None
    assert (one.op, one.actor, one.origin, one.request) == (other.op, other.actor, other.origin, other.request)
    assert (one.object.bucket, one.object.key, one.object.size) == (BUCKET, "k", 5) == (
        other.object.bucket, other.object.key, other.object.size,
    )  # fmt: skip
    for name in ("suite", "kind", "domain", "chunk", "length", "blob"):
        assert getattr(one.storage, name) == getattr(other.storage, name)
    assert one.storage.salt != other.storage.salt
    assert world.last.head.version is not None
    assert world.last.head.version.ordinal == 2


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
@served
async def test_compressed_archives(world: World, compress: object) -> None:
    await bucket(world)
    await extract(world, compress(archive(some(50))), prefix="p/")  # type: ignore[operator]
    await holds(world, some(50), "p/")


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.compress])
@served
async def test_large_archives_go_through_the_disk(world: World, compress: object) -> None:
    await bucket(world)
    members = some(40, 300_000) | {"small": b"s", "smaller": b""}
    with pytest.MonkeyPatch.context() as patch:
        for module in (spool, unpacking):
            patch.setattr(module, "MEMORY_BYTES", 1 << 20)
        made = await extract(world, compress(archive(members)))  # type: ignore[operator]
    assert [each.error for each in made] == [None] * 42
    assert len(world.files()) == 40
    await holds(world, members)


@served
async def test_large_members_are_blobs_in_their_turn(world: World) -> None:
    await bucket(world)
    members = {"a": b"1", "b": content("b", INLINE_BYTES), "c": content("c", INLINE_BYTES + 1), "d": b"2"}
    before = len(world.ledger.records)
    await extract(world, archive(members))
    assert [named(record) for record in world.ledger.records[before:]] == list("abcd")
    kinds = [record.tail.storage.kind for record in world.ledger.records[before:] if record.tail.storage]
    assert kinds == ["log", "log", "blob", "log"]
    await holds(world, members)


@served
async def test_the_lock_asked_for_and_the_default(world: World) -> None:
    await bucket(world)
    until = rfc3339(START + 9 * DAY_NS)
    await extract(world, archive(some(2)), lock=LockRef("COMPLIANCE", until), hold=True)
    assert world.last.head.lock == LockRef("COMPLIANCE", until, True)  # noqa: FBT003 - a record's field
    default = DefaultRetention("GOVERNANCE", days=3)
    await world.one(world.service.buckets.put_lock(ADA, BUCKET, default))
    await extract(world, archive(some(2)))
    assert world.last.head.lock is not None
    assert world.last.head.lock.mode == "GOVERNANCE"
    await refused(world, archive(some(2)), lock=LockRef("COMPLIANCE", rfc3339(START - DAY_NS)))


@served
async def test_each_member_is_decided_for_itself(world: World) -> None:
    await bucket(world, strict=True)
    await world.put("d/1", b"there already")
    before = len(world.ledger.records)
    made = await extract(world, archive(some(4)))
    assert [each.error.s3_code if each.error else "" for each in made] == ["", "AccessDenied", "", ""]
    records = world.ledger.records[before:]
    assert [(named(record), record.head.outcome) for record in records] == [
        ("d/0", "success"), ("d/1", "denied"), ("d/2", "success"), ("d/3", "success"),
    ]  # fmt: skip
    assert records[1].head.reason == "strict"
    assert [each.record for each in made] == [record.reference for record in records]
    await holds(world, {"d/1": b"there already"})


@served
async def test_the_requests_own_key_is_of_no_account(world: World) -> None:
    await bucket(world, strict=True)
    await world.put("a.tar", b"there already")
    made = await extract(world, archive(some(1)), if_none_match=True)
    assert made[0].error is None


@pytest.mark.parametrize("size", [100, INLINE_BYTES + 1])
@served
async def test_a_precondition_holds_for_each_member(world: World, size: int) -> None:
    await bucket(world)
    await world.put("d/1", b"there already")
    made = await extract(world, archive(some(3, size)), if_none_match=True)
    assert [each.error.s3_code if each.error else "" for each in made] == ["", "PreconditionFailed", ""]
    assert made[1].record
    assert len(world.files()) == (2 if size > INLINE_BYTES else 0)


@served
async def test_versions_and_null_versions(world: World) -> None:
    await bucket(world)
    first = await extract(world, archive(some(1)))
    second = await extract(world, archive(some(1)))
    assert first[0].version_id != second[0].version_id
    await world.one(world.service.buckets.create(ADA, "plain", lock=False, strict=False))
    assert [each.version_id for each in await extract(world, archive(some(2)), bucket="plain")] == ["", ""]


@served
async def test_stored_headers_and_metadata_of_a_member(world: World) -> None:
    await bucket(world)
    own = pax({"minio.metadata.Content-Type": b"text/plain", "minio.metadata.X-Amz-Meta-Who": "ü".encode()})
    common = {
        "x-amz-meta-desk": "rates",
        "content-type": "application/x-tar",
        "x-amz-meta-snowball-auto-extract": "true",
    }
    await extract(world, own + member(b"a") + member(b"b") + END, described=described_by(common))
    got, _ = await world.get(Wanted(bucket=BUCKET, key="a"))
    assert got.document.headers == {"content-type": "text/plain"}
    assert got.document.metadata == {"desk": "rates", "who": "Ã¼"}  # as the bytes of a header are kept
    got, _ = await world.get(Wanted(bucket=BUCKET, key="b"))
    assert got.document.headers == {"content-type": "binary/octet-stream"}
    assert got.document.metadata == {"desk": "rates"}
    too_much = described_by({"x-amz-meta-big": "x" * 3000})
    assert (await refused(world, archive(some(1)), described=too_much)).s3_code == "MetadataTooLarge"


def test_members_are_grouped_in_order_and_within_bounds() -> None:
    sizes = [10, INLINE_BYTES, 0, INLINE_BYTES + 1, 5, *([1000] * 3000), *([INLINE_BYTES] * 50), 1 << 30, 3]
    members, offset = [], 512
    for number, size in enumerate(sizes):
        error = S3Error("InvalidRequest") if number % 7 == 3 and number > 10 else None
        members.append(Member(f"k{number}", offset, size, None, error))
        offset += size + 1024
    groups = list(grouped(members, GROUP_BYTES))
    assert [each for group in groups for each in group] == members
    for group in groups:
        assert len(group) <= GROUP_MEMBERS
        large = [each for each in group if each.size > INLINE_BYTES and each.error is None]
        assert not large or len(group) == 1
        if not large:
            assert sum(each.size for each in group if each.error is None) <= GROUP_BYTES
    assert len(groups) < 35
