from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from audit.journal.batch import frame_bound
from tests.doubles.archives import END, archive, block, hostile, member, pax
from tests.doubles.extracting import asked, bucket, extract, holds, named, refused, some
from tests.doubles.world import ADA, Checks, caller, served
from vault.errors import OutcomeUnknown, S3Error, Unavailable
from vault.record import Origin
from vault.s3.extract import described_by
from vault.service import extraction, unpacking
from vault.service.sealing import INLINE_BYTES
from vault.storage import spool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.doubles.world import World
    from vault.ports import Done, Intent


@served
async def test_who_may_not_write_writes_nothing_and_is_not_listened_to(world: World) -> None:
    await bucket(world)
    read: list[bytes] = []

    async def body() -> object:  # pragma: no cover - it is not to be read
        read.append(b"")
        yield b""

    with pytest.raises(S3Error, match="Access Denied"):
        await world.one(world.service.extraction.put(caller("bob", "reader"), asked(b"x" * 512), body()))  # type: ignore[arg-type]
    assert read == []
    assert world.last.head.outcome == "denied"
    assert (await refused(world, archive(some(1)), bucket="missing")).s3_code == "NoSuchBucket"


@served
async def test_a_body_that_is_not_what_was_claimed_commits_nothing(world: World) -> None:
    await bucket(world)
    data = archive(some(3))
    await refused(world, data, checks=Checks(refusal=S3Error("BadDigest")))
    assert (await refused(world, data, length=len(data) + 1)).s3_code == "IncompleteBody"
    with pytest.MonkeyPatch.context() as patch:
        for module in (spool, unpacking):
            patch.setattr(module, "MEMORY_BYTES", 1000)
        await refused(world, data, checks=Checks(refusal=S3Error("BadDigest")))
        assert (await refused(world, data, length=len(data) - 1)).s3_code == "IncompleteBody"


@served
async def test_a_thousand_hostile_archives_commit_nothing(world: World) -> None:
    await bucket(world)
    reasons: Counter[str] = Counter()
    for each in hostile():
        reasons[(await refused(world, each.data)).reason] += 1
    assert reasons.total() == 1000
    assert len(reasons) > 12


@served
async def test_bad_members_are_skipped_where_they_are_to_be(world: World) -> None:
    await bucket(world)
    odd = pax({"minio.metadata.x-amz-tagging": b"a=b"}) + member(b"odd")
    data = (
        member(b"a") + block(b"link", kind=b"2") + member(b"../" + b"n" * 90) + odd + member(b"caf\xe9") + member(b"b")
    )
    before = len(world.ledger.records)
    made = await extract(world, data + END, tolerant=True)
    records = world.ledger.records[before:]
    assert [(named(record), record.head.reason) for record in records] == [
        ("a", ""), ("link", "archive_kind"), ("../" + "n" * 90, "archive_name"), ("odd", "archive_metadata"),
        ("caf\ufffd", "archive_name"), ("b", ""),
    ]  # fmt: skip
    assert [each.record for each in made] == [record.reference for record in records]
    assert [each.error is None for each in made] == [True, False, False, False, False, True]
    await holds(world, {"a": b"data", "b": b"data"})


@served
async def test_what_is_broken_is_refused_whoever_tolerates_what(world: World) -> None:
    await bucket(world)
    for each in hostile(130):
        if each.whole:
            await refused(world, each.data, tolerant=True)


@served
async def test_where_nothing_can_be_written_that_is_said(world: World) -> None:
    await bucket(world)
    world.ledger.failures = [Unavailable("full")]
    with pytest.raises(Unavailable, match="full"):
        await extract(world, archive(some(3)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction, "GROUP_MEMBERS", 10)
        world.ledger.failures = [Unavailable("full")] * 9
        with pytest.raises(Unavailable, match="full"):
            await extract(world, archive(some(100)))
        assert len(world.ledger.failures) >= 5, "it went on although there was no room"


@served
async def test_a_part_that_is_durable_is_told_from_the_rest(world: World) -> None:
    await bucket(world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction, "GROUP_MEMBERS", 10)
        patch.setattr(world.ledger, "_answer", _full_after(world, 3))
        made = await extract(world, archive(some(100)))
    assert len(made) == 100
    assert [bool(each.record) for each in made] == [True] * 30 + [False] * 70
    assert {each.error.s3_code for each in made[30:] if each.error} == {"ServiceUnavailable"}


def _full_after(world: World, groups: int) -> object:
    real = world.ledger._answer

    def answer(intent: object, done: object) -> None:
        nonlocal groups
        groups -= 1
        if groups < 0:
            done(Unavailable("full"))  # type: ignore[operator]
        else:
            real(intent, done)  # type: ignore[arg-type]

    return answer


@served
async def test_what_is_unknown_is_not_called_done(world: World) -> None:
    await bucket(world)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extraction, "GROUP_MEMBERS", 10)
        world.ledger.failures = [OutcomeUnknown("lost")]
        with pytest.raises(OutcomeUnknown):
            await extract(world, archive(some(100)))


@served
async def test_a_disk_that_does_not_give_back_what_was_spooled_is_recorded(world: World) -> None:
    await bucket(world)
    with pytest.MonkeyPatch.context() as patch:
        for module in (spool, unpacking):
            patch.setattr(module, "MEMORY_BYTES", 1000)
        patch.setattr(os, "pread", lambda *_: b"other bytes")
        assert (await refused(world, archive(some(20, INLINE_BYTES)))).reason == "integrity"


@served
async def test_members_with_the_longest_metadata_fit_the_smallest_groups(world: World) -> None:
    await bucket(world)
    headers = {f"x-amz-meta-{number}": '"' * 90 for number in range(20)} | {"cache-control": '"' * 8000}
    who = replace(ADA, http='"' * 1024, origin=Origin("s3", "R1", "", "\xff" * 256))
    bounds: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.ledger, "max_payload", 1 << 20, raising=False)
        real = world.ledger.submit

        def submit(intents: Sequence[Intent], done: Sequence[Done]) -> None:
            bounds.extend(map(frame_bound, intents))
            real(intents, done)

        patch.setattr(world.ledger, "submit", submit)
        own = pax({"minio.metadata.cache-control": b'"' * 8000})
        data = b"".join(own + member(b'"' * 98 + b"%d" % number) for number in range(60)) + END
        await extract(world, data, who, described=described_by(headers))
    assert len(bounds) > 1
    assert max(bounds) <= 1 << 20
