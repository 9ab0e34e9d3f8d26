from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.doubles.ledger import START
from tests.doubles.world import ADA, Checks, caller, pieces, served
from vault.checksums import find_algorithm
from vault.errors import OutcomeUnknown, S3Error, Unavailable
from vault.record import DefaultRetention, LockRef
from vault.service.context import PutSpec
from vault.service.reading import Wanted
from vault.service.results import DeleteResult
from vault.service.sealing import CHUNK_BYTES, INLINE_BYTES
from vault.state.rows import VersionRow
from vault.times import DAY_NS, rfc3339

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.doubles.world import World

SIZES = [0, 1, 1024, 16 * 1024, INLINE_BYTES, INLINE_BYTES + 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES]


def content(size: int) -> bytes:
    return hashlib.shake_128(b"content").digest(size)


async def bucket(world: World, *, lock: bool = False, strict: bool = False) -> None:
    await world.one(world.service.buckets.create(ADA, "ledgers", lock=lock, strict=strict))


@pytest.mark.parametrize("size", SIZES)
@served
async def test_what_was_put_comes_back(world: World, size: int) -> None:
    await bucket(world)
    data = content(size)
    spec = PutSpec(
        bucket="ledgers",
        key="2026/ä b",
        length=size,
        checks=Checks(find_algorithm("CRC64NVME")),
        headers={"content-type": "text/plain"},
        metadata={"desk": "rates"},
    )
    put = await world.one(world.service.objects.put(ADA, spec, pieces(data, 50_000)))
    record = world.last
    assert put.record == record.reference
    assert put.etag == hashlib.md5(data, usedforsecurity=False).hexdigest()
    assert record.tail.object is not None
    assert record.tail.object.size == size
    assert len(world.files()) == (1 if size > INLINE_BYTES else 0)

    for _ in range(2):  # from the stored document, and from the one remembered
        got, body = await world.get(Wanted(bucket="ledgers", key="2026/ä b"))
        assert body == data
        assert (got.first, got.last, got.total, got.partial) == (0, size - 1, size, False)
        assert got.record == world.last.reference
        document = got.document
        assert document.sha256 == hashlib.sha256(data).hexdigest()
        assert (document.headers, document.metadata) == ({"content-type": "text/plain"}, {"desk": "rates"})
        assert document.checksum == put.checksum is not None
        world.forget()


@served
async def test_nothing_of_the_content_stands_in_the_clear(world: World) -> None:
    await bucket(world)
    data = b"a secret that nobody may guess at"
    spec = PutSpec(bucket="ledgers", key="k", length=len(data), checks=Checks(), metadata={"desk": "rates-desk"})
    put = await world.one(world.service.objects.put(ADA, spec, pieces(data)))
    record = repr(world.last.tail)
    stored = b"".join(world.ledger.bodies.values())
    assert data not in stored
    assert b"rates-desk" not in stored
    for digest in (put.etag, hashlib.sha256(data).hexdigest(), hashlib.sha1(data).hexdigest()):  # noqa: S324
        assert digest not in record


@served
async def test_equal_objects_have_unequal_digests_in_the_ledger(world: World) -> None:
    await bucket(world)
    await world.put("a", b"same")
    await world.put("b", b"same")
    first, second = (record.tail.object for record in world.ledger.records[-2:])
    assert first is not None and second is not None  # noqa: PT018 - narrows both
    assert first.content != second.content


@pytest.mark.parametrize("size", [10, INLINE_BYTES + 10])
@pytest.mark.parametrize("sent", [-1, 1])
@served
async def test_a_body_of_another_length_is_refused_and_leaves_nothing(world: World, size: int, sent: int) -> None:
    await bucket(world)
    spec = PutSpec(bucket="ledgers", key="k", length=size, checks=Checks())
    with pytest.raises(S3Error) as caught:
        await world.one(world.service.objects.put(ADA, spec, pieces(content(size + sent))))
    assert caught.value.s3_code == "IncompleteBody"
    assert caught.value.record == world.last.reference
    assert (world.last.head.outcome, world.last.head.reason) == ("failure", "incomplete_body")
    assert world.files() == set()


@pytest.mark.parametrize("size", [10, 20_000, CHUNK_BYTES * 2])
@served
async def test_a_body_that_is_not_what_was_claimed_is_refused_and_leaves_nothing(world: World, size: int) -> None:
    await bucket(world)
    checks = Checks(refusal=S3Error("BadDigest"))
    spec = PutSpec(bucket="ledgers", key="k", length=size, checks=checks)
    with pytest.raises(S3Error, match="Content-MD5"):
        await world.one(world.service.objects.put(ADA, spec, pieces(content(size))))
    assert world.files() == set()
    with pytest.raises(S3Error) as caught:
        await world.get(Wanted(bucket="ledgers", key="k"))
    assert caught.value.s3_code == "NoSuchKey"


@pytest.mark.parametrize("size", [1000, CHUNK_BYTES * 3])
@served
async def test_a_client_that_leaves_is_recorded_and_leaves_nothing(world: World, size: int) -> None:
    await bucket(world)

    async def leaves() -> AsyncIterator[bytes]:
        yield content(size // 2)
        raise S3Error("IncompleteBody", reason="gone")

    spec = PutSpec(bucket="ledgers", key="k", length=size, checks=Checks())
    with pytest.raises(S3Error):
        await world.one(world.service.objects.put(ADA, spec, leaves()))
    assert world.last.head.reason == "gone"
    assert world.files() == set()


@served
async def test_a_put_that_is_cancelled_while_it_is_written_leaves_nothing(world: World) -> None:
    await bucket(world)
    arrived = asyncio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        yield content(CHUNK_BYTES * 2)
        arrived.set()
        await asyncio.Event().wait()

    spec = PutSpec(bucket="ledgers", key="k", length=CHUNK_BYTES * 3, checks=Checks())
    task = asyncio.create_task(world.service.objects.put(ADA, spec, stalls()))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.files() == set()


@served
async def test_what_could_not_be_allowed_is_refused_before_a_byte_is_read_or_a_key_made(world: World) -> None:
    await bucket(world)
    before = world.keyring.domains

    async def unread() -> AsyncIterator[bytes]:
        pytest.fail("the body was read")
        yield b""

    bob = caller("bob", "reader")
    big = INLINE_BYTES + 1
    for who, name, length, code in ((ADA, "nowhere", 5, "NoSuchBucket"), (bob, "ledgers", big, "AccessDenied")):
        spec = PutSpec(bucket=name, key="k", length=length, checks=Checks())
        with pytest.raises(S3Error) as caught:
            await world.one(world.service.objects.put(who, spec, unread()))
        assert caught.value.s3_code == code
        assert caught.value.record == world.last.reference
    assert world.keyring.domains == before


LIMITS: dict[str, tuple[dict[str, object], str]] = {
    "key": ({"key": "k" * 1025}, "KeyTooLongError"),
    "key in bytes": ({"key": "ü" * 513}, "KeyTooLongError"),
    "metadata": ({"metadata": {"a": "x" * 2048}}, "MetadataTooLarge"),
    "headers": ({"headers": {"expires": "x" * 9000}}, "MetadataTooLarge"),
    "size": ({"length": 5 * 1024**3 + 1}, "EntityTooLarge"),
    "date": ({"lock": LockRef("GOVERNANCE", "tomorrow")}, "InvalidArgument"),
}


@pytest.mark.parametrize("limit", LIMITS)
@served
async def test_limits_are_refused_and_recorded(world: World, limit: str) -> None:
    await bucket(world, lock=True)
    changes, code = LIMITS[limit]
    spec = PutSpec(**{"bucket": "ledgers", "key": "k", "length": 1, "checks": Checks()} | changes)  # type: ignore[arg-type]
    with pytest.raises(S3Error) as caught:
        await world.one(world.service.objects.put(ADA, spec, pieces(b"x")))
    assert caught.value.s3_code == code
    assert world.last.head.outcome == "failure"


@served
async def test_names_of_any_length_fit_a_record(world: World) -> None:
    long = "\x01" * 60_000
    with pytest.raises(S3Error, match="key is too long"):
        await world.one(world.service.objects.head(ADA, Wanted(bucket="ledgers", key=long)))
    with pytest.raises(S3Error):
        await world.one(world.service.objects.head(ADA, Wanted(bucket=long, key="k", version_id=long)))
    with pytest.raises(S3Error):
        await world.one(world.service.uploads.abort(ADA, "ledgers", "k", long))
    with pytest.raises(S3Error):
        await world.one(world.service.objects.list(ADA, "ledgers", long, "", "", 10))


@served
async def test_the_key_is_that_of_the_lock_expected(world: World) -> None:
    await bucket(world, lock=True)
    until = rfc3339(START + 400 * DAY_NS)
    await world.put("asked", b"x", lock=LockRef("GOVERNANCE", until))
    await world.put("unlocked", b"x")
    await world.one(world.service.buckets.put_lock(ADA, "ledgers", DefaultRetention("COMPLIANCE", days=40)))
    await world.put("default", b"x")
    months = {}
    for record in world.ledger.records:
        if record.tail.storage is not None and record.tail.object is not None:
            months[record.tail.object.key] = world.keyring.get(record.tail.storage.domain).month
    assert months == {"asked": "2027-12", "unlocked": "none", "default": "2027-01"}


@served
async def test_version_ids_are_shown_as_s3_shows_them(world: World) -> None:
    await bucket(world)
    assert (await world.put("k", b"1")).version_id == ""
    await world.one(world.service.buckets.put_versioning(ADA, "ledgers", "Enabled"))
    got, _ = await world.get(Wanted(bucket="ledgers", key="k"))
    assert got.version_id == "null"
    enabled = await world.put("k", b"2")
    assert len(enabled.version_id) == 32
    await world.one(world.service.buckets.put_versioning(ADA, "ledgers", "Suspended"))
    assert (await world.put("k", b"3")).version_id == "null"
    _, body = await world.get(Wanted(bucket="ledgers", key="k", version_id=enabled.version_id))
    assert body == b"2"


@served
async def test_if_match_means_the_etag_of_the_current_version(world: World) -> None:
    await bucket(world)
    with pytest.raises(S3Error) as caught:
        await world.put("k", b"1", if_match="0" * 32)
    assert caught.value.s3_code == "NoSuchKey"
    first = await world.put("k", b"1")
    second = await world.put("k", b"2", if_match=first.etag)
    with pytest.raises(S3Error) as caught:
        await world.put("k", b"3", if_match=first.etag)
    assert caught.value.s3_code == "PreconditionFailed"
    world.forget()
    await world.put("k", b"3", if_match=second.etag)


@served
async def test_if_none_match_means_that_there_is_no_version(world: World) -> None:
    await bucket(world)
    first, second = (
        PutSpec(bucket="ledgers", key="k", length=1, checks=Checks(), if_none_match=True) for _ in range(2)
    )
    await world.one(world.service.objects.put(ADA, first, pieces(b"x")))
    with pytest.raises(S3Error) as caught:
        await world.one(world.service.objects.put(ADA, second, pieces(b"y")))
    assert caught.value.s3_code == "PreconditionFailed"


@served
async def test_a_journal_that_does_not_write_is_told_as_it_is(world: World) -> None:
    await bucket(world)
    for failure in (Unavailable("full"), OutcomeUnknown("torn")):
        world.ledger.failures.append(failure)
        spec = PutSpec(bucket="ledgers", key="k", length=1, checks=Checks())
        with pytest.raises(type(failure)):
            await world.service.objects.put(ADA, spec, pieces(b"x"))


# --- deletes ----------------------------------------------------------------------------------------------------------


@served
async def test_deletes_say_what_they_did(world: World) -> None:
    await bucket(world)
    nothing = await world.one(world.service.objects.delete(ADA, "ledgers", "k"))
    assert (nothing.version_id, nothing.marker) == ("", False)
    await world.put("k", b"1")
    removed = await world.one(world.service.objects.delete(ADA, "ledgers", "k"))
    assert (removed.version_id, removed.marker) == ("", False)
    await world.one(world.service.buckets.put_versioning(ADA, "ledgers", "Enabled"))
    put = await world.put("k", b"2")
    marker = await world.one(world.service.objects.delete(ADA, "ledgers", "k"))
    assert marker.marker
    assert marker.version_id not in {"", "null", put.version_id}
    gone = await world.one(world.service.objects.delete(ADA, "ledgers", "k", marker.version_id))
    assert (gone.version_id, gone.marker) == (marker.version_id, True)
    gone = await world.one(world.service.objects.delete(ADA, "ledgers", "k", put.version_id))
    assert (gone.version_id, gone.marker) == (put.version_id, False)
    assert gone.record == world.last.reference


@served
async def test_each_member_of_a_delete_is_decided_and_recorded_on_its_own(world: World) -> None:
    await bucket(world, lock=True)
    until = rfc3339(START + DAY_NS)
    free = await world.put("free", b"1")
    kept = await world.put("kept", b"2", lock=LockRef("COMPLIANCE", until))
    also = await world.put("also", b"3")
    before = len(world.ledger.records)
    members = [("free", free.version_id), ("kept", kept.version_id), ("also", also.version_id), ("none", "")]
    results = await world.service.objects.delete_many(ADA, "ledgers", members, bypass=True, bypass_sent=True)
    records = world.ledger.records[before:]
    assert [record.head.outcome for record in records] == ["success", "denied", "success", "success"]
    assert [result.record for result in results] == [record.reference for record in records]
    assert isinstance(results[1], S3Error)
    assert results[1].s3_code == "AccessDenied"
    assert isinstance(results[3], DeleteResult)
    assert results[3].marker  # hides a key that never was, as S3 does
    _, body = await world.get(Wanted(bucket="ledgers", key="kept"))
    assert body == b"2"


@served
async def test_a_member_that_was_not_written_is_told_apart(world: World) -> None:
    await bucket(world)
    await world.put("a", b"1")
    world.ledger.failures.append(Unavailable("full"))
    results = await world.service.objects.delete_many(ADA, "ledgers", [("a", ""), ("b", "")])
    assert isinstance(results[0], S3Error)
    assert results[0].s3_code == "ServiceUnavailable"
    assert isinstance(results[1], DeleteResult)
    world.ledger.failures.append(OutcomeUnknown("torn"))
    with pytest.raises(OutcomeUnknown):
        await world.service.objects.delete_many(ADA, "ledgers", [("a", ""), ("b", "")])


@served
async def test_the_record_names_all_that_is_needed_to_verify_the_bytes(world: World) -> None:
    await bucket(world)
    await world.put("k", content(CHUNK_BYTES + 5))
    storage = world.last.tail.storage
    row = world.ledger.state.get(next(key for key in world.ledger.state.rows if key.startswith(b"v")))
    assert isinstance(row, VersionRow)
    assert storage is not None
    assert row.storage == storage
    assert (storage.kind, storage.chunk, storage.length) == ("blob", CHUNK_BYTES, CHUNK_BYTES + 5 + 2 * 16)
    assert world.files() == {f"blobs/{storage.blob[:2]}/{storage.blob}"}
