"""What a decision makes of requests that no honest front end sends. The rules: tests/property/test_lock_model.py."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.doubles.ledger import MemoryState
from vault.policy import SYSTEM
from vault.record import (
    OPS,
    SUCCESS,
    Actor,
    BucketConfig,
    DefaultRetention,
    Head,
    LockRef,
    ObjectRef,
    Origin,
    PrincipalRef,
    Request,
    Storage,
    Tail,
    VersionRef,
)
from vault.state import rows
from vault.state.apply import apply
from vault.state.decide import decide
from vault.state.rows import BucketRow, KeyRow, PrincipalRow, UploadRow, VersionRow
from vault.times import MAX_NS, Now, parse_rfc3339, rfc3339

NOW = parse_rfc3339("2026-11-22T12:00:00Z")
BYTES = Storage(1, "log", "d", "a" * 32, 300, 65_536, 10, "b" * 64)
UPLOAD = "0" * 32


def vault() -> MemoryState:
    """A root principal, a bucket with a version and an upload."""
    state = MemoryState()
    version = VersionRow(1, rows.version_id(1, "c" * 64), 3, NOW, NOW, 10, "c" * 64, "d" * 64, storage=BYTES)
    state.put(
        [
            (rows.principal_key("root"), PrincipalRow("root", "root", "AK", ("root",))),
            (rows.bucket_key("b"), BucketRow("b", "root", NOW, lock=True, strict=False, versioning="Enabled")),
            (rows.version_key("b", "k", 1), version),
            (rows.key_key("b", "k"), KeyRow(1, version.manifest, version)),
            (rows.upload_key("b", "k", UPLOAD), UploadRow(UPLOAD, "b", "k", 4, NOW, "root", "e" * 64, BYTES)),
        ]
    )
    return state


def ask(tail: Tail, *, parts: tuple[tuple[int, int], ...] = (), state: MemoryState | None = None) -> str:
    """The reason of the refusal; empty where it is allowed."""
    decision = decide(tail, state or vault(), Now(NOW, NOW), parts)
    return decision.error.reason if decision.error is not None else ""


def tail(op: str, **fields: object) -> Tail:
    return msgspec.structs.replace(Tail(op=op, actor=Actor("root"), origin=Origin("s3")), **fields)


texts = st.text(max_size=8) | st.sampled_from(["b", "k", "null", UPLOAD, "root", "system", "-0000001" + "a" * 24])
numbers = st.sampled_from([-1, 0, 1, 10_001, 1 << 16, 1 << 64])
dates = texts | st.integers(0, MAX_NS).map(rfc3339) | st.just("9999-12-31T23:59:59-23:59")
modes = st.sampled_from(["", "COMPLIANCE", "GOVERNANCE", "x"])
tails = st.builds(
    Tail,
    op=st.sampled_from(sorted(OPS)) | texts,
    actor=st.builds(Actor, st.sampled_from(["root", "root", "root", "x", SYSTEM])),
    origin=st.just(Origin("s3")),
    object=st.none()
    | st.builds(
        ObjectRef,
        bucket=st.just("b") | texts,
        key=st.just("k") | texts,
        version_id=st.just("") | texts | st.text("0123456789abcdef+-_ ", min_size=32, max_size=32),
        upload_id=st.just(UPLOAD) | texts,
        part=numbers,
    ),
    storage=st.none() | st.just(BYTES),
    request=st.none()
    | st.builds(
        Request,
        mode=modes,
        until=dates,
        hold=st.none() | st.booleans(),
        bypass=st.booleans(),
        bypass_sent=st.booleans(),
        if_none_match=st.booleans(),
        if_match=texts,
        remove=st.booleans(),
    ),
    bucket=st.none()
    | st.builds(
        BucketConfig,
        versioning=texts | st.sampled_from(["Enabled", "Suspended"]),
        default=st.none() | st.builds(DefaultRetention, modes, numbers, numbers),
    ),
    principal=st.none() | st.builds(PrincipalRef, texts, texts, texts, st.lists(texts, max_size=2).map(tuple)),
)


@given(tails, st.lists(st.tuples(numbers, numbers), max_size=2).map(tuple), st.integers(0, MAX_NS))
def test_whatever_is_asked_the_answer_is_a_decision(tail: Tail, parts: tuple[tuple[int, int], ...], clock: int) -> None:
    decision = decide(tail, vault(), Now(NOW, clock), parts)
    assert decision.error is None or decision.error.reason


def test_a_version_id_with_a_sign_is_none() -> None:
    named = ObjectRef("b", "k", "-0000001" + "a" * 24)
    assert ask(tail("object.get", object=named)) == "invalid_argument"


def test_a_date_past_the_last_year_is_refused() -> None:
    asked = Request(mode="COMPLIANCE", until="9999-12-31T23:59:59-01:00")
    assert ask(tail("object.put", object=ObjectRef("b", "k"), request=asked)) == "invalid_argument"
    assert ask(tail("object.retention.put", object=ObjectRef("b", "k"), request=asked)) == "malformed_xml"


def test_a_lock_until_the_last_year_is_kept_in_full() -> None:
    asked = Request(mode="COMPLIANCE", until=rfc3339(MAX_NS))
    decision = decide(tail("object.put", object=ObjectRef("b", "k"), request=asked), vault(), Now(NOW, NOW))
    assert decision.lock == LockRef("COMPLIANCE", rfc3339(MAX_NS))
    row = VersionRow(1, "", 0, 0, 0, 0, "", "", mode="COMPLIANCE", until=MAX_NS)
    key = rows.version_key("b", "k", 1)
    assert rows.decode_row(key, rows.encode_row(row)) == row


@pytest.mark.parametrize("number", [0, 10_001, 1 << 16, 1 << 70])
def test_a_part_number_out_of_range_is_no_part(number: int) -> None:
    named = ObjectRef("b", "k", upload_id=UPLOAD)
    assert ask(tail("multipart.complete", object=named), parts=((number, 0),)) == "invalid_part"


@pytest.mark.parametrize("name", ["", "b\0k", "\0"])
def test_no_bucket_has_a_name_that_could_run_into_a_key(name: str) -> None:
    assert ask(tail("bucket.create", object=ObjectRef(name))) == "invalid_bucket_name"


@pytest.mark.parametrize(
    ("principal", "reason"),
    [
        (PrincipalRef("p2", "bob", "AK2", ("reader",)), ""),
        (PrincipalRef(SYSTEM, "bob", "AK2", ("reader",)), "reserved"),
        (PrincipalRef("", "bob", "AK2", ("reader",)), "reserved"),
        (PrincipalRef("p2", "bob", "", ("reader",)), "reserved"),
        (PrincipalRef("root", "bob", "AK2", ("reader",)), "exists"),
        (PrincipalRef("p2", "bob", "AK2", ("auditor", "operator")), "roles"),
        (None, "invalid_request"),
    ],
)
def test_nobody_becomes_the_server_or_somebody_else(principal: PrincipalRef | None, reason: str) -> None:
    assert ask(tail("principal.add", principal=principal)) == reason


def test_an_access_key_is_used_once() -> None:
    state = vault()
    state.put([(rows.access_key_key("AK"), PrincipalRow("root", "root", "AK", ("root",)))])
    wanted = PrincipalRef("p2", "bob", "AK", ("reader",))
    assert ask(tail("principal.add", principal=wanted), state=state) == "exists"


@pytest.mark.parametrize("op", sorted(OPS - {"bucket.list"}))
def test_only_the_server_writes_what_is_not_asked_for(op: str) -> None:
    nobody = Tail(op=op, actor=Actor("nobody"), origin=Origin("s3"), object=ObjectRef("b", "k"))
    assert ask(nobody) == "principal"
    if op.startswith(("ledger.", "clock.", "auth.", "request.")) or op in {"object.erased", "object.read.failed"}:
        assert ask(tail(op, object=ObjectRef("b", "k"))) == "policy"


def test_an_operation_of_no_enumeration_is_refused_even_to_the_server() -> None:
    assert ask(tail("object.shred", actor=Actor(SYSTEM))) == "not_implemented"


def head(**fields: object) -> Head:
    made = Head(v=1, stream="s", seq=9, prev="", time=rfc3339(NOW), clock=rfc3339(NOW), outcome=SUCCESS)
    return msgspec.structs.replace(made, **fields)


@pytest.mark.parametrize(
    "strange",
    [
        tail("object.shred"),
        tail("object.put", object=ObjectRef("b", "k"), matters=["m1"]),
        tail("object.put", object=ObjectRef("b", "k"), event_hold={"days": 1}),
        tail("object.put", object=ObjectRef("b", "k"), approvals=[]),
        tail("clock.status", record_class="r"),
    ],
)
def test_a_record_of_newer_software_is_not_passed_over(strange: Tail) -> None:
    with pytest.raises(ValueError, match="newer version"):
        apply(head(version=VersionRef(2, "x", "y")), strange, vault())
    assert apply(head(outcome="denied"), strange, vault()) == []


@pytest.mark.parametrize(
    "op", ["object.put", "object.delete", "multipart.create", "multipart.part", "multipart.complete", "bucket.create"]
)
def test_a_record_that_names_no_object_cannot_be_applied(op: str) -> None:
    with pytest.raises(ValueError, match=r"names no object|names none"):
        apply(head(), tail(op), vault())


@pytest.mark.parametrize("actor", ["root", SYSTEM])
@pytest.mark.parametrize("op", ["bucket.create", "object.put"])
def test_only_the_server_makes_and_fills_buckets_of_its_own(op: str, actor: str) -> None:
    state = vault()
    if op == "object.put":
        state.put([(rows.bucket_key("strongroom-a"), BucketRow("strongroom-a", "root", NOW, lock=True, strict=False))])
    named = ObjectRef("strongroom-a", "k" if op == "object.put" else "")
    tail = Tail(op=op, actor=Actor(actor), origin=Origin("s3"), object=named, storage=BYTES)
    assert (ask(tail, state=state) == "policy") == (actor == "root")
