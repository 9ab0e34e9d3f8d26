"""What the ledger needs of the keys: those of all bytes that are shown, and never one that was destroyed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from audit.identity import Layout
from audit.keys.keyring_plan import plan_keyring
from audit.keys.needed import Needed, needed_by
from audit.strand import Strand
from tests.doubles.memory import memory_directory
from tests.doubles.small_vault import SmallVault, storage_of, version_of
from tests.doubles.traffic import STREAM
from vault.crypto import kek
from vault.crypto.backup_file import KeyBackup
from vault.crypto.keyring import COPIES
from vault.errors import KeyringError
from vault.times import DAY_NS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def vault() -> Iterator[SmallVault]:
    with memory_directory() as directory:
        vault = SmallVault(directory)
        yield vault
        vault.stop()


def asked(vault: SmallVault) -> Needed:
    needed = needed_by([Strand(STREAM, 0, vault.log, vault.ledger, vault.packs)], vault.root / "scratch")
    assert not (vault.root / "scratch").exists()
    return needed


def test_every_kind_of_bytes_needs_its_key(vault: SmallVault) -> None:
    lock = vault.clocks.until(100)
    domains = {storage_of(vault.put("a")).domain, storage_of(vault.put("b", lock, kind="blob")).domain}
    upload, parts = vault.upload("c", 2, vault.clocks.until(400))
    under_way = asked(vault)
    vault.complete("c", upload, parts, vault.clocks.until(400))
    done = asked(vault)
    months = {domain.id for domain in vault.keyring.domains}
    assert len(months) == 3
    assert domains < months == under_way.must == done.must
    assert (done.principals, done.records) == ({"p1": True}, vault.log.durable_end)


def test_a_removed_version_is_not_missed_and_an_erased_one_needs_nothing(vault: SmallVault) -> None:
    gone, kept = vault.put("a"), vault.put("b", vault.clocks.until(100))
    vault.delete("a", version_of(gone))
    needed = asked(vault)
    assert needed.must == {storage_of(kept).domain}
    assert needed.may == {storage_of(gone).domain}
    vault.settle()
    assert vault.eraser.step()
    needed = asked(vault)
    assert needed.must == {storage_of(kept).domain}
    assert needed.may == frozenset()


def test_no_backup_brings_a_destroyed_domain_key_back(vault: SmallVault) -> None:
    gone, kept = vault.put("a", vault.clocks.until(10)), vault.put("b", vault.clocks.until(400))
    taken = vault.keyring.snapshot()
    files = {"keys/keyring-a": taken.data, "keys/kek": kek.encode(taken.kek)}
    backup = KeyBackup("v", "t", kek.kek_id(taken.kek), holds_kek=True, files=files)
    vault.clocks.now += 60 * DAY_NS
    vault.delete("a", version_of(gone))
    vault.settle()
    assert vault.eraser.step()
    with pytest.raises(KeyringError):
        vault.keyring.get(storage_of(gone).domain)
    layout = Layout(vault.root)
    layout.kek.write_bytes(kek.encode(taken.kek))
    layout.kek.chmod(0o600)
    for lost in ((), COPIES):  # beside the keyring, and in its place
        for name in lost:
            (layout.keys / name).unlink()
        plan = plan_keyring(layout, {}, backup, asked(vault))
        assert [domain.id for domain in plan.contents.domains] == [storage_of(kept).domain]
        assert plan.left_out == 1
