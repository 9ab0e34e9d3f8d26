from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.doubles.ledger import START
from tests.doubles.world import ADA, caller, served
from vault.errors import KeyringError, OutcomeUnknown, S3Error, Unavailable
from vault.record import DefaultRetention, LockRef
from vault.times import DAY_NS, rfc3339

if TYPE_CHECKING:
    from tests.doubles.world import World


@served
async def test_bucket_settings_come_back_as_they_were_put(world: World) -> None:
    buckets = world.service.buckets
    await world.one(buckets.create(ADA, "ledgers", lock=True, strict=True))
    found = await world.one(buckets.head(ADA, "ledgers"))
    assert (found.row.owner, found.row.lock, found.row.strict) == ("ada", True, True)
    assert (await world.one(buckets.get_versioning(ADA, "ledgers"))).row.versioning == "Enabled"
    assert (await world.one(buckets.get_lock(ADA, "ledgers"))).default is None
    default = DefaultRetention("COMPLIANCE", years=7)
    await world.one(buckets.put_lock(ADA, "ledgers", default))
    assert (await world.one(buckets.get_lock(ADA, "ledgers"))).default == default
    assert (await world.one(buckets.location(ADA, "ledgers"))).record == world.last.reference
    await world.one(buckets.delete(ADA, "ledgers"))
    with pytest.raises(S3Error) as caught:
        await world.one(buckets.head(ADA, "ledgers"))
    assert caught.value.s3_code == "NoSuchBucket"
    assert caught.value.record == world.last.reference


@served
async def test_locks_come_back_as_they_were_put(world: World) -> None:
    locks = world.service.locks
    await world.one(world.service.buckets.create(ADA, "ledgers", lock=True, strict=False))
    await world.put("k", b"x")
    for get in (locks.get_retention, locks.get_hold):
        with pytest.raises(S3Error) as caught:
            await world.one(get(ADA, "ledgers", "k"))
        assert caught.value.s3_code == "NoSuchObjectLockConfiguration"
    lock = LockRef("GOVERNANCE", rfc3339(START + 2 * DAY_NS))
    await world.one(locks.put_retention(ADA, "ledgers", "k", lock=lock))
    assert (await world.one(locks.get_retention(ADA, "ledgers", "k"))).lock == lock
    await world.one(locks.put_hold(ADA, "ledgers", "k", on=True))
    assert (await world.one(locks.get_hold(ADA, "ledgers", "k"))).lock.hold
    with pytest.raises(S3Error) as caught:
        await world.one(locks.put_retention(ADA, "ledgers", "k", lock=None))
    assert (caught.value.s3_code, world.last.head.outcome) == ("AccessDenied", "denied")
    await world.one(locks.put_retention(ADA, "ledgers", "k", lock=None, bypass=True))
    await world.one(locks.put_hold(ADA, "ledgers", "k", on=False))
    assert not (await world.one(locks.get_hold(ADA, "ledgers", "k"))).lock.hold


@served
async def test_a_refusal_of_the_wire_layer_is_recorded_as_told(world: World) -> None:
    error = S3Error("SignatureDoesNotMatch", reason="narrower")
    record = await world.one(world.service.refuse(ADA, "object.put", "ledgers", "k", error))
    assert record == error.record == world.last.reference
    assert (world.last.tail.op, world.last.head.outcome, world.last.head.reason) == ("object.put", "denied", "narrower")
    assert world.last.tail.object is not None
    assert (world.last.tail.object.bucket, world.last.tail.object.key) == ("ledgers", "k")
    await world.one(world.service.refuse(ADA, "request.refused", "", "", S3Error("NotImplemented")))
    assert world.last.tail.object is None
    for failure in (Unavailable("full"), OutcomeUnknown("torn")):
        world.ledger.failures.append(failure)
        with pytest.raises(type(failure)):
            await world.service.refuse(ADA, "request.refused", "", "", S3Error("InvalidURI"))


@served
async def test_a_request_without_a_valid_signature_opens_a_window(world: World) -> None:
    await world.service.unauthenticated("192.0.2.7", "SignatureDoesNotMatch")
    await world.service.unauthenticated("192.0.2.8", "SignatureDoesNotMatch")
    assert [record.tail.op for record in world.ledger.records] == ["auth.window.open"]


@served
async def test_principals_are_found_by_access_key_while_they_are_enabled(world: World) -> None:
    world.secrets.add("ada", "the secret")
    found = world.service.principals.lookup("ADA")
    assert found is not None
    assert (found[0].id, found[1]) == ("ada", b"the secret")
    (world.directory / "secrets" / "ada").unlink()
    assert world.service.principals.lookup("ADA") == found  # read once, and never changed
    assert world.service.principals.lookup("NOBODY") is None
    with pytest.raises(KeyringError):
        world.service.principals.lookup("EVE")


@served
async def test_whoever_may_not_is_told_so_and_recorded(world: World) -> None:
    with pytest.raises(S3Error) as caught:
        await world.one(world.service.buckets.create(caller("bob", "reader"), "ledgers", lock=False, strict=False))
    assert (caught.value.s3_code, world.last.head.reason) == ("AccessDenied", "policy")
    assert world.last.tail.actor.id == "bob"
    with pytest.raises(S3Error):
        await world.one(world.service.buckets.list(caller("mallory", "root")))
    assert world.last.head.reason == "principal"
