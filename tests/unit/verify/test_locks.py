"""What operations may do to versions under a lock, replayed from records of a writer without a gate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from audit.verify.locks import Locks
from audit.verify.records import Checker
from tests.doubles.logbuilder import LogBuilder, instant

if TYPE_CHECKING:
    from collections.abc import Callable

HELD = {"hold": True}


def until(mode: str, days: int = 30) -> dict[str, Any]:
    return {"mode": mode, "until": instant(0, days)}


def replay(log: LogBuilder, *, inherits: bool = False) -> Locks:
    """Every record is well formed and chained: what is found is about locks."""
    checker = Checker(b'"site-a.node-1"', 0, str)
    checker.feed(entry.bytes() for entry in log.entries)
    run = checker.run()
    assert not run.findings
    locks = Locks(str)
    locks.inherits = inherits
    for event in run.events:
        locks.apply(event)
    locks.finish()
    return locks


def found(build: Callable[[LogBuilder], object]) -> list[tuple[int | None, str]]:
    log = LogBuilder()
    log.start()
    build(log)
    return [(finding.seq, finding.why) for finding in replay(log).findings]


def delete(lock: dict[str, Any] | None, request: dict[str, Any] | None = None) -> Callable[[LogBuilder], object]:
    return lambda log: log.on("object.delete", log.put("k", lock=lock), request=request or {"http": "DELETE"})


def relock(lock: dict[str, Any], new: dict[str, Any] | None, **more: Any) -> Callable[[LogBuilder], object]:
    return lambda log: log.on("object.retention.put", log.put("k", lock=lock), lock=new, **more)


def expired(op: str, new: dict[str, Any] | None = None) -> Callable[[LogBuilder], object]:
    def build(log: LogBuilder) -> None:
        version = log.put("k", lock={"mode": "COMPLIANCE", "until": instant(5)})
        log.fill(7)
        log.on(op, version, lock=new)

    return build


@pytest.mark.parametrize(
    "build",
    [
        delete(None),
        delete(until("GOVERNANCE"), {"bypass": True}),
        relock(until("COMPLIANCE"), until("COMPLIANCE", 31)),
        relock(until("COMPLIANCE") | HELD, until("COMPLIANCE", 31) | HELD),
        lambda log: log.on("object.hold.put", log.put("k", lock=until("COMPLIANCE")), lock=until("COMPLIANCE") | HELD),
        relock(until("GOVERNANCE"), until("GOVERNANCE", 31)),
        relock(until("GOVERNANCE"), until("COMPLIANCE", 31)),
        relock(until("GOVERNANCE"), None, request={"bypass": True, "remove": True}),
        expired("object.delete"),
        expired("object.retention.put"),
    ],
)
def test_what_the_lock_allows_is_no_finding(build: Callable[[LogBuilder], object]) -> None:
    assert found(build) == []


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (delete(until("COMPLIANCE")), "COMPLIANCE lock until"),
        (delete(until("COMPLIANCE"), {"bypass": True}), "COMPLIANCE lock until"),
        (delete(until("GOVERNANCE")), "GOVERNANCE lock until"),
        (delete(until("GOVERNANCE"), {"bypass_sent": True}), "GOVERNANCE lock until"),
        (delete(HELD), "legal hold"),
        (delete(until("GOVERNANCE") | HELD, {"bypass": True}), "legal hold"),
        (relock(until("COMPLIANCE"), until("COMPLIANCE", 29)), "weakened a COMPLIANCE"),
        (relock(until("COMPLIANCE"), until("GOVERNANCE", 31)), "weakened a COMPLIANCE"),
        (relock(until("COMPLIANCE"), None, request={"bypass": True}), "weakened a COMPLIANCE"),
        (relock(until("GOVERNANCE"), until("GOVERNANCE", 29)), "weakened a GOVERNANCE"),
        (relock(until("GOVERNANCE"), None), "weakened a GOVERNANCE"),
    ],
)
def test_what_the_lock_forbids_is_found_at_its_record(build: Callable[[LogBuilder], object], why: str) -> None:
    [(seq, text)] = found(build)
    assert seq == 5
    assert why in text


def test_expiry_is_judged_by_the_earlier_clock() -> None:
    log = LogBuilder()
    log.start()
    version = log.put("k", lock={"mode": "COMPLIANCE", "until": instant(0, 1)})
    log.on("object.delete", version)
    log.entries[-1].fields["time"] = instant(0, 2)  # the wall clock is past it, the compliance clock is not
    log.rechain()
    assert [finding.seq for finding in replay(log).findings] == [5]
    log.entries[-1].fields["clock"] = instant(0, 2)
    log.rechain()
    assert replay(log).findings == []


def test_a_hold_stands_until_it_is_released() -> None:
    def build(log: LogBuilder, *, release: bool) -> None:
        version = log.put("k")
        log.on("object.hold.put", version, lock=HELD)
        if release:
            log.on("object.hold.put", version)
        log.on("object.delete", version)

    assert found(lambda log: build(log, release=True)) == []
    assert found(lambda log: build(log, release=False)) == [(6, "the version was deleted while its legal hold stood")]


def test_a_lengthened_lock_counts_from_then_on() -> None:
    def build(log: LogBuilder) -> None:
        version = log.put("k", lock={"mode": "COMPLIANCE", "until": instant(6)})
        log.on("object.retention.put", version, lock=until("COMPLIANCE"))
        log.fill(9)
        log.on("object.delete", version)

    assert [seq for seq, _ in found(build)] == [9]


def test_denied_deletions_and_delete_markers_remove_nothing() -> None:
    def build(log: LogBuilder) -> None:
        version = log.put("k", lock=until("COMPLIANCE"))
        log.on("object.delete", version)
        log.entries[-1].fields["outcome"] = "denied"
        log.rechain()
        marker = log.make("object.delete", "k", marker=True)
        log.on("object.delete", marker)

    assert found(build) == []


def test_erasure_follows_deletion() -> None:
    def build(log: LogBuilder, *, deleted: bool) -> None:
        version = log.put("k", lock=until("GOVERNANCE"))
        if deleted:
            log.on("object.delete", version, request={"bypass": True})
        log.erase(version)

    assert found(lambda log: build(log, deleted=True)) == []
    (early,) = found(lambda log: build(log, deleted=False))
    assert early[0] == 5
    assert "never deleted, while its GOVERNANCE lock" in early[1]


def test_an_erasure_that_names_no_version_cannot_hide_one() -> None:
    def build(log: LogBuilder) -> None:
        log.put("k")
        log.record("object.erased", object={"bucket": "b", "key": "k"}, ref=4)

    assert found(build) == [(5, "it erases the version of record 4, which was never deleted")]


def test_an_erasure_that_names_another_body_is_found() -> None:
    def build(log: LogBuilder) -> None:
        log.put("k")
        gone = log.put("l")
        log.on("object.delete", gone)
        log.erase(gone)
        log.entries[-1].fields["ref"] = 4
        log.rechain()

    assert {seq for seq, _ in found(build)} == {7}


def test_a_version_is_deleted_once() -> None:
    def build(log: LogBuilder) -> None:
        version = log.put("k")
        log.on("object.delete", version)
        log.on("object.delete", version)

    assert [seq for seq, _ in found(build)] == [6]


def test_a_null_version_is_replaced_only_without_a_lock() -> None:
    def build(log: LogBuilder, lock: dict[str, Any] | None, replaced: int) -> None:
        log.put("k", null=True, lock=lock)
        log.put("k", null=True, replaced=replaced)

    assert found(lambda log: build(log, None, 1)) == []
    assert "replaced while its COMPLIANCE" in found(lambda log: build(log, until("COMPLIANCE"), 1))[0][1]
    assert "does not say which" in found(lambda log: build(log, None, 0))[0][1]
    assert "not the key's null version" in found(lambda log: build(log, None, 7))[0][1]


def test_a_null_version_can_be_deleted_without_being_named() -> None:
    assert found(lambda log: log.on("object.delete", log.put("k", null=True), named=False)) == []


@pytest.mark.parametrize(("field", "value"), [("ordinal", 3), ("prev_manifest", "0" * 64)])
def test_the_versions_of_a_key_form_a_chain(field: str, value: object) -> None:
    log = LogBuilder()
    log.start()
    log.put("k")
    log.put("k")
    checker = Checker(b'"site-a.node-1"', 0, str)
    log.entries[5].fields["version"][field] = value
    log.rechain()
    checker.feed(entry.bytes() for entry in log.entries)
    locks = Locks(str)
    for event in checker.run().events:
        locks.apply(event)
    assert [finding.seq for finding in locks.findings] == [5]


def test_a_bucket_is_deleted_empty_and_its_chains_go_on() -> None:
    def build(log: LogBuilder, *, empty: bool) -> None:
        version = log.put("k")
        if empty:
            log.on("object.delete", version)
        log.record("bucket.delete", object={"bucket": "b"})
        log.record("bucket.create", object={"bucket": "b"})
        log.put("k")

    assert found(lambda log: build(log, empty=True)) == []
    assert found(lambda log: build(log, empty=False)) == [(5, "the bucket was deleted with 1 versions in it")]


def test_versions_that_another_stream_made_are_counted_and_no_finding() -> None:
    log = LogBuilder()
    log.start()
    version = log.put("k", bucket="taken-over")
    log.on("object.delete", version)
    del log.entries[4]
    for seq, entry in enumerate(log.entries):
        entry.fields |= {"seq": seq, "clock": instant(seq), "time": instant(seq)}
    log.rechain()
    locks = replay(log, inherits=True)
    assert (locks.findings, locks.inherited) == ([], 1)
    assert [finding.why for finding in replay(log).findings] == ["no record made the version it is about"]


def test_a_version_that_no_record_made_is_found() -> None:
    log = LogBuilder()
    log.start()
    version = log.put("k")
    log.on("object.delete", version)
    del log.entries[4]
    log.entries[4].fields["seq"] = 4
    log.rechain()
    assert [finding.why for finding in replay(log).findings] == ["no record made the version it is about"]


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (
            lambda log: log.on("object.hold.put", log.put("k", lock=until("COMPLIANCE")), lock=HELD),
            "retention",
        ),
        (
            lambda log: log.on(
                "object.hold.put", log.put("k", lock=until("COMPLIANCE")), lock={**until("COMPLIANCE", 1), "hold": True}
            ),
            "retention",
        ),
        (
            lambda log: log.on(
                "object.retention.put",
                log.put("k", lock={**until("COMPLIANCE"), "hold": True}),
                lock=until("COMPLIANCE", 60),
            ),
            "hold",
        ),
        (lambda log: log.put("k", lock={"mode": "COMPLIANCE"}), "no date"),
        (lambda log: log.put("k", bucket="never-made"), "no such bucket"),
        (lambda log: log.record("bucket.create", object={"bucket": "b"}), "made before"),
        (lambda log: log.record("object.retention.put", object={"bucket": "b", "key": "k"}), "of which version"),
        (lambda log: log.record("object.erased", object={"bucket": "b", "key": "k"}, ref=2), "no record before it"),
        (lambda log: log.record("object.erased", object={"bucket": "b", "key": "k"}), "no record before it"),
        (lambda log: log.record("object.erased", object={"bucket": "b", "key": "k"}, ref=99), "no record before it"),
    ],
)
def test_what_no_writer_can_have_written_is_found(build: Callable[[LogBuilder], object], why: str) -> None:
    assert any(why in said for _, said in found(build)), found(build)


def test_an_operation_that_names_one_version_and_is_about_another_is_found() -> None:
    def build(log: LogBuilder, **names: str) -> None:
        locked, free = log.put("locked", lock=until("COMPLIANCE")), log.put("free")
        log.on("object.delete", free)
        log.entries[-1].fields["object"] |= {**names, **({"version_id": locked} if not names else {})}
        log.rechain()

    others: list[dict[str, str]] = [{}, {"key": "locked"}, {"bucket": "c"}]
    for names in others:
        assert any("is about another" in why for _, why in found(lambda log, names=names: build(log, **names)))  # type: ignore[misc]


def test_a_delete_of_nothing_that_names_a_version_that_is_there_is_found() -> None:
    def build(log: LogBuilder) -> None:
        version = log.put("k", lock=until("COMPLIANCE"))
        log.record("object.delete", object={"bucket": "b", "key": "k", "version_id": version})

    assert [why for _, why in found(build)] == [
        "it says that there was nothing to delete, and the version that it names is there"
    ]


def test_a_part_goes_only_with_the_version_that_it_became() -> None:
    def build(log: LogBuilder, *, deleted: bool) -> None:
        log.upload("k", "u1")
        part = log.part("k", "u1", 1, 100)
        version = log.complete("k", "u1")
        if deleted:
            log.on("object.delete", version)
        log.record("object.erased", object={"bucket": "b", "key": "k", "upload_id": "u1"}, ref=part)

    assert found(lambda log: build(log, deleted=True)) == []
    assert [why for _, why in found(lambda log: build(log, deleted=False))] == [
        "it erases a part of a version that is there"
    ]
