from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from tests.doubles.world import ADA, caller, served
from vault.errors import IntegrityError, OutcomeUnknown, S3Error, Unavailable
from vault.service.context import Conditions
from vault.service.reading import Wanted
from vault.service.sealing import CHUNK_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.doubles.world import World

SMALL = Wanted(bucket="ledgers", key="small")
LARGE = Wanted(bucket="ledgers", key="large")
DATA = {"small": b"0123456789", "large": bytes(range(256)) * (3 * CHUNK_BYTES // 256) + b"end"}


async def filled(world: World) -> None:
    await world.one(world.service.buckets.create(ADA, "ledgers", lock=False, strict=False))
    for key, data in DATA.items():
        await world.put(key, data)


@served
async def test_the_record_is_durable_before_the_first_byte_is_read(world: World) -> None:
    await filled(world)
    world.ledger.failures.append(Unavailable("full"))
    with pytest.raises(Unavailable):
        await world.service.objects.get(ADA, SMALL)
    world.ledger.failures.append(OutcomeUnknown("torn"))
    with pytest.raises(OutcomeUnknown):
        await world.service.objects.get(ADA, SMALL)
    assert world.ledger.taken == 0  # and without a lease the double lets nobody read data


@served
async def test_a_range_is_recorded_as_the_durable_view_resolves_it(world: World) -> None:
    await filled(world)
    for asked, expected in (((2, 4), (2, 4)), ((None, 3), (7, 9)), ((8, 100), (8, 9))):
        got, body = await world.get(Wanted(bucket="ledgers", key="small", range=asked))
        assert (got.first, got.last, got.partial) == (*expected, True)
        assert body == DATA["small"][expected[0] : expected[1] + 1]
        assert world.last.tail.object is not None
        assert world.last.tail.object.range == expected


@served
async def test_what_depends_on_sealed_data_is_refused_after_the_record(world: World) -> None:
    await filled(world)
    etag = (await world.one(world.service.objects.head(ADA, SMALL))).document.etag
    refused = {
        "NotModified": Wanted(bucket="ledgers", key="small", conditions=Conditions(if_none_match=(etag,))),
        "PreconditionFailed": Wanted(bucket="ledgers", key="small", conditions=Conditions(if_match=("x",))),
        "InvalidRange": Wanted(bucket="ledgers", key="small", range=(10, None)),
        "InvalidPartNumber": Wanted(bucket="ledgers", key="small", part_number=2),
    }
    for code, wanted in refused.items():
        for operation in (world.service.objects.get, world.service.objects.head):
            with pytest.raises(S3Error) as caught:
                await world.one(operation(ADA, wanted))
            assert caught.value.s3_code == code
            assert caught.value.record == world.last.reference
            assert world.last.head.outcome == "success"


@served
async def test_a_head_says_the_same_and_has_no_body(world: World) -> None:
    await filled(world)
    for wanted in (SMALL, LARGE, Wanted(bucket="ledgers", key="large", range=(5, 6))):
        world.forget()
        head = await world.one(world.service.objects.head(ADA, wanted))
        got, _ = await world.get(wanted)
        assert head.body is None
        assert (head.document, head.first, head.last, head.row) == (got.document, got.first, got.last, got.row)


@served
async def test_a_read_that_is_refused_is_recorded_and_reads_nothing(world: World) -> None:
    await filled(world)
    with pytest.raises(S3Error) as caught:
        await world.one(world.service.objects.get(caller("eve", "owner"), SMALL))
    assert caught.value.s3_code == "AccessDenied"
    assert world.last.head.outcome == "denied"
    assert world.ledger.taken == 0


# --- bytes that are not what was stored -------------------------------------------------------------------------------


def damage_blob(world: World, offset: int) -> None:
    (name,) = world.files()
    path = world.directory / name
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


def damage_body(world: World, offset: int) -> None:
    body = bytearray(world.ledger.bodies[1])
    body[offset] ^= 1
    world.ledger.bodies[1] = bytes(body)


def lose_body(world: World, _: int) -> None:
    del world.ledger.bodies[1]


def lose_blob(world: World, _: int) -> None:
    (name,) = world.files()
    (world.directory / name).unlink()


@pytest.mark.parametrize(
    ("wanted", "damage", "offset"),
    [
        (SMALL, damage_body, 0),
        (SMALL, damage_body, -1),
        (SMALL, lose_body, 0),
        (LARGE, damage_blob, 0),
        (LARGE, lose_blob, 0),
    ],
)
@served
async def test_damage_where_a_read_begins_releases_nothing(
    world: World, wanted: Wanted, damage: Callable[[World, int], None], offset: int
) -> None:
    await filled(world)
    world.forget()
    damage(world, offset)
    with pytest.raises(IntegrityError):
        await world.service.objects.get(ADA, wanted)
    read, failed = world.ledger.records[-2:]
    assert (read.tail.op, read.head.outcome) == ("object.get", "success")
    assert (failed.tail.op, failed.tail.ref) == ("object.read.failed", read.head.seq)
    assert (failed.head.outcome, failed.head.reason) == ("failure", "integrity")


@served
async def test_damage_further_on_breaks_the_read_off(world: World) -> None:
    await filled(world)
    damage_blob(world, 2 * CHUNK_BYTES + 100)
    got = await world.one(world.service.objects.get(ADA, LARGE))
    seq = world.last.head.seq
    assert got.body is not None
    body, released = got.body, bytearray()

    async def read() -> None:
        async for piece in body:
            released.extend(piece)

    with pytest.raises(IntegrityError):
        await read()
    assert bytes(released) in {DATA["large"][: pieces * CHUNK_BYTES] for pieces in (1, 2)}
    assert (world.last.tail.op, world.last.tail.ref, world.last.head.reason) == ("object.read.failed", seq, "integrity")
    undamaged, whole = await world.get(Wanted(bucket="ledgers", key="large", range=(0, CHUNK_BYTES)))
    assert undamaged.partial
    assert whole == DATA["large"][: CHUNK_BYTES + 1]


@served
async def test_a_document_of_another_version_is_refused(world: World) -> None:
    await filled(world)
    await world.put("small", DATA["small"])
    world.forget()
    world.ledger.bodies[3] = world.ledger.bodies[1]
    with pytest.raises(IntegrityError):
        await world.service.objects.head(ADA, SMALL)


# --- readers that leave -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("taken", [0, 1, 2])
@served
async def test_a_client_that_leaves_ends_the_lease_and_is_recorded(world: World, taken: int) -> None:
    await filled(world)
    got = await world.one(world.service.objects.get(ADA, LARGE))
    seq = world.last.head.seq
    assert got.body is not None
    for _ in range(taken):
        await anext(got.body)
    assert world.ledger.held.total() == 1
    await got.body.aclose()
    assert (world.last.tail.op, world.last.tail.ref, world.last.head.reason) == ("object.read.failed", seq, "aborted")


@served
async def test_when_the_last_piece_is_out_the_lease_has_ended(world: World) -> None:
    await filled(world)
    got = await world.one(world.service.objects.get(ADA, SMALL))
    assert got.body is not None
    assert await anext(got.body) == DATA["small"]
    assert world.ledger.held.total() == 0
    await got.body.aclose()
    assert world.last.tail.op == "object.get"  # all of it was released: nothing was aborted


async def cancelled(task: asyncio.Task[object]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@served
async def test_a_caller_that_is_cancelled_before_it_asks_leaves_nothing(world: World) -> None:
    await filled(world)
    before = len(world.ledger.records)
    await cancelled(asyncio.create_task(world.service.objects.get(ADA, LARGE)))
    assert len(world.ledger.records) == before


@pytest.mark.parametrize("turns", range(1, 8))
@served
async def test_a_caller_that_is_cancelled_while_its_record_is_written_leaves_no_lease(world: World, turns: int) -> None:
    await filled(world)
    world.forget()
    written = threading.Event()
    world.ledger._thread.submit(written.wait, 30)  # no answer before it is set, however often the caller has its turn
    task = asyncio.create_task(world.service.objects.get(ADA, LARGE))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    written.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    # The double finds a lease that is still held when everything has come to its end.


@served
async def test_a_caller_that_is_cancelled_while_its_bytes_are_read_leaves_no_lease(world: World) -> None:
    await filled(world)
    world.forget()
    reading, read_on = threading.Event(), threading.Event()
    load = world.core.documents.load

    def slowly(*arguments: Any) -> Any:
        reading.set()
        read_on.wait(30)
        return load(*arguments)

    with patch.object(world.core.documents, "load", slowly):
        task = asyncio.create_task(world.service.objects.get(ADA, LARGE))
        await asyncio.to_thread(reading.wait)
        assert world.ledger.held.total() == 1
        await cancelled(task)
        read_on.set()
    # As above.


@served
async def test_leases_last_as_long_as_anybody_reads(world: World) -> None:
    await filled(world)
    first = await world.one(world.service.objects.get(ADA, LARGE))
    second = await world.one(world.service.objects.get(ADA, LARGE))
    assert first.body is not None
    assert second.body is not None
    assert b"".join([piece async for piece in first.body]) == DATA["large"]
    assert world.ledger.held.total() == 1
    assert b"".join([piece async for piece in second.body]) == DATA["large"]
