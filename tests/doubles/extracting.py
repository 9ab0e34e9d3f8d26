"""Archives on their way into a :class:`~tests.doubles.world.World`."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.doubles.world import ADA, Checks, pieces
from vault.errors import S3Error
from vault.s3.extract import described_by
from vault.service.context import ExtractSpec
from vault.service.reading import Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.doubles.ledger import Kept
    from tests.doubles.world import World
    from vault.service.context import Caller
    from vault.service.results import Extracted

BUCKET = "ledgers"


def content(name: str, size: int) -> bytes:
    return hashlib.shake_128(name.encode()).digest(size)


def some(count: int, size: int = 100) -> dict[str, bytes]:
    return {f"d/{number}": content(str(number), size) for number in range(count)}


async def bucket(world: World, *, lock: bool = True, strict: bool = False) -> None:
    await world.one(world.service.buckets.create(ADA, BUCKET, lock=lock, strict=strict))


def asked(data: bytes, **options: object) -> ExtractSpec:
    fields = {"described": described_by({}), "checks": Checks(), "length": len(data), "key": "a.tar", "bucket": BUCKET}
    return ExtractSpec(**fields | options)  # type: ignore[arg-type]


async def extract(world: World, data: bytes, who: Caller = ADA, **options: object) -> Sequence[Extracted]:
    return await world.service.extraction.put(who, asked(data, **options), pieces(data, 50_000))


async def refused(world: World, data: bytes, who: Caller = ADA, **options: object) -> S3Error:
    """An archive that is refused whole: one record, no object, no file."""
    before = dict(world.ledger.state.rows)
    with pytest.raises(S3Error) as caught:
        await world.one(extract(world, data, who, **options))
    assert caught.value.record == world.last.reference
    assert world.last.head.outcome in {"failure", "denied"}
    assert (world.last.tail.op, named(world.last)) == ("object.put", "a.tar")
    assert world.ledger.state.rows == before
    assert world.files() == set()
    return caught.value


def named(record: Kept) -> str:
    assert record.tail.object is not None
    return record.tail.object.key


async def holds(world: World, members: dict[str, bytes], prefix: str = "") -> None:
    for name, data in members.items():
        _, body = await world.get(Wanted(bucket=BUCKET, key=prefix + name))
        assert body == data
