"""What a new version is owed, replayed from records of a writer that may have forgotten it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.verify.promises import _Default
from tests.doubles.logbuilder import LogBuilder, instant
from tests.unit.verify.test_locks import found, replay
from vault.record import DefaultRetention
from vault.retention import default_until
from vault.times import Now, parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

LONG: Final = {"mode": "COMPLIANCE", "until": instant(0, 60)}
SHORT: Final = {"mode": "COMPLIANCE", "until": instant(0, 1)}
OVER: Final = {"mode": "COMPLIANCE", "until": instant(5)}


def default(log: LogBuilder, **period: int) -> int:
    """Set the bucket's default retention; none without a period."""
    rule = {"default": {"mode": "COMPLIANCE", **period}} if period else {}
    return log.record("bucket.lock.put", object={"bucket": "b"}, bucket={"lock": True, **rule})


def whole(log: LogBuilder, lock: dict[str, Any] | None, completed: dict[str, Any] | None) -> str:
    """A multipart upload that asks for a lock, and the object that comes of it."""
    log.upload("k", "u1", lock)
    log.part("k", "u1", 1, 100)
    return log.complete("k", "u1", lock=completed)


FORGOTTEN: Final = [
    (lambda log: log.put("k", request=LONG), "has none"),
    (lambda log: log.put("k", request=LONG, lock=SHORT), "lock until"),
    (lambda log: log.put("k", request=LONG, lock=LONG | {"mode": "GOVERNANCE"}), "has GOVERNANCE"),
    (lambda log: log.put("k", request={"hold": True}), "legal hold"),
    (lambda log: (default(log, days=30), log.put("k")), "has none"),
    (lambda log: (default(log, days=30), log.put("k", lock=SHORT)), "lock until"),
    (lambda log: (default(log, years=1), log.put("k", lock={"mode": "COMPLIANCE", "until": instant(0, 336)})), "lock"),
    (lambda log: (default(log, days=30), log.put("k", request={"hold": True}, lock={"hold": True})), "has none"),
    (lambda log: (default(log, days=30), whole(log, None, None)), "has none"),
    (lambda log: (default(log, days=30), whole(log, LONG, SHORT)), "lock until"),
    (lambda log: (default(log, days=30), whole(log, OVER, OVER)), "lock until"),
    (lambda log: whole(log, LONG, None), "has none"),
    (lambda log: log.on("object.hold.put", log.put("k"), request={"hold": True}), "not as it was asked"),
    (
        lambda log: log.on("object.retention.put", log.put("k"), request=LONG, lock=LONG | {"mode": "GOVERNANCE"}),
        "not as it was asked",
    ),
    (lambda log: log.on("object.retention.put", log.put("k"), request=LONG, lock=SHORT), "not as it was asked"),
]


@pytest.mark.parametrize(("build", "why"), FORGOTTEN, ids=[str(number) for number in range(len(FORGOTTEN))])
def test_a_promise_that_was_forgotten_is_found(build: Callable[[LogBuilder], object], why: str) -> None:
    assert [why in said for _, said in found(build)] == [True], found(build)


KEPT: Final = [
    lambda log: log.put("k", request=LONG, lock=LONG),
    lambda log: log.put("k", request={"hold": True}, lock={"hold": True}),
    lambda log: (default(log, days=30), log.put("k", lock=LONG)),
    lambda log: (default(log, days=30), log.put("k", request=SHORT, lock=SHORT)),  # what is asked for goes first
    lambda log: (default(log, days=30), default(log), log.put("k")),
    lambda log: (log.put("k"), default(log, days=30)),
    lambda log: (default(log, days=30), log.record("bucket.create", object={"bucket": "c"}), log.put("k", bucket="c")),
    lambda log: (default(log, days=30), whole(log, None, LONG)),
    lambda log: (default(log, days=30), whole(log, SHORT, SHORT)),
    lambda log: (default(log, days=30), whole(log, OVER, LONG)),
    lambda log: whole(log, OVER, OVER),
    lambda log: log.on("object.hold.put", log.put("k"), request={"hold": True}, lock={"hold": True}),
    lambda log: log.on("object.hold.put", log.put("k", lock={"hold": True}), request={"hold": False}),
    lambda log: log.on("object.retention.put", log.put("k"), request=LONG, lock=LONG),
]


@pytest.mark.parametrize("build", KEPT, ids=[str(number) for number in range(len(KEPT))])
def test_a_promise_that_was_kept_is_no_finding(build: Callable[[LogBuilder], object]) -> None:
    assert [said for _, said in found(build) if "was to have" in said] == []


@pytest.mark.parametrize("strict", [True, False])
def test_an_object_of_a_strict_bucket_is_neither_overwritten_nor_hidden(*, strict: bool) -> None:
    def build(log: LogBuilder, *, hide: bool, delete: bool) -> None:
        log.record("bucket.create", object={"bucket": "c"}, bucket={"strict": strict})
        version = log.put("k", bucket="c")
        if delete:
            log.on("object.delete", version)
        if hide:
            log.make("object.delete", "k", marker=True, bucket="c")
        else:
            log.put("k", bucket="c")

    for hide in (True, False):
        assert found(lambda log, hide=hide: build(log, hide=hide, delete=True)) == []  # type: ignore[misc]
        told = found(lambda log, hide=hide: build(log, hide=hide, delete=False))  # type: ignore[misc]
        assert ["strict" in why for _, why in told] == [True] * strict


def test_an_object_of_a_strict_bucket_goes_only_by_its_version() -> None:
    def build(log: LogBuilder, *, named: bool) -> None:
        log.record("bucket.create", object={"bucket": "c"}, bucket={"strict": True})
        log.on("object.delete", log.put("k", bucket="c", null=True), named=named)

    assert found(lambda log: build(log, named=True)) == []
    assert [why for _, why in found(lambda log: build(log, named=False))] == [
        "an object of a strict bucket was hidden or removed by its name alone"
    ]


def later_stream(build: Callable[[LogBuilder], object], *, keep: int) -> list[str]:
    """What is found in the records of a stream that took another over, of which only it is here."""
    log = LogBuilder()
    log.start()
    build(log)
    del log.entries[4 : 4 + keep]
    for seq, entry in enumerate(log.entries):
        entry.fields["seq"] = seq
    log.rechain()
    return [finding.why for finding in replay(log, inherits=True).findings]


def test_what_another_stream_set_is_not_guessed() -> None:
    def over(log: LogBuilder) -> None:
        log.record("bucket.create", object={"bucket": "c"})
        log.put("k", bucket="c", request=OVER, lock=OVER)

    def made_again(log: LogBuilder) -> None:
        log.on("object.delete", log.put("k"))
        log.record("bucket.delete", object={"bucket": "b"})
        log.record("bucket.create", object={"bucket": "b"})
        log.put("k")

    assert later_stream(over, keep=1) == []
    assert later_stream(made_again, keep=2) == []

    def expired_upload(log: LogBuilder) -> None:
        whole(log, OVER, {"mode": "GOVERNANCE", "until": instant(0, 60)})

    log = LogBuilder()
    log.start()
    del log.entries[3]  # the bucket, and whatever default it had
    log.rechain()
    expired_upload(log)
    for seq, entry in enumerate(log.entries):
        entry.fields["seq"] = seq
    log.rechain()
    assert [finding.why for finding in replay(log, inherits=True).findings] == []


def test_a_default_that_is_set_here_counts_whoever_made_the_bucket() -> None:
    log = LogBuilder()
    log.start()
    del log.entries[3]
    log.rechain()
    default(log, days=30)
    log.put("k")
    for seq, entry in enumerate(log.entries):
        entry.fields["seq"] = seq
    log.rechain()
    assert ["has none" in finding.why for finding in replay(log, inherits=True).findings] == [True]


def test_a_date_that_is_none_hides_nothing() -> None:
    assert _Default(b"COMPLIANCE", 1, 0).ends(b"2027-02-30T00:00:00.000000000Z") > b"9999-12-31"
    assert _Default(b"COMPLIANCE", 1, 0).ends(b"0000-01-01T00:00:00.000000000Z") > b"9999-12-31"


@given(
    start=st.integers(0, parse_rfc3339("9999-12-31T23:59:59.999999999Z")),
    period=st.one_of(
        st.builds(lambda days: {"days": days}, st.integers(1, 36_500)),
        st.builds(lambda years: {"years": years}, st.integers(1, 100)),
    ),
)
def test_a_default_ends_when_the_writer_says(start: int, period: dict[str, int]) -> None:
    expected = default_until(DefaultRetention("COMPLIANCE", **period), Now(start, start))
    told = _Default(b"COMPLIANCE", period.get("days", 0), period.get("years", 0)).ends(rfc3339(start).encode())
    assert told.decode() == rfc3339(expected)


def test_a_year_from_the_29th_of_february_ends_on_the_1st_of_march() -> None:
    leap = _Default(b"COMPLIANCE", 0, 1).ends(b"2028-02-29T12:00:00.000000001Z")
    assert leap == b"2029-03-01T12:00:00.001000000Z"
    assert _Default(b"COMPLIANCE", 0, 4).ends(b"2028-02-29T12:00:00.000000000Z") == b"2032-02-29T12:00:00.000000000Z"
