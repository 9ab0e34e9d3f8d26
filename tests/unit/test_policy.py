from __future__ import annotations

import itertools

import pytest

from vault.policy import ROLES, SYSTEM, allowed, check_roles, may_bypass, needed, own
from vault.record import OPS, Request

LOOKS = {"bucket.head", "bucket.list", "bucket.location"}
READS = LOOKS | {
    "bucket.versioning.get", "bucket.lock.get", "object.list", "object.versions", "object.retention.get",
    "object.hold.get", "object.get", "object.head",
}  # fmt: skip
UPLOADS = {f"multipart.{name}" for name in ("create", "part", "list", "parts", "complete", "abort")}
WRITES = LOOKS | UPLOADS | {"object.put", "object.head", "object.list", "object.retention.put"}
OWNS = READS | WRITES | {
    "bucket.create", "bucket.delete", "bucket.versioning.put", "bucket.lock.put", "object.delete", "object.hold.put",
}  # fmt: skip
SECURITY = {
    "principal.add", "principal.disable", "token.add", "token.revoke", "key.backup", "key.restore", "key.rotate",
}  # fmt: skip
PRODUCTIONS = {f"production.{name}" for name in ("create", "complete", "cancel", "read")}
RECORDS = {
    "record.query", "record.get", "record.tile", "matter.list", "matter.get", "production.list", "production.get",
}  # fmt: skip
MATTERS = {"matter.open", "matter.close"}
INGESTS = {"ingest.event", "ingest.batch"}
#: Role, what it may do in buckets of others, and in its own.
TABLE: dict[str, tuple[set[str], set[str]]] = {
    "root": (OWNS | SECURITY, OWNS | SECURITY),
    "security": (SECURITY, SECURITY),
    "operator": (set(), set()),
    "auditor": (RECORDS, RECORDS),
    "examiner": (RECORDS, RECORDS),
    "compliance": (
        READS - {"object.get"} | RECORDS | PRODUCTIONS | MATTERS | {"object.retention.put", "object.hold.put"},
    )
    * 2,
    "owner": ({"bucket.create", "bucket.list"}, OWNS),
    "writer": (WRITES | INGESTS, WRITES | INGESTS),
    "reader": (READS, READS),
}


def test_every_role_may_do_exactly_what_the_table_says() -> None:
    assert set(TABLE) == ROLES
    for role, rights in TABLE.items():
        for owns, expected in zip((False, True), rights, strict=True):
            assert {op for op in OPS if allowed((role,), op, owns=owns)} == expected


def test_roles_add_up_and_no_role_may_nothing() -> None:
    assert allowed(("reader", "writer"), "object.get", owns=False)
    assert allowed(("reader", "writer"), "object.put", owns=False)
    assert not any(allowed((), op, owns=True) for op in OPS)


def test_nobody_but_the_server_writes_the_ledgers_own_records() -> None:
    own = {op for op in OPS if op.startswith(("ledger.", "server.", "clock.", "auth.", "request."))} | {
        "object.erased",
        "object.read.failed",
    }
    assert not any(allowed(tuple(ROLES), op, owns=True) for op in own)


def test_only_root_and_a_buckets_owner_bypass_governance() -> None:
    bypassing = {(role, owns) for role in ROLES for owns in (False, True) if may_bypass((role,), owns=owns)}
    assert bypassing == {("root", False), ("root", True), ("owner", True)}


@pytest.mark.parametrize("op", ["object.put", "multipart.create"])
def test_a_lock_that_comes_with_an_object_needs_what_setting_it_afterwards_needs(op: str) -> None:
    assert needed(op, Request()) == [op]
    assert needed(op, Request(mode="COMPLIANCE")) == [op, "object.retention.put"]
    assert needed(op, Request(hold=False)) == [op, "object.hold.put"]
    assert needed(op, Request(mode="GOVERNANCE", hold=True)) == [op, "object.retention.put", "object.hold.put"]


def test_setting_a_lock_needs_nothing_else() -> None:
    assert needed("object.hold.put", Request(hold=True)) == ["object.hold.put"]
    assert needed("object.retention.put", Request(mode="COMPLIANCE")) == ["object.retention.put"]


def test_duties_stay_separate() -> None:
    apart = {
        ("operator", "security"), ("auditor", "operator"), ("auditor", "security"), ("examiner", "operator"),
        ("examiner", "security"), ("operator", "root"), ("auditor", "root"), ("examiner", "root"),
    }  # fmt: skip
    for pair in itertools.combinations(sorted(ROLES), 2):
        assert bool(check_roles(pair)) == (pair in apart), pair


@pytest.mark.parametrize(
    ("roles", "problem"), [((), "at least one"), (("king",), "unknown role king"), ((SYSTEM,), "unknown")]
)
def test_roles_that_are_none_are_refused(roles: tuple[str, ...], problem: str) -> None:
    assert problem in check_roles(roles)


@pytest.mark.parametrize("bucket", ["strongroom-productions", "strongroom-ingest", "strongroom-anything"])
def test_the_servers_own_buckets_are_filled_and_read_by_nobody_else(bucket: str) -> None:
    assert {op for op in OPS if own(op, bucket)} == {
        "bucket.create", "object.put", "object.get", "multipart.create", "multipart.part", "multipart.complete",
        "multipart.abort",
    }  # fmt: skip
    assert not any(own(op, name) for op in OPS for name in ("trades", "strongroom", "my-strongroom-productions"))
