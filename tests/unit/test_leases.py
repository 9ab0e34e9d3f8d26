from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from vault.storage.leases import Leases


def test_a_body_is_held_until_every_lease_is_given_back() -> None:
    leases = Leases()
    first, second = leases.take(7), leases.take(7)
    first()
    assert leases.held(7)
    first()
    assert leases.held(7)
    second()
    assert not leases.held(7)


def test_a_range_is_held_by_any_body_in_it() -> None:
    leases = Leases()
    release = leases.take(7)
    assert [leases.any_in(0, 7), leases.any_in(7, 8), leases.any_in(8, 99)] == [False, True, False]
    release()
    assert not leases.any_in(0, 99)


def test_leases_taken_after_a_mark_do_not_count_before_it() -> None:
    leases = Leases()
    old = leases.take(7)
    mark = leases.mark()
    new = leases.take(7)
    assert leases.any_in(0, 9, before=mark)
    old()
    assert not leases.any_in(0, 9, before=mark)
    assert leases.any_in(0, 9)
    new()


def test_leases_come_and_go_from_many_threads() -> None:
    leases = Leases()

    def work(seq: int) -> None:
        for _ in range(2_000):
            release = leases.take(seq)
            assert leases.held(seq)
            assert leases.any_in(seq, seq + 1)
            release()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert not leases.any_in(0, 4)
