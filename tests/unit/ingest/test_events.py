from __future__ import annotations

from base64 import b64decode
from hashlib import sha256

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.ingest.events import MAX_BATCH_MEMBERS, MAX_TAIL_BYTES, Large, Sender, batches, prepare, stored
from audit.ingest.formats import MAX_READ_BYTES
from audit.journal.batch import add_batch, of_request
from audit.journal.group import Group
from audit.journal.segment import frame_bytes
from vault.foreign import IngestRef
from vault.merkle import leaf_hash
from vault.record import MAX_RECORD_BYTES, SUCCESS, Actor, Head, ObjectRef, Origin, Tail, decode, encode_tail, splice
from vault.state.ingest import Member, Seen, event_key, plan

SENDER = Sender(Actor("p1", roles=("writer",)), Origin("audit", ip="192.0.2.1"), "app", "json")
HEAD = Head(
    v=1,
    stream="s" * 255,
    seq=0,
    prev="",
    time="2026-11-27T12:00:00.000000000Z",
    clock="2026-11-27T12:00:00.000000000Z",
    outcome=SUCCESS,
)
OWN = Tail(op="ingest.batch", actor=SENDER.actor, origin=SENDER.origin, ingest=IngestRef("app", "json"))


def one(data: bytes, sender: Sender = SENDER) -> Member:
    (made,) = prepare(sender, [data])
    assert isinstance(made, Member)
    return made


def said(member: Member) -> IngestRef:
    ref = msgspec.json.decode(member.tail, type=Tail).ingest
    assert ref is not None
    return ref


@pytest.mark.parametrize(
    "data",
    [b'{"id":"a"}', b"caf\xc3\xa9", b"\xff\xfe", b'nul \x00 "quoted" \\ \x7f \xe2\x80\xa8', b" ", b"\xed\xa0\x80"],
)
def test_the_bytes_are_in_the_tail_and_come_out_the_same(data: bytes) -> None:
    member = one(data)
    ref = said(member)
    assert (ref.event.encode() if ref.event else b64decode(ref.base64)) == data
    assert (ref.digest, ref.size) == (sha256(data).hexdigest(), len(data))
    assert member.tail == encode_tail(Tail(op="ingest.event", actor=SENDER.actor, origin=SENDER.origin, ingest=ref))


def test_what_is_not_of_the_format_is_raw_and_kept() -> None:
    assert said(one(b"[1]")).format == said(one(b"\xff")).format == "raw"
    assert said(one(b"{}")).format == "json"


def test_events_without_a_name_go_by_that_of_their_request() -> None:
    named = SENDER._replace(name="req-7")
    made = [
        said(each) for each in prepare(named, [b"{}", b'{"id":"x"}', b'{"seq":4}', b"raw"]) if isinstance(each, Member)
    ]
    assert [ref.id for ref in made] == ["req-7/0", "x", "", "req-7/3"]
    assert one(b"{}").key == 0
    assert one(b"{}", named).key == event_key("app", "req-7/0", -1)


def test_an_event_that_no_record_holds_is_large_however_it_would_be_written() -> None:
    fits = b"x" * (MAX_TAIL_BYTES - len(one(b"x").tail) - 3)
    assert len(one(fits).tail) <= MAX_TAIL_BYTES
    for data in (b"x" * MAX_TAIL_BYTES, b"\x00" * (MAX_TAIL_BYTES // 5), b"\xff" * 30_000, b"\n" * 20_000):
        (made,) = prepare(SENDER, [data])
        assert isinstance(made, Large)
        assert made.data == data


def test_a_very_long_event_is_not_read_and_goes_by_its_digest() -> None:
    data = b'{"id":"a","x":"' + b"y" * MAX_READ_BYTES + b'"}'
    (made,) = prepare(SENDER, [data])
    assert isinstance(made, Large)
    assert made.ref.id == f"sha256:{sha256(data).hexdigest()}"


def test_what_became_an_object_names_it() -> None:
    (large,) = prepare(SENDER, [b'{"id":"a","x":"' + b"y" * 40_000 + b'"}'])
    assert isinstance(large, Large)
    kept = stored(SENDER, large, ObjectRef("b", "k", "v", size=40_017), "ab" * 32)
    ref, tail = said(kept), msgspec.json.decode(kept.tail, type=Tail)
    assert (ref.manifest, ref.event, ref.base64, ref.id) == ("ab" * 32, "", "", "a")
    assert tail.object == ObjectRef("b", "k", "v", size=40_017)


def committed(members: list[Member], limit: int) -> list[tuple[int, int, list[bytes]]]:
    """For each batch its bound, what its records take, and the records."""
    found, seen, highest = [], Seen(), 7
    for batch in batches("app", members, len(encode_tail(OWN)), limit):
        group = Group(2**62, bytes(32), [])
        decided = plan(batch, highest, seen)
        add_batch(group, decided, HEAD, OWN, of_request(batch, decided, OWN))
        seen.add(0, decided.fresh)
        highest = decided.highest
        records = [record for record, _ in group.records]
        assert all(len(record) <= MAX_RECORD_BYTES for record in records)
        own = frame_bytes(len(encode_tail(OWN)) + 2048, 0)
        found.append((batch.bound + own, sum(frame_bytes(len(record), 0) for record in records), records))
    return found


EVENTS = st.lists(
    st.one_of(
        st.builds(lambda n: b'{"seq":%d}' % n, st.integers(0, 40)),
        st.builds(lambda n, x: b'{"id":"%d","seq":%d,"x":%d}' % (n, n, x), st.integers(0, 20), st.integers(0, 2)),
        st.builds(lambda n: b'{"x":"%b"}' % (b"y" * n), st.integers(0, 20_000)),
    ),
    max_size=30,
)


@given(EVENTS)
def test_a_batch_never_takes_more_than_it_said(events: list[bytes]) -> None:
    members = [each for each in prepare(SENDER, events) if isinstance(each, Member)]
    limit = 65_536
    for bound, taken, _ in committed(members, limit):
        assert taken <= bound
        assert bound <= limit + MAX_RECORD_BYTES


def test_a_request_is_cut_into_batches_in_order_and_one_without_events_is_one() -> None:
    members = [each for each in prepare(SENDER, [b'{"x":"%b"}' % (b"y" * 700)] * 5000) if isinstance(each, Member)]
    made = list(batches("app", members, 200, 1 << 30))
    assert len(made) > 2
    assert [each for batch in made for each in batch.members] == members
    assert max(len(batch.members) for batch in made) <= MAX_BATCH_MEMBERS
    assert [len(batch.members) for batch in batches("app", [], 200, 1 << 30)] == [0]


def test_the_heads_of_a_batch_are_those_that_are_encoded_one_by_one() -> None:
    events = [b'{"seq":9}', b'{"seq":12}', b'{"seq":11}', b'{"seq":11,"x":1}', b"raw"]
    ((_, _, records),) = committed([each for each in prepare(SENDER, events) if isinstance(each, Member)], 65_536)
    before = bytes(32)
    reasons = []
    for record in records:
        head, tail = decode(record)
        assert splice(head, encode_tail(tail)) == record
        assert head.prev == before.hex()
        before = leaf_hash(record)
        reasons.append((tail.op, head.reason))
    assert reasons == [
        ("ingest.gap", ""),
        ("ingest.event", ""),
        ("ingest.gap", ""),
        ("ingest.event", ""),
        ("ingest.event", "late"),
        ("ingest.event", "other_bytes"),
        ("ingest.event", ""),
        ("ingest.batch", ""),
    ]
