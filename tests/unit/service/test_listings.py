from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.doubles.world import ADA, caller, served
from vault.errors import IntegrityError, S3Error
from vault.state import lookup

if TYPE_CHECKING:
    from tests.doubles.world import World

KEYS = ["2025/a", "2025/b", "2026/a", "top"]


async def filled(world: World, *, versioned: bool = False) -> None:
    await world.one(world.service.buckets.create(ADA, "ledgers", lock=versioned, strict=False))
    for key in KEYS:
        await world.put(key, key.encode())


@served
async def test_every_page_is_recorded_with_what_was_asked(world: World) -> None:
    await filled(world)
    page = await world.one(world.service.objects.list(ADA, "ledgers", "2025/", "", "", 10))
    assert page.record == world.last.reference
    assert world.last.tail.object is not None
    assert world.last.tail.object.prefix == "2025/"
    assert page.bucket.name == "ledgers"


@pytest.mark.parametrize("forget", [False, True])
@served
async def test_entries_say_what_a_read_would(world: World, *, forget: bool) -> None:
    await filled(world)
    if forget:
        world.forget()
    page = await world.one(world.service.objects.list(ADA, "ledgers", "", "", "", 1000))
    assert [entry.key for entry in page.entries] == KEYS
    for entry in page.entries:
        assert entry.document is not None
        assert entry.document.size == entry.row.size == len(entry.key)


@served
async def test_tokens_lead_through_all_pages(world: World) -> None:
    await filled(world)
    seen: list[str] = []
    token, truncated = "", True
    while truncated:
        page = await world.one(world.service.objects.list_v2(ADA, "ledgers", "", "/", "", token, 1))
        seen += [entry.key for entry in page.entries] + page.prefixes
        token, truncated = page.next_token, page.truncated
    assert seen == ["2025/", "2026/", "top"]
    after = await world.one(world.service.objects.list_v2(ADA, "ledgers", "", "", "2025/b", "", 10))
    assert [entry.key for entry in after.entries] == ["2026/a", "top"]
    none = await world.one(world.service.objects.list_v2(ADA, "ledgers", "", "", "", "", 0))
    assert (none.entries, none.truncated) == ([], False)


@pytest.mark.parametrize("token", ["!", "a", "____", "YQ"])
@served
async def test_a_token_that_is_none_of_ours_is_refused_and_recorded(world: World, token: str) -> None:
    await filled(world)
    with pytest.raises(S3Error, match="continuation token"):
        await world.one(world.service.objects.list_v2(ADA, "ledgers", "", "", "", token, 10))
    assert (world.last.tail.op, world.last.head.outcome) == ("object.list", "failure")


@served
async def test_versions_are_listed_with_markers_and_which_is_the_latest(world: World) -> None:
    await filled(world, versioned=True)
    second = await world.put("top", b"second")
    marker = await world.one(world.service.objects.delete(ADA, "ledgers", "top"))
    shown = []
    key_marker = version_marker = ""
    truncated = True
    while truncated:
        page = await world.one(
            world.service.objects.list_versions(ADA, "ledgers", "to", "", key_marker, version_marker, 1)
        )
        shown += [(entry.version_id, entry.row.marker, entry.latest, entry.document is None) for entry in page.entries]
        key_marker, version_marker, truncated = page.next_marker, page.next_version, page.truncated
    assert shown[0] == (marker.version_id, True, True, True)
    assert shown[1] == (second.version_id, False, False, False)
    assert shown[2][1:] == (False, False, False)
    assert len(shown) == 3
    listed = await world.one(world.service.objects.list(ADA, "ledgers", "to", "", "", 10))
    assert listed.entries == []
    with pytest.raises(S3Error, match="Invalid version id"):
        await world.one(world.service.objects.list_versions(ADA, "ledgers", "", "", "top", "x", 10))


@served
async def test_null_versions_can_be_markers_of_a_page(world: World) -> None:
    await filled(world)
    await world.one(world.service.buckets.put_versioning(ADA, "ledgers", "Enabled"))
    await world.put("top", b"second")
    page = await world.one(world.service.objects.list_versions(ADA, "ledgers", "top", "", "", "", 10))
    assert [entry.version_id == "null" for entry in page.entries] == [False, True]
    page = await world.one(world.service.objects.list_versions(ADA, "ledgers", "", "", "top", "null", 10))
    assert page.entries == []


@served
async def test_a_version_erased_while_it_is_listed_is_left_out_and_a_lost_one_is_not(world: World) -> None:
    await filled(world)
    world.forget()
    row = lookup.key_row(world.ledger.state, "ledgers", "top")
    assert row is not None
    assert row.current is not None
    del world.ledger.bodies[row.current.seq]
    with pytest.raises(IntegrityError):
        await world.service.objects.list(ADA, "ledgers", "", "", "", 10)
    listed, failed = world.ledger.records[-2:]
    assert (failed.tail.op, failed.tail.ref, failed.head.reason) == ("object.read.failed", listed.head.seq, "integrity")

    real = world.ledger.read

    def removed(seq: int, offset: int, length: int) -> bytes:
        """Between finding the version and reading its document, a delete and the eraser came."""
        if row.current is not None and seq == row.current.seq:
            for key in [key for key in world.ledger.state.rows if b"top" in key]:
                world.ledger.state.put([(key, None)])
        return real(seq, offset, length)

    world.ledger.read = removed  # type: ignore[method-assign]
    page = await world.one(world.service.objects.list(ADA, "ledgers", "", "", "", 10))
    assert [entry.key for entry in page.entries] == KEYS[:-1]


@served
async def test_buckets_are_listed_to_those_who_own_them_or_may_look_into_all(world: World) -> None:
    eve = caller("eve", "owner")
    await world.one(world.service.buckets.create(ADA, "ledgers", lock=False, strict=False))
    await world.one(world.service.buckets.create(eve, "notes", lock=False, strict=False))
    expected = {"ada": ["ledgers", "notes"], "bob": ["ledgers", "notes"], "eve": ["notes"]}
    for who in (ADA, caller("bob", "reader"), eve):
        found = await world.one(world.service.buckets.list(who))
        assert [row.name for row in found.rows] == expected[who.actor.id]
        assert found.record == world.last.reference
