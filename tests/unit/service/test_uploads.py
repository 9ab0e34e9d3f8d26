from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.doubles.ledger import START
from tests.doubles.world import ADA, Checks, caller, pieces, served
from vault.checksums import BodyDigests, find_algorithm
from vault.errors import IntegrityError, S3Error
from vault.record import DefaultRetention, LockRef
from vault.service.context import CompletedPart, UploadSpec
from vault.service.limits import MIN_PART_BYTES
from vault.service.reading import Wanted
from vault.state import lookup
from vault.times import DAY_NS, rfc3339

if TYPE_CHECKING:
    from tests.doubles.world import World
    from vault.service.results import PartResult, UploadResult

#: Two parts of the least size, and a small last one.
PARTS = [
    hashlib.shake_128(b"%d" % number).digest(size) for number, size in enumerate((MIN_PART_BYTES, MIN_PART_BYTES, 9))
]


async def begun(world: World, *, algorithm: str = "", kind: str = "", lock: LockRef | None = None) -> UploadResult:
    spec = UploadSpec(
        bucket="ledgers",
        key="k",
        headers={"content-type": "text/csv"},
        metadata={"desk": "rates"},
        lock=lock,
        algorithm=algorithm,
        checksum_type=kind,
    )
    return await world.one(world.service.uploads.create(ADA, spec))


async def part(world: World, upload_id: str, number: int, data: bytes, algorithm: str = "") -> PartResult:
    checks = Checks(find_algorithm(algorithm) if algorithm else None)
    return await world.one(
        world.service.uploads.part(ADA, "ledgers", "k", upload_id, number, len(data), checks, pieces(data))
    )


async def bucket(world: World, *, lock: bool = False) -> None:
    await world.one(world.service.buckets.create(ADA, "ledgers", lock=lock, strict=False))


async def refused(world: World, upload_id: str, named: list[CompletedPart], **more: object) -> S3Error:
    with pytest.raises(S3Error) as caught:
        await world.one(world.service.uploads.complete(ADA, "ledgers", "k", upload_id, named, **more))  # type: ignore[arg-type]
    assert caught.value.record == world.last.reference
    assert world.last.tail.op == "multipart.complete"
    return caught.value


@served
async def test_parts_become_one_object(world: World) -> None:
    await bucket(world)
    upload = await begun(world)
    named = []
    for number, data in zip((2, 5, 10_000), PARTS, strict=True):
        stored = await part(world, upload.upload_id, number, data)
        assert stored.etag == hashlib.md5(data, usedforsecurity=False).hexdigest()
        named.append(CompletedPart(number, stored.etag))
    done = await world.one(world.service.uploads.complete(ADA, "ledgers", "k", upload.upload_id, named))
    digests = b"".join(bytes.fromhex(each.etag) for each in named)
    assert done.etag == f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-3"
    assert done.record == world.last.reference
    storage = world.last.tail.storage
    assert storage is not None
    assert storage.kind == "parts"

    world.forget()
    got, body = await world.get(Wanted(bucket="ledgers", key="k"))
    assert body == b"".join(PARTS)
    assert (got.parts, got.document.etag, got.total) == (3, done.etag, len(body))
    assert (got.document.headers, got.document.metadata) == ({"content-type": "text/csv"}, {"desk": "rates"})
    got, body = await world.get(Wanted(bucket="ledgers", key="k", part_number=3))
    assert (got.partial, body) == (True, PARTS[2])
    for wrong in (0, 4, 10_000):
        with pytest.raises(S3Error) as caught:
            await world.one(world.service.objects.head(ADA, Wanted(bucket="ledgers", key="k", part_number=wrong)))
        assert caught.value.s3_code == "InvalidPartNumber"


@served
async def test_a_completion_is_held_to_what_was_stored(world: World) -> None:
    await bucket(world)
    upload = await begun(world)
    one = CompletedPart(1, (await part(world, upload.upload_id, 1, b"too small")).etag)
    two = CompletedPart(2, (await part(world, upload.upload_id, 2, b"the last")).etag)
    codes = {
        "EntityTooSmall": [one, two],
        "InvalidPartOrder": [two, one],
        "InvalidPart": [CompletedPart(1, two.etag)],
        "MalformedXML": [],
    }
    for code, named in codes.items():
        assert (await refused(world, upload.upload_id, named)).s3_code == code
    assert (await refused(world, upload.upload_id, [CompletedPart(3, one.etag)])).s3_code == "InvalidPart"
    assert (await refused(world, "0" * 32, [one])).s3_code == "NoSuchUpload"
    await world.one(world.service.uploads.complete(ADA, "ledgers", "k", upload.upload_id, [two]))
    _, body = await world.get(Wanted(bucket="ledgers", key="k"))
    assert body == b"the last"


@served
async def test_a_later_part_takes_the_place_of_an_earlier_one(world: World) -> None:
    await bucket(world)
    upload = await begun(world)
    old = await part(world, upload.upload_id, 1, b"old")
    new = await part(world, upload.upload_id, 1, b"new")
    assert (await refused(world, upload.upload_id, [CompletedPart(1, old.etag)])).s3_code == "InvalidPart"
    await world.one(world.service.uploads.complete(ADA, "ledgers", "k", upload.upload_id, [CompletedPart(1, new.etag)]))
    _, body = await world.get(Wanted(bucket="ledgers", key="k"))
    assert body == b"new"


@served
async def test_a_part_without_its_upload_is_refused_before_a_byte_is_read(world: World) -> None:
    await bucket(world)
    upload = await begun(world)
    await world.one(world.service.uploads.abort(ADA, "ledgers", "k", upload.upload_id))
    for upload_id in (upload.upload_id, "f" * 32):
        with pytest.raises(S3Error) as caught:
            await part(world, upload_id, 1, b"x")
        assert caught.value.s3_code == "NoSuchUpload"
    assert (await refused(world, upload.upload_id, [CompletedPart(1, "x")])).s3_code == "NoSuchUpload"


@served
async def test_an_abort_is_for_those_who_may(world: World) -> None:
    await bucket(world)
    upload = await begun(world)
    with pytest.raises(S3Error) as caught:
        await world.one(world.service.uploads.abort(caller("bob", "reader"), "ledgers", "k", upload.upload_id))
    assert caught.value.s3_code == "AccessDenied"
    await part(world, upload.upload_id, 1, b"still here")


@served
async def test_the_lock_is_that_of_the_beginning(world: World) -> None:
    await bucket(world, lock=True)
    until = rfc3339(START + 400 * DAY_NS)
    upload = await begun(world, lock=LockRef("COMPLIANCE", until))
    stored = await part(world, upload.upload_id, 1, b"x")
    await world.one(world.service.buckets.put_lock(ADA, "ledgers", DefaultRetention("GOVERNANCE", days=1)))
    await world.one(
        world.service.uploads.complete(ADA, "ledgers", "k", upload.upload_id, [CompletedPart(1, stored.etag)])
    )
    assert world.last.head.lock == LockRef("COMPLIANCE", until)
    months = {
        world.keyring.get(record.tail.storage.domain).month
        for record in world.ledger.records
        if record.tail.storage is not None
    }
    assert months == {"2027-12"}


# --- checksums --------------------------------------------------------------------------------------------------------


def value(algorithm: str, data: bytes) -> str:
    digests = BodyDigests(find_algorithm(algorithm))
    digests.update(data)
    assert digests.checksum is not None
    return digests.checksum.base64


@pytest.mark.parametrize(("algorithm", "kind"), [("CRC32", "COMPOSITE"), ("SHA256", "COMPOSITE"), ("CRC64NVME", "")])
@served
async def test_the_checksum_of_the_whole_follows_from_those_of_the_parts(
    world: World, algorithm: str, kind: str
) -> None:
    await bucket(world)
    upload = await begun(world, algorithm=algorithm, kind=kind)
    assert (upload.algorithm, upload.checksum_type) == (algorithm, kind or "FULL_OBJECT")
    named = []
    for number, data in enumerate(PARTS, 1):
        stored = await part(world, upload.upload_id, number, data, algorithm)
        named.append(CompletedPart(number, stored.etag, (algorithm, value(algorithm, data))))
    if upload.checksum_type == "FULL_OBJECT":
        whole = value(algorithm, b"".join(PARTS))
    else:
        digest = find_algorithm(algorithm).new()
        digest.update(b"".join(base64.b64decode(each.checksum[1]) for each in named if each.checksum))
        whole = base64.b64encode(digest.digest()).decode() + "-3"

    bad = [*named[:2], CompletedPart(3, named[2].etag, (algorithm, value(algorithm, b"other")))]
    assert (await refused(world, upload.upload_id, bad)).s3_code == "InvalidPart"
    other = [*named[:2], CompletedPart(3, named[2].etag, ("SHA1", value("SHA1", PARTS[2])))]
    assert (await refused(world, upload.upload_id, other)).s3_code == "InvalidRequest"
    wrong = await refused(world, upload.upload_id, named, checksum=(algorithm, value(algorithm, b"other")))
    assert wrong.s3_code == "BadDigest"
    mode = "COMPOSITE" if upload.checksum_type == "FULL_OBJECT" else "FULL_OBJECT"
    assert (await refused(world, upload.upload_id, named, checksum_type=mode)).s3_code == "InvalidRequest"
    size = sum(map(len, PARTS))
    assert (await refused(world, upload.upload_id, named, size=size + 1)).reason == "object_size"
    if upload.checksum_type == "COMPOSITE":
        silent = [CompletedPart(each.number, each.etag) for each in named]
        assert (await refused(world, upload.upload_id, silent)).reason == "checksum_missing"

    done = await world.one(
        world.service.uploads.complete(
            ADA,
            "ledgers",
            "k",
            upload.upload_id,
            named,
            checksum=(algorithm, whole),
            checksum_type=upload.checksum_type,
            size=size,
        )
    )
    assert done.checksum is not None
    assert (done.checksum.type, done.checksum.value) == (upload.checksum_type, whole)


@served
async def test_a_composite_checksum_may_be_claimed_without_its_number_of_parts(world: World) -> None:
    await bucket(world)
    upload = await begun(world, algorithm="SHA256")
    stored = await part(world, upload.upload_id, 1, b"small", "SHA256")
    named = [CompletedPart(1, stored.etag, ("SHA256", value("SHA256", b"small")))]
    whole = base64.b64encode(hashlib.sha256(hashlib.sha256(b"small").digest()).digest()).decode()
    wrong = await refused(world, upload.upload_id, named, checksum=("SHA256", f"{whole}-2"))
    assert wrong.s3_code == "BadDigest"
    done = await world.one(
        world.service.uploads.complete(ADA, "ledgers", "k", upload.upload_id, named, checksum=("SHA256", whole))
    )
    assert done.checksum is not None
    assert done.checksum.value == f"{whole}-1"


@pytest.mark.parametrize("used", ["", "SHA256"])
@served
async def test_a_part_has_the_checksum_that_its_upload_names(world: World, used: str) -> None:
    await bucket(world)
    upload = await begun(world, algorithm="CRC32")
    for data in (b"small", bytes(300_000)):
        with pytest.raises(S3Error, match="expected checksum Type: crc32") as caught:
            await part(world, upload.upload_id, 1, data, used)
        assert caught.value.s3_code == "InvalidRequest"
    assert world.files() == set()


@served
async def test_a_checksum_type_that_the_algorithm_cannot_have_is_refused(world: World) -> None:
    await bucket(world)
    for algorithm, kind in (("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"), ("CRC32", "SOME")):
        with pytest.raises(S3Error) as caught:
            await begun(world, algorithm=algorithm, kind=kind)
        assert caught.value.s3_code == "InvalidRequest"


# --- listings ---------------------------------------------------------------------------------------------------------


@served
async def test_uploads_and_parts_are_listed_in_pages(world: World) -> None:
    await bucket(world)
    uploads = world.service.uploads
    first = await begun(world, algorithm="SHA256")
    second = await begun(world)
    for number in (7, 1, 3):
        await part(world, first.upload_id, number, b"%d" % number, "SHA256")
    world.forget()
    page = await world.one(uploads.list(ADA, "ledgers", "", "", "", "", 1))
    assert page.truncated
    rest = await world.one(uploads.list(ADA, "ledgers", "", "", page.next_key, page.next_upload, 1))
    assert not rest.truncated
    listed = [*page.uploads, *rest.uploads]
    assert {each.row.upload_id for each in listed} == {first.upload_id, second.upload_id}
    assert {each.algorithm for each in listed} == {"SHA256", ""}

    shown = await world.one(uploads.parts(ADA, "ledgers", "k", first.upload_id, 0, 2))
    assert [each.row.number for each in shown.parts] == [1, 3]
    assert (shown.truncated, shown.next_number, shown.algorithm, shown.checksum_type) == (
        True,
        3,
        "SHA256",
        "COMPOSITE",
    )
    assert shown.parts[0].document.checksum is not None
    shown = await world.one(uploads.parts(ADA, "ledgers", "k", first.upload_id, 3, 2))
    assert [each.row.number for each in shown.parts] == [7]
    assert not shown.truncated
    with pytest.raises(S3Error) as caught:
        await world.one(uploads.parts(ADA, "ledgers", "k", "0" * 32, 0, 10))
    assert caught.value.s3_code == "NoSuchUpload"


# --- damage -----------------------------------------------------------------------------------------------------------


@served
async def test_a_list_of_parts_that_was_changed_is_refused(world: World) -> None:
    await bucket(world)
    upload = await begun(world)
    stored = await part(world, upload.upload_id, 1, b"the only part")
    await world.one(
        world.service.uploads.complete(ADA, "ledgers", "k", upload.upload_id, [CompletedPart(1, stored.etag)])
    )
    seq = world.last.head.seq
    world.ledger.bodies[seq] = world.ledger.bodies[seq].replace(b"[[1,", b"[[2,")
    with pytest.raises(IntegrityError):
        await world.service.objects.get(ADA, Wanted(bucket="ledgers", key="k"))
    assert (world.last.tail.op, world.last.head.reason) == ("object.read.failed", "integrity")


@served
async def test_a_part_whose_document_is_damaged_cannot_be_completed(world: World) -> None:
    await bucket(world)
    upload = await begun(world)
    stored = await part(world, upload.upload_id, 1, b"x")
    (row,) = lookup.parts(world.ledger.state, upload.upload_id)
    world.forget()
    world.ledger.bodies[row.seq] = bytes(len(world.ledger.bodies[row.seq]))
    error = await refused(world, upload.upload_id, [CompletedPart(1, stored.etag)])
    assert (error.s3_code, error.reason) == ("InternalError", "integrity")
