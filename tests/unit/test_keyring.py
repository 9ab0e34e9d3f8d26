from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import pytest

from tests.doubles.keys import FixedKek, Token
from vault import device, durable
from vault.crypto import keyring_file
from vault.crypto.keyring import COPIES, Keyring, month_of
from vault.crypto.keyring_file import Contents, DomainKey
from vault.errors import DurabilityError, KeyringError, Unavailable
from vault.storage.token import NotCovered, domain_name
from vault.times import MAX_NS, parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEK = FixedKek(b"k" * 32)
MAY = parse_rfc3339("2031-05-31T23:59:59.999999999Z")
JUNE = parse_rfc3339("2031-06-01T00:00:00Z")


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return Keyring.create(tmp_path, KEK)


def test_a_new_keyring_opens_again_with_its_kek_only(tmp_path: Path, ring: Keyring) -> None:
    domain = ring.take_or_make("ledgers", MAY)
    again = Keyring.open(tmp_path, KEK)
    assert again.get(domain.id) == domain
    assert again.derive("secrets") == ring.derive("secrets") != ring.derive("signing")
    with pytest.raises(KeyringError, match="wrapped by the key-encryption key"):
        Keyring.open(tmp_path, FixedKek(b"x" * 32))
    with pytest.raises(durable.NameTaken):
        Keyring.create(tmp_path, KEK)


def test_a_domain_is_a_bucket_and_a_month(ring: Keyring) -> None:
    one = ring.take_or_make("ledgers", MAY)
    assert (one.bucket, one.month, len(one.id), len(one.key)) == ("ledgers", "2031-05", 16, 32)
    assert ring.take_or_make("ledgers", MAY - 1) is one
    assert ring.take("ledgers", MAY) is one
    assert ring.take("ledgers", JUNE) is None
    others = [ring.take_or_make("ledgers", JUNE), ring.take_or_make("notes", MAY), ring.take_or_make("ledgers", 0)]
    assert len({domain.key for domain in (one, *others)}) == 4
    assert others[2].month == "none"
    assert ring.domains == (one, *others)


@pytest.mark.parametrize(
    ("until", "month"), [(0, "none"), (MAY, "2031-05"), (JUNE, "2031-06"), (MAX_NS * 9, "9999-12")]
)
def test_the_month_is_utc(until: int, month: str) -> None:
    assert month_of(until) == month


def test_a_domain_key_is_in_both_copies_before_it_is_handed_out(tmp_path: Path, ring: Keyring) -> None:
    domain = ring.take_or_make("ledgers", 0)
    for name in COPIES:
        assert keyring_file.decode((tmp_path / name).read_bytes(), KEK.kek).domains == (domain,)


def test_a_key_that_is_not_there_is_an_error_and_not_a_new_key(ring: Keyring) -> None:
    with pytest.raises(KeyringError, match="restore a key backup"):
        ring.get("00112233445566ff")


def test_many_threads_get_one_key(ring: Keyring) -> None:
    found: list[DomainKey] = []
    threads = [threading.Thread(target=lambda: found.append(ring.take_or_make("ledgers", MAY))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(domain) for domain in found}) == 1
    assert len(found) == 8


# --- two copies: every damage of one is healed, damage of both is refused ---------------------------------------------


def flipped(data: bytes, place: int) -> bytes:
    """Data with one bit changed."""
    changed = bytearray(data)
    changed[place] ^= 1
    return bytes(changed)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "whole": lambda _: None,
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "changed": lambda path: path.write_bytes(flipped(path.read_bytes(), -20)),
    "foreign": lambda path: path.write_bytes(b"SRKEYS9\n" + bytes(200)),
    "of another site": lambda path: (
        path.write_bytes(keyring_file.encode(Contents(9, b"s" * 32, ()), b"z" * 32)) and None
    ),
    "older": lambda path: path.write_bytes(path.with_name("older").read_bytes()),
}
GOOD = {"whole"}


@pytest.mark.parametrize(("first", "second"), [*itertools.product(DAMAGE, DAMAGE)])
def test_damage_matrix(tmp_path: Path, ring: Keyring, first: str, second: str) -> None:
    (tmp_path / "older").write_bytes((tmp_path / COPIES[0]).read_bytes())
    domain = ring.take_or_make("ledgers", MAY)
    whole = (tmp_path / COPIES[0]).read_bytes()
    for name, damage in zip(COPIES, (first, second), strict=True):
        DAMAGE[damage](tmp_path / name)

    if GOOD & {first, second}:
        assert Keyring.open(tmp_path, KEK).get(domain.id) == domain
        assert [(tmp_path / name).read_bytes() for name in COPIES] == [whole, whole]
    elif "older" in {first, second}:  # both at an older state is a restored backup: what is missing is refused by name
        with pytest.raises(KeyringError, match=domain.id):
            Keyring.open(tmp_path, KEK).get(domain.id)
    else:
        with pytest.raises(KeyringError, match="no copy of the keyring can be used"):
            Keyring.open(tmp_path, KEK)


def test_every_flipped_byte_is_noticed(ring: Keyring, tmp_path: Path) -> None:
    ring.take_or_make("ledgers", MAY)
    data = (tmp_path / COPIES[0]).read_bytes()
    for place in range(len(data)):
        with pytest.raises(KeyringError):
            keyring_file.decode(data[:place] + bytes((data[place] ^ 1,)) + data[place + 1 :], KEK.kek)


def test_two_good_copies_that_disagree_are_refused(tmp_path: Path) -> None:
    for name in COPIES:
        (tmp_path / name).write_bytes(keyring_file.encode(Contents(4, b"s" * 32, ()), KEK.kek))
    with pytest.raises(KeyringError, match="differ"):
        Keyring.open(tmp_path, KEK)


# --- changes ----------------------------------------------------------------------------------------------------------


def fail_on(monkeypatch: pytest.MonkeyPatch, name: str, *, after: bool) -> None:
    """Fail the replacement of one copy, before or after it took place."""
    real = durable.replace

    def replace(path: Path, data: bytes) -> None:
        if path.name == name and not after:
            raise DurabilityError("injected")
        real(path, data)
        if path.name == name:
            raise DurabilityError("injected")

    monkeypatch.setattr(durable, "replace", replace)


@pytest.mark.parametrize(("name", "after"), [*itertools.product(COPIES, (False, True))])
def test_a_change_that_fails_has_no_effect_and_stops_all_further_ones(
    tmp_path: Path, ring: Keyring, monkeypatch: pytest.MonkeyPatch, name: str, *, after: bool
) -> None:
    kept = ring.take_or_make("ledgers", 0)
    with monkeypatch.context() as patch:
        fail_on(patch, name, after=after)
        with pytest.raises(DurabilityError):
            ring.take_or_make("ledgers", MAY)
    assert ring.take("ledgers", MAY) is None
    assert ring.take("ledgers", 0) is kept
    assert ring.failed
    with pytest.raises(KeyringError, match="restart"):
        ring.take_or_make("ledgers", JUNE)
    again = Keyring.open(tmp_path, KEK)
    assert again.get(kept.id) == kept
    assert (tmp_path / COPIES[0]).read_bytes() == (tmp_path / COPIES[1]).read_bytes()
    assert again.take_or_make("ledgers", JUNE).month == "2031-06"


def test_a_copy_that_does_not_read_back_is_a_failure(ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "read_direct", lambda _path, _offset, _length: b"other bytes")
    with pytest.raises(DurabilityError, match="does not hold what was written"):
        ring.take_or_make("ledgers", MAY)


def test_a_key_is_destroyed_only_with_a_token_that_names_it(tmp_path: Path, ring: Keyring) -> None:
    gone, kept = ring.take_or_make("ledgers", MAY), ring.take_or_make("ledgers", JUNE)
    with pytest.raises(NotCovered):
        ring.destroy(gone.id, Token(domain_name(kept.id)))
    assert ring.get(gone.id) is gone
    token = Token(domain_name(gone.id))
    assert not ring.retire(gone.id)  # we hold it
    ring.give_back(gone)
    with pytest.raises(ValueError, match="was not retired"):
        ring.destroy(gone.id, token)
    assert ring.retire(gone.id)
    ring.destroy(gone.id, token)
    ring.destroy(gone.id, token)  # recovery may repeat it
    assert ring.take("ledgers", MAY) is None
    for keys in (ring, Keyring.open(tmp_path, KEK)):
        assert keys.get(kept.id) == kept
        with pytest.raises(KeyringError):
            keys.get(gone.id)
    assert ring.take_or_make("ledgers", MAY).key != gone.key


def test_a_rotation_changes_the_kek_and_no_other_key(tmp_path: Path, ring: Keyring) -> None:
    domain, new = ring.take_or_make("ledgers", MAY), FixedKek(b"n" * 32)
    ring.rewrap(new)
    later = ring.take_or_make("ledgers", JUNE)
    with pytest.raises(KeyringError):
        Keyring.open(tmp_path, KEK)
    again = Keyring.open(tmp_path, new)
    assert again.domains == (domain, later)
    assert again.derive("secrets") == ring.derive("secrets")


@pytest.mark.parametrize("kek", [KEK, FixedKek(b"n" * 32)], ids=["old", "new"])
def test_a_rotation_cut_in_half_opens_with_either_kek(
    tmp_path: Path, ring: Keyring, monkeypatch: pytest.MonkeyPatch, kek: FixedKek
) -> None:
    domain = ring.take_or_make("ledgers", MAY)
    with monkeypatch.context() as patch:
        fail_on(patch, COPIES[1], after=False)
        with pytest.raises(DurabilityError):
            ring.rewrap(FixedKek(b"n" * 32))
    assert Keyring.open(tmp_path, kek).get(domain.id) == domain


def test_a_full_keyring_takes_no_more_and_says_so(ring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vault.crypto.keyring.MAX_DOMAINS", 1)
    kept = ring.take_or_make("ledgers", MAY)
    with pytest.raises(Unavailable):
        ring.take_or_make("ledgers", JUNE)
    assert ring.take_or_make("ledgers", MAY) is kept


def test_nothing_shows_a_key(ring: Keyring) -> None:
    domain = ring.take_or_make("ledgers", MAY)
    shown = repr(domain) + repr(ring) + repr(Contents(1, b"s" * 32, (domain,)))
    assert repr(domain.key)[2:-1] not in shown
    assert domain.key.hex() not in shown
    assert "ssss" not in shown


def test_a_retired_key_is_taken_by_nobody_and_another_one_takes_its_place_until_it_is_reinstated(ring: Keyring) -> None:
    old = ring.take_or_make("ledgers", MAY)
    again = ring.take("ledgers", MAY)
    assert again is old
    ring.give_back(old)
    assert not ring.retire(old.id)  # held by one still
    ring.give_back(old)
    assert ring.retire(old.id)
    assert ring.take("ledgers", MAY) is None
    assert ring.get(old.id) is old  # what is under it can be read
    ring.reinstate(old.id)
    assert ring.take("ledgers", MAY) is old


def test_a_change_without_room_has_no_effect_and_the_next_one_works(
    tmp_path: Path, ring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = durable.replace
    for name in COPIES:

        def full(path: Path, data: bytes, name: str = name) -> None:
            if path.name == name:
                raise Unavailable("no room")
            replace(path, data)

        with monkeypatch.context() as patch:
            patch.setattr(durable, "replace", full)
            with pytest.raises(Unavailable):
                ring.take_or_make("ledgers", MAY)
        assert ring.take("ledgers", MAY) is None
    made = ring.take_or_make("ledgers", MAY)
    assert Keyring.open(tmp_path, KEK).get(made.id) == made
    assert (tmp_path / COPIES[0]).read_bytes() == (tmp_path / COPIES[1]).read_bytes()
