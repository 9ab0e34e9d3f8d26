"""Matters at the gate: what may be opened and closed, and what they hold that no S3 request can free."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.doubles.ledger import MemoryState, head_of
from vault.matters import MatterQuery, MatterRef
from vault.policy import SYSTEM
from vault.record import (
    Actor,
    BucketConfig,
    Head,
    LockRef,
    ObjectRef,
    Origin,
    PrincipalRef,
    Request,
    Storage,
    Tail,
    decode,
    encode_tail,
    splice,
)
from vault.state import lookup
from vault.state.apply import apply, changes_nothing
from vault.state.decide import decide
from vault.times import DAY_NS, Now, parse_rfc3339, rfc3339

START = parse_rfc3339("2026-11-27T12:00:00Z")
BYTES = Storage(1, "log", "d" * 32, "a" * 32, 300, 65_536, 10, "b" * 64)
ID = "0" * 16


class Vault:
    """Decides and applies; ``locked`` has Object Lock, ``plain`` and ``suspended`` have null versions."""

    def __init__(self) -> None:
        self.state = MemoryState()
        self.clock = START
        self.records: list[bytes] = []
        for name, role in (("root", "root"), ("carl", "compliance"), ("ann", "auditor"), ("olga", "owner")):
            self.do("principal.add", SYSTEM, principal=PrincipalRef(name, name, name.upper(), (role,)))
        for name in ("locked", "plain", "suspended"):
            self.do("bucket.create", object=ObjectRef(name), bucket=BucketConfig(lock=name == "locked"))
        for status in ("Enabled", "Suspended"):
            named = ObjectRef("suspended")
            self.do("bucket.versioning.put", object=named, bucket=BucketConfig(versioning=status))

    def do(self, op: str, who: str = "root", **fields: Any) -> Head:
        self.clock += 1
        tail, now = Tail(op=op, actor=Actor(who), origin=Origin("s3"), **fields), Now(self.clock, self.clock)
        head = head_of(decide(tail, self.state, now), now, len(self.records))
        self.state.put(apply(head, tail, self.state))
        self.records.append(splice(head, encode_tail(tail)))
        return head

    def put(self, bucket: str, key: str = "k", who: str = "root") -> Head:
        named = ObjectRef(bucket, key, size=10, content="c" * 64)
        return self.do("object.put", who, object=named, storage=BYTES, request=Request())

    def delete(self, bucket: str, version: str = "", *, bypass: bool = False) -> Head:
        return self.do("object.delete", object=ObjectRef(bucket, "k", version), request=Request(bypass=bypass))

    def open(self, who: str = "carl", matter: str = ID, **query: Any) -> Head:
        return self.do("matter.open", who, matter=MatterRef(matter, "SEC", "letter", "legal", MatterQuery(**query)))

    def close(self, who: str = "carl", matter: str = ID, reason: str = "settled") -> Head:
        return self.do("matter.close", who, matter=MatterRef(matter, reason=reason))


def version_of(head: Head) -> str:
    assert head.version is not None
    return head.version.version_id


def test_it_holds_what_was_there_and_what_comes_and_nothing_after_its_end() -> None:
    vault = Vault()
    before = version_of(vault.put("locked"))
    assert vault.open(bucket="locked").outcome == "success"
    after = version_of(vault.put("locked"))
    for version in (before, after):
        denied = vault.delete("locked", version, bypass=True)
        assert (denied.outcome, denied.reason, denied.lock) == ("denied", "legal_hold", LockRef(matters=(ID,)))
    assert vault.close().outcome == "success"
    assert [vault.delete("locked", version).outcome for version in (before, after)] == ["success"] * 2


@pytest.mark.parametrize("bucket", ["plain", "suspended"])
def test_a_null_version_is_neither_overwritten_nor_deleted_whatever_the_bucket(bucket: str) -> None:
    vault = Vault()
    made = vault.put(bucket)
    vault.open(vault=True)
    for tried in (vault.put(bucket), vault.delete(bucket), vault.delete(bucket, "null")):
        assert (tried.outcome, tried.reason) == ("denied", "legal_hold")
        assert tried.lock == LockRef(matters=(ID,))
        assert tried.version is not None
        assert tried.version.version_id == version_of(made)
    assert vault.put(bucket, "another").outcome == "success"
    vault.close()
    assert vault.put(bucket).outcome == "success"


def test_an_upload_that_would_replace_a_held_null_version_is_not_completed() -> None:
    vault = Vault()
    vault.put("plain")
    named = ObjectRef("plain", "k", upload_id="u", part=1, size=10, content="c" * 64)
    vault.do("multipart.create", object=msgspec.structs.replace(named, part=0), storage=BYTES)
    seq = len(vault.records)
    vault.do("multipart.part", object=named, storage=BYTES)
    vault.open(bucket="plain")
    tail = Tail(op="multipart.complete", actor=Actor("root"), origin=Origin("s3"), object=named, storage=BYTES)
    refused = decide(tail, vault.state, Now(vault.clock, vault.clock), [(1, seq)])
    assert refused.error is not None
    assert refused.error.reason == "legal_hold"


def test_a_bucket_with_a_held_version_is_not_empty() -> None:
    vault = Vault()
    vault.put("plain")
    vault.open(vault=True)
    vault.delete("plain")
    assert vault.do("bucket.delete", object=ObjectRef("plain")).reason == "bucket_not_empty"


def test_delete_markers_come_and_go_over_a_held_version() -> None:
    vault = Vault()
    vault.put("locked")
    vault.open(vault=True)
    marker = vault.delete("locked")
    assert marker.outcome == "success"
    assert marker.lock is None
    assert vault.delete("locked", version_of(marker)).outcome == "success"
    assert vault.delete("suspended").outcome == "success"  # a null marker, and the next takes its place
    assert vault.put("suspended").outcome == "success"


def test_s3_sees_a_hold_and_lifts_only_its_own() -> None:
    vault = Vault()
    named = ObjectRef("locked", "k", version_of(vault.put("locked")))
    assert vault.do("object.hold.get", object=named).reason == "no_such_object_lock_configuration"
    vault.open(bucket="locked")
    for op in ("object.hold.get", "object.head", "object.get"):
        seen = vault.do(op, object=named)
        assert seen.lock is not None
        assert (seen.outcome, seen.lock.held, seen.lock.hold) == ("success", True, False)
    vault.do("object.hold.put", object=named, request=Request(hold=True))
    lifted = vault.do("object.hold.put", object=named, request=Request(hold=False))
    assert (lifted.outcome, lifted.lock) == ("success", LockRef(matters=(ID,)))
    assert vault.delete("locked", named.version_id).reason == "legal_hold"
    vault.close()
    assert vault.do("object.hold.get", object=named).lock is None
    assert vault.delete("locked", named.version_id).outcome == "success"


def test_retention_changes_as_if_there_were_no_matter() -> None:
    vault = Vault()
    named = ObjectRef("locked", "k", version_of(vault.put("locked")))
    vault.open(bucket="locked")
    until = rfc3339(START + DAY_NS)
    asked = Request(mode="GOVERNANCE", until=until)
    assert vault.do("object.retention.put", object=named, request=asked).lock == LockRef(
        "GOVERNANCE", until, matters=(ID,)
    )
    removed = vault.do("object.retention.put", object=named, request=Request(remove=True, bypass=True))
    assert (removed.outcome, removed.lock) == ("success", LockRef(matters=(ID,)))


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({}, "query"),
        ({"bucket": "locked", "vault": True}, "query"),
        ({"bucket": "none"}, "no_such_bucket"),
        ({"vault": True, "actor": "nobody"}, "no_such_principal"),
        ({"vault": True, "prefix": "\u00e9" * 513}, "query"),
        ({"vault": True, "since": "yesterday"}, "query"),
        ({"vault": True, "since": "2026-11-27T12:00:00Z"}, "invalid_request"),
        ({"vault": True, "since": rfc3339(START), "before": rfc3339(START)}, "query"),
        ({"vault": True, "before": rfc3339(0)}, "query"),
    ],
)
def test_what_would_hold_nothing_by_mistake_is_not_opened(query: dict[str, Any], reason: str) -> None:
    vault = Vault()
    assert vault.open(**query).reason == reason
    assert lookup.open_matters(vault.state) == ()


@pytest.mark.parametrize("field", ["name", "reason", "owner"])
@pytest.mark.parametrize("text", ["", "  ", "x" * 1025, "two\nlines", "\x1b[2J"])
def test_what_people_are_to_read_is_there_and_can_be_read(field: str, text: str) -> None:
    vault = Vault()
    wanted = msgspec.structs.replace(MatterRef(ID, "n", "r", "o", MatterQuery(vault=True)), **{field: text})
    assert vault.do("matter.open", "carl", matter=wanted).reason == field


@pytest.mark.parametrize("matter", [None, MatterRef("x"), MatterRef("A" * 16), MatterRef("0" * 17)])
@pytest.mark.parametrize("op", ["matter.open", "matter.close"])
def test_an_id_has_one_form(op: str, matter: MatterRef | None) -> None:
    assert Vault().do(op, "carl", matter=matter).reason == "invalid_request"


def test_it_is_opened_once_and_closed_once() -> None:
    vault = Vault()
    assert vault.close().reason == "no_such_matter"
    vault.open(vault=True)
    assert vault.open(vault=True).reason == "exists"
    assert vault.close(reason="").reason == "reason"
    vault.close()
    assert vault.close().reason == "closed"
    assert vault.open(vault=True).reason == "exists"  # what is to be held again needs a new one


@pytest.mark.parametrize("who", ["root", "olga", "ann"])
def test_only_compliance_opens_and_closes(who: str) -> None:
    vault = Vault()
    assert vault.open(who, vault=True).reason == "policy"
    vault.open(vault=True)
    assert vault.close(who).reason == "policy"


def test_a_bucket_made_again_is_still_of_the_matter() -> None:
    vault = Vault()
    vault.open(bucket="plain")
    vault.do("bucket.delete", object=ObjectRef("plain"))
    vault.do("bucket.create", object=ObjectRef("plain"), bucket=BucketConfig())
    vault.put("plain")
    assert vault.delete("plain").reason == "legal_hold"


def test_the_records_alone_give_the_rows_again_and_the_actor_is_who_stored() -> None:
    vault = Vault()
    made = vault.put("locked", who="root")
    vault.open(vault=True, actor="olga")
    vault.open(matter="1" * 16, vault=True, actor="root")
    vault.close(matter=ID)
    again = MemoryState()
    for seq, record in enumerate(vault.records):
        head, tail = decode(record)
        assert head.seq == seq
        if not changes_nothing(record):
            again.put(apply(head, tail, again))
    assert dict(again.rows) == dict(vault.state.rows)
    denied = vault.delete("locked", version_of(made))
    assert denied.lock == LockRef(matters=("1" * 16,))


def test_a_record_that_no_decision_can_have_made_is_an_error() -> None:
    state = MemoryState()
    for op, matter in (("matter.open", MatterRef(ID)), ("matter.open", None), ("matter.close", MatterRef(ID))):
        tail = Tail(op=op, actor=Actor("carl"), origin=Origin("audit"), matter=matter)
        head = Head(v=1, stream="s", seq=7, prev="", time=rfc3339(1), clock=rfc3339(1), outcome="success")
        with pytest.raises(ValueError, match="record 7"):
            apply(head, tail, state)
