"""Completing an upload again: what was made is told, and nothing is made twice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.doubles.world import ADA, served
from tests.unit.service.test_uploads import begun, bucket, part, refused
from vault.service.context import CompletedPart

if TYPE_CHECKING:
    from tests.doubles.world import World


@served
async def test_a_completion_whose_answer_was_lost_is_answered_again(world: World) -> None:
    await bucket(world)
    upload = await begun(world)
    named = [CompletedPart(1, (await part(world, upload.upload_id, 1, b"all of it")).etag)]
    done = await world.one(world.service.uploads.complete(ADA, "ledgers", "k", upload.upload_id, named))
    again = await world.one(world.service.uploads.complete(ADA, "ledgers", "k", upload.upload_id, named))
    assert (again.version_id, again.etag, again.checksum) == (done.version_id, done.etag, done.checksum)
    assert again.record == world.last.reference != done.record
    assert (world.last.head.outcome, world.last.head.reason) == ("failure", "completed_before")
    assert world.last.head.version is None
    for other in ([CompletedPart(2, named[0].etag), *named], [CompletedPart(1, "no etag")], []):
        assert (await refused(world, upload.upload_id, other)).s3_code == "NoSuchUpload"
        assert world.last.head.reason == "no_such_upload"
    checksum = ("CRC32", "AAAAAA==")
    claims: list[dict[str, object]] = [{"size": 8}, {"checksum": checksum}, {"checksum_type": "COMPOSITE"}]
    for claim in claims:
        assert (await refused(world, upload.upload_id, named, **claim)).s3_code == "NoSuchUpload"
    await world.one(world.service.objects.delete(ADA, "ledgers", "k"))
    assert (await refused(world, upload.upload_id, named)).s3_code == "NoSuchUpload"


@served
async def test_completions_that_meet_make_one_version_and_are_answered_alike(world: World) -> None:
    await bucket(world)
    upload = await begun(world)
    named = [CompletedPart(1, (await part(world, upload.upload_id, 1, b"all of it")).etag)]
    done = [world.service.uploads.complete(ADA, "ledgers", "k", upload.upload_id, named) for _ in range(3)]
    first, *others = await asyncio.gather(*done)
    assert {(other.version_id, other.etag) for other in others} == {(first.version_id, first.etag)}
    assert len({first.record, *(other.record for other in others)}) == 3
    outcomes = sorted(record.head.outcome for record in world.ledger.records[-3:])
    assert outcomes == ["failure", "failure", "success"]
