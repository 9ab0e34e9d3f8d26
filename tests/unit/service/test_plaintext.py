from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from tests.doubles.world import ADA, Checks, pieces, served
from vault.errors import CorruptError, IntegrityError, KeyringError, VaultError
from vault.service import documents
from vault.service.context import CompletedPart, UploadSpec
from vault.state import rows
from vault.state.rows import PartRow, VersionRow

if TYPE_CHECKING:
    from tests.doubles.world import World
    from vault.record import Storage


async def stored(world: World, data: bytes) -> VersionRow:
    await world.one(world.service.buckets.create(ADA, "ledgers", lock=False, strict=False))
    await world.put("k", data)
    return current(world)


def current(world: World) -> VersionRow:
    row = world.ledger.state.get(next(key for key in world.ledger.state.rows if key.startswith(b"v")))
    assert isinstance(row, VersionRow)
    assert row.storage is not None
    return row


def storage_of(row: VersionRow) -> Storage:
    assert row.storage is not None
    return row.storage


def read(world: World, row: VersionRow) -> bytes:
    """Read as a holder of a lease."""
    world.ledger.held[row.seq] += 1
    try:
        return b"".join(world.core.plaintext.pieces(row, 0, row.size - 1))
    finally:
        world.ledger.held[row.seq] -= 1


#: Storage descriptors that do not fit the bytes: each must be refused before anything is handed on.
WRONG: dict[str, tuple[dict[str, Any], type[VaultError]]] = {
    "suite": ({"suite": 9}, IntegrityError),
    "salt": ({"salt": "not hex"}, IntegrityError),
    "another salt": ({"salt": "00" * 16}, IntegrityError),
    "domain": ({"domain": "00112233445566ff"}, KeyringError),
    "chunk": ({"chunk": 0}, CorruptError),
    "length": ({"length": 5}, CorruptError),
    "sealed": ({"sealed": 1}, IntegrityError),
    "blob": ({"kind": "blob", "blob": "0" * 32}, CorruptError),
}


@pytest.mark.parametrize("wrong", WRONG)
@served
async def test_a_descriptor_that_does_not_fit_is_refused(world: World, wrong: str) -> None:
    row = await stored(world, b"0123456789")
    assert read(world, row) == b"0123456789"
    changes, error = WRONG[wrong]
    storage = msgspec.structs.replace(storage_of(row), **changes)
    with pytest.raises(error):
        read(world, msgspec.structs.replace(row, storage=storage))


@served
async def test_a_version_without_bytes_has_none_to_read(world: World) -> None:
    row = await stored(world, b"x")
    with pytest.raises(CorruptError):
        read(world, msgspec.structs.replace(row, storage=None))


@served
async def test_a_part_that_is_not_the_one_completed_is_refused(world: World) -> None:
    await world.one(world.service.buckets.create(ADA, "ledgers", lock=False, strict=False))
    uploads = world.service.uploads
    begun = await world.one(uploads.create(ADA, UploadSpec(bucket="ledgers", key="k")))
    part = await world.one(uploads.part(ADA, "ledgers", "k", begun.upload_id, 1, 3, Checks(), pieces(b"abc")))
    await world.one(uploads.complete(ADA, "ledgers", "k", begun.upload_id, [CompletedPart(1, part.etag)]))
    row, where = current(world), rows.part_key(begun.upload_id, 1)
    assert read(world, row) == b"abc"
    kept = world.ledger.state.get(where)
    assert isinstance(kept, PartRow)
    for other in (None, msgspec.structs.replace(kept, seq=kept.seq + 1), msgspec.structs.replace(kept, size=2)):
        world.ledger.state.put([(where, other)])
        with pytest.raises(CorruptError, match="is not the one that was completed"):
            read(world, row)
    long = msgspec.structs.replace(storage_of(row), length=2 << 20)
    with pytest.raises(CorruptError, match="claims a list"):
        world.core.plaintext.parts(msgspec.structs.replace(row, storage=long))


@served
async def test_documents_are_remembered_up_to_a_bound(world: World) -> None:
    row = await stored(world, b"x")
    document = world.core.documents.known(row.seq)
    assert document is not None
    world.forget()
    assert world.core.documents.known(row.seq) is None
    assert world.core.documents.load(row.seq, storage_of(row), row.content) == document
    for seq in range(1000, 1000 + documents.REMEMBERED - 1):
        world.core.documents.remember(seq, document)
    assert world.core.documents.known(row.seq) == document
    world.core.documents.remember(1, document)
    world.core.documents.remember(2, document)
    assert world.core.documents.known(1000) is None
    assert world.core.documents.known(row.seq) == document  # used last


@served
async def test_a_document_s_size_is_bounded_before_it_is_read(world: World) -> None:
    row = await stored(world, os.urandom(10))
    world.forget()
    storage = msgspec.structs.replace(storage_of(row), sealed=1 << 30)
    with pytest.raises(CorruptError, match="claims a sealed document"):
        world.core.documents.load(row.seq, storage, row.content)
