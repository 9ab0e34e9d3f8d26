"""Which keyring a restore makes, of what is in place, what the backup holds, and what the ledger needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from audit.identity import Layout
from audit.keys.keyring_plan import KeyringPlan, plan_keyring
from audit.keys.needed import Needed
from tests.doubles.keys import FixedKek, Token
from vault.crypto import kek, keyring_file
from vault.crypto.backup_file import KeyBackup
from vault.crypto.keyring import COPIES, Keyring
from vault.crypto.keyring_file import Contents
from vault.errors import KeyringError
from vault.storage.token import domain_name

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW, OTHER = bytes(range(32)), b"n" * 32, b"o" * 32


class Case:
    """A vault's keys directory, with a keyring of two domain keys under OLD, whose KEK is in ``keys/kek``."""

    def __init__(self, root: Path) -> None:
        self.layout = Layout(root)
        self.layout.keys.mkdir()
        self.layout.kek.write_bytes(kek.encode(OLD))
        self.layout.kek.chmod(0o600)
        self.ring = Keyring.create(self.layout.keys, FixedKek(OLD))
        self.first, self.second = (self.ring.take_or_make(name, 0) for name in ("a", "b"))
        self.environ: dict[str, str] = {}

    def backup(self, *, with_kek: bool = True) -> KeyBackup:
        taken = self.ring.snapshot()
        files = {"keys/keyring-a": taken.data} | ({"keys/kek": kek.encode(taken.kek)} if with_kek else {})
        return KeyBackup("v", "t", kek.kek_id(taken.kek), with_kek, files)

    def plan(self, backup: KeyBackup, *must: str, may: tuple[str, ...] = ()) -> KeyringPlan:
        return plan_keyring(self.layout, self.environ, backup, Needed(frozenset(must), frozenset(may), {}, 1))

    def lose(self, *names: str) -> None:
        for name in names or ("kek", *COPIES):
            (self.layout.keys / name).unlink()

    def put(self, contents: Contents, key: bytes, name: str) -> None:
        (self.layout.keys / name).write_bytes(keyring_file.encode(contents, key))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def ids(plan: KeyringPlan) -> list[str]:
    return [domain.id for domain in plan.contents.domains]


def test_what_is_all_there_stays_as_it_is(case: Case) -> None:
    plan = case.plan(case.backup(), case.first.id)
    assert (plan.puts_kek, plan.puts_keyring, plan.beyond, plan.left_out) == (False, False, 0, 0)


def test_what_is_all_lost_comes_from_the_backup_but_only_what_is_needed(case: Case) -> None:
    backup = case.backup()
    case.lose()
    plan = case.plan(backup, case.first.id)
    assert (ids(plan), plan.kek, plan.puts_kek, plan.puts_keyring) == ([case.first.id], OLD, True, True)
    assert (plan.left_out, plan.beyond) == (1, 0)
    assert plan.contents.generation > case.ring.extent[0]
    assert ids(case.plan(backup, case.first.id, may=(case.second.id,))) == [case.first.id, case.second.id]


def test_a_newer_keyring_is_kept_and_a_destroyed_key_does_not_come_back(case: Case) -> None:
    backup = case.backup()
    case.ring.give_back(case.first)
    assert case.ring.retire(case.first.id)
    case.ring.destroy(case.first.id, Token(domain_name(case.first.id)))
    third = case.ring.take_or_make("c", 0)
    plan = case.plan(backup, case.second.id, third.id)
    assert (ids(plan), plan.puts_keyring) == ([case.second.id, third.id], False)
    assert (plan.beyond, plan.left_out) == (1, 1)


def test_an_older_keyring_that_somebody_put_in_place_gets_what_it_lacks(case: Case) -> None:
    older = (case.layout.keys / COPIES[0]).read_bytes()
    third = case.ring.take_or_make("c", 0)
    backup = case.backup()
    for name in COPIES:
        (case.layout.keys / name).write_bytes(older)
    plan = case.plan(backup, case.first.id, third.id)
    assert (ids(plan), plan.puts_keyring) == ([case.first.id, case.second.id, third.id], True)
    assert plan.contents.generation == case.ring.extent[0] + 1


@pytest.mark.parametrize("lost", [(), COPIES], ids=["keyring in place", "keyring lost"])
def test_a_domain_key_that_nobody_has_is_named_and_nothing_is_done(case: Case, lost: tuple[str, ...]) -> None:
    backup = case.backup()
    before = {name: (case.layout.keys / name).read_bytes() for name in COPIES if name not in lost}
    for name in lost:
        (case.layout.keys / name).unlink()
    with pytest.raises(KeyringError, match=r"2 domain keys .*\(00ff, 11ff\).*newer backup"):
        case.plan(backup, case.first.id, "11ff", "00ff")
    assert {name: (case.layout.keys / name).read_bytes() for name in before} == before


def test_a_lost_kek_comes_back_for_the_keyring_that_is_there(case: Case) -> None:
    backup = case.backup()
    third = case.ring.take_or_make("c", 0)
    case.lose("kek")
    plan = case.plan(backup, case.first.id, third.id)
    assert (plan.kek, plan.puts_kek, plan.puts_keyring, third.id in ids(plan)) == (OLD, True, False, True)


@pytest.mark.parametrize("kept", [b"", b"not a key", kek.encode(OLD)[:20]], ids=["empty", "other", "cut"])
def test_a_damaged_kek_file_is_as_good_as_lost(case: Case, kept: bytes) -> None:
    backup = case.backup()
    case.layout.kek.write_bytes(kept)
    assert case.plan(backup, case.first.id).puts_kek


def test_a_kek_that_is_only_kept_badly_is_not_written_over(case: Case) -> None:
    backup = case.backup()
    case.layout.kek.write_bytes(kek.encode(NEW))
    case.layout.kek.chmod(0o644)
    with pytest.raises(KeyringError, match="chmod 600"):
        case.plan(backup, case.first.id)


def test_a_keyring_under_a_kek_that_is_not_at_hand_is_not_written_over(case: Case) -> None:
    backup = case.backup()
    case.ring.rewrap(FixedKek(NEW))
    with pytest.raises(KeyringError, match=f"wrapped by the key-encryption key {kek.kek_id(NEW)}.*move"):
        case.plan(backup, case.first.id)
    case.lose(*COPIES)
    assert ids(case.plan(backup, case.first.id)) == [case.first.id]


def test_a_backup_from_before_a_rotation_is_wrapped_by_the_kek_that_is_there(case: Case) -> None:
    backup = case.backup()
    case.lose(*COPIES)
    case.layout.kek.write_bytes(kek.encode(NEW))
    plan = case.plan(backup, case.first.id)
    assert (plan.kek, plan.puts_kek, plan.puts_keyring) == (NEW, False, True)


def test_without_its_kek_a_backup_is_of_no_use_unless_nothing_of_it_is_needed(case: Case) -> None:
    backup = case.backup(with_kek=False)
    assert not case.plan(backup, case.first.id).puts_keyring
    case.ring.rewrap(FixedKek(NEW))
    case.environ[kek.VARIABLE] = kek.encode(NEW).decode()
    assert case.plan(backup, case.first.id).beyond == 2  # it does not open, and is not needed
    case.lose(*COPIES)
    with pytest.raises(KeyringError, match=f"key-encryption key {kek.kek_id(OLD)}, which is not in the backup"):
        case.plan(backup, case.first.id)


def test_a_variable_that_holds_another_kek_is_refused_and_not_made_the_kek(case: Case) -> None:
    backup = case.backup()
    case.environ[kek.VARIABLE] = kek.encode(OTHER).decode()
    case.lose(*COPIES)
    with pytest.raises(KeyringError, match=f"{kek.VARIABLE} holds the key-encryption key {kek.kek_id(OTHER)}"):
        case.plan(backup, case.first.id)
    case.environ[kek.VARIABLE] = kek.encode(OLD).decode()
    assert not case.plan(backup, case.first.id).puts_kek


def test_copies_that_contradict_each_other_give_what_is_needed_and_no_more(case: Case) -> None:
    backup, contents = case.backup(), case.ring.snapshot()
    both = keyring_file.decode(contents.data, OLD)
    case.put(Contents(9, both.site, (case.first,)), OLD, COPIES[0])
    case.put(Contents(9, both.site, (case.second,)), OLD, COPIES[1])
    plan = case.plan(backup, case.second.id)
    assert (ids(plan), plan.puts_keyring, plan.contents.generation) == ([case.second.id], True, 10)


def test_a_keyring_of_another_site_is_never_mixed_in(case: Case) -> None:
    backup = case.backup()
    for name in COPIES:
        case.put(Contents(3, b"s" * 32, ()), OLD, name)
    with pytest.raises(KeyringError, match="of different vaults"):
        case.plan(backup)


def test_damaged_copies_are_replaced(case: Case) -> None:
    backup = case.backup()
    for name in COPIES:
        path = case.layout.keys / name
        path.write_bytes(path.read_bytes()[:-1])
    plan = case.plan(backup, case.first.id)
    assert (ids(plan), plan.puts_keyring, plan.puts_kek) == ([case.first.id], True, False)
