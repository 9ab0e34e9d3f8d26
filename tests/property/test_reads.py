"""Reads of any range, of objects stored in any way, against slices of the bytes that were put."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles.world import ADA, Checks, pieces, run
from vault.service.context import CompletedPart, UploadSpec
from vault.service.reading import Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from tests.doubles.world import World

#: Small enough that a few hundred bytes take every path: log and blob, one chunk and many, full and short last chunks.
SMALL = {
    "vault.service.intake.INLINE_BYTES": 8,
    "vault.service.foresight.INLINE_BYTES": 8,
    "vault.service.intake.CHUNK_BYTES": 16,
    "vault.service.intake.PIECE_BYTES": 32,
    "vault.service.sealing.CHUNK_BYTES": 16,
    "vault.service.limits.MIN_PART_BYTES": 0,
}


def with_small_chunks(scenario: Callable[[World], Coroutine[object, object, None]]) -> None:
    with tempfile.TemporaryDirectory() as directory, ExitStack() as patches:
        for name, value in SMALL.items():
            patches.enter_context(mock.patch(name, value))
        run(Path(directory), scenario)


async def upload(world: World, key: str, parts: Sequence[bytes]) -> None:
    uploads = world.service.uploads
    begun = await world.one(uploads.create(ADA, UploadSpec(bucket="ledgers", key=key)))
    named = []
    for place, data in enumerate(parts):
        number = place * 3 + 1
        stored = await world.one(
            uploads.part(ADA, "ledgers", key, begun.upload_id, number, len(data), Checks(), pieces(data, 7))
        )
        named.append(CompletedPart(number, stored.etag))
    await world.one(uploads.complete(ADA, "ledgers", key, begun.upload_id, named))


async def check_ranges(world: World, key: str, data: bytes, random: Random) -> None:
    _, whole = await world.get(Wanted(bucket="ledgers", key=key))
    assert whole == data
    for _ in range(8 if data else 0):
        first = random.randrange(len(data))
        last = random.randrange(first, len(data))
        got, body = await world.get(Wanted(bucket="ledgers", key=key, range=(first, last)))
        assert body == data[first : last + 1]
        assert (got.first, got.last, got.total) == (first, last, len(data))


@settings(max_examples=25)
@given(st.lists(st.integers(0, 70), min_size=1, max_size=5), st.integers())
def test_every_range_of_an_object_of_parts_is_that_slice_of_its_bytes(sizes: list[int], seed: int) -> None:
    random = Random(seed)
    parts = [random.randbytes(size) for size in sizes]

    async def scenario(world: World) -> None:
        await world.one(world.service.buckets.create(ADA, "ledgers", lock=False, strict=False))
        await upload(world, "k", parts)
        await check_ranges(world, "k", b"".join(parts), random)
        for place, part in enumerate(parts):
            if part:
                got, body = await world.get(Wanted(bucket="ledgers", key="k", part_number=place + 1))
                assert body == part
                assert got.parts == len(parts)

    with_small_chunks(scenario)


@settings(max_examples=25)
@given(st.integers(0, 100), st.integers())
def test_every_range_of_an_object_put_at_once_is_that_slice_of_its_bytes(size: int, seed: int) -> None:
    random = Random(seed)
    data = random.randbytes(size)

    async def scenario(world: World) -> None:
        await world.one(world.service.buckets.create(ADA, "ledgers", lock=False, strict=False))
        await world.put("k", data)
        await check_ranges(world, "k", data, random)

    with_small_chunks(scenario)
