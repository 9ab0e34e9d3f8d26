from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault import record
from vault.foreign import IngestRef
from vault.matters import MatterQuery, MatterRef
from vault.record import (
    Actor,
    BackupRef,
    BucketConfig,
    ClockState,
    DefaultRetention,
    Head,
    KeysRef,
    LedgerRef,
    LockRef,
    ObjectRef,
    Origin,
    PrincipalRef,
    ProductionRef,
    PrunedRef,
    RelayRef,
    Request,
    ServerRef,
    Storage,
    Tail,
    TlsRef,
    TokenRef,
    VerifiedRef,
    VersionRef,
    Window,
    decode,
    encode_tail,
    splice,
)

HEAD = Head(
    v=1,
    stream="site-a.node-1",
    seq=812,
    prev="00" * 32,
    time="2026-11-22T16:46:08.000000001Z",
    clock="2026-11-22T16:46:08.000000000Z",
    outcome="denied",
    reason="retention",
    version=VersionRef(3, "00000003" + "ab" * 12, "ab" * 32, "cd" * 32, marker=True, null=True, replaced=2),
    lock=LockRef("COMPLIANCE", "2027-11-22T16:46:08.000000000Z", hold=True, matters=("ab" * 8, "cd" * 8), more=3),
)
TAIL = Tail(
    op="object.put",
    actor=Actor("p1", "ada@example.com", "desk 7", ("owner", "writer")),
    origin=Origin("s3", "R1", "192.0.2.7", "aws-cli/2"),
    object=ObjectRef("trades", "2026/ä.csv", "null", "u1", 7, "2026/", 1000, "ef" * 32, (0, 99)),
    storage=Storage(1, "blob", "d1", "aa" * 16, 300, 65536, 1016, "bb" * 32, "f00d"),
    request=Request(
        "COMPLIANCE",
        "2027-11-22T16:46:08.000000000Z",
        hold=False,
        bypass=True,
        bypass_sent=True,
        if_none_match=True,
        if_match="2",
        remove=True,
        http='PUT /trades/"q"',
    ),
    bucket=BucketConfig(
        "p1", lock=True, strict=True, versioning="Enabled", default=DefaultRetention("GOVERNANCE", 1, 2)
    ),
    principal=PrincipalRef("p2", "bob", "AK2", ("reader",)),
    token=TokenRef("0f" * 8, "p2", "dd" * 32, ("reader",), "2027-02-20T00:00:00.000000000Z", "audit", "app", "json"),
    matter=MatterRef(
        "0e" * 8,
        "SEC 17",
        "a letter",
        "legal",
        MatterQuery("trades", True, "2026/", "2026-01-01T00:00:00.000000000Z", "2027-01-01T00:00:00.000000000Z", "p2"),  # noqa: FBT003
    ),
    production=ProductionRef("1a" * 8, "subpoena 7", "{}", 3, 2, 99, "ee" * 32, "ef" * 32, 1),
    ledger=LedgerRef(4, "vault", "file:x", "standard", "0.1.0", "0000000007-4096.bin", "cc" * 32, 17),
    clock_state=ClockState(86_400, 5, ((0, 1), (1, 2)), "rfc3161", -7, 9, synchronised=True),
    window=Window("2026-11-22T16:46:08.000000000Z", 3, {"expired": 2, "signature": 1}),
    server=ServerRef("dd" * 32, TlsRef("11" * 32, "22" * 32), TlsRef("33" * 32)),
    keys=KeysRef("0a1b2c3d", 9, 4, "4d3c2b1a", 1, "dd" * 32, 2, 3, 5, holds_kek=True),
    backup=BackupRef("site-a.node-1", 811, "ab" * 32, 9, 1234),
    verified=VerifiedRef("bad", 7, 30, 812, 900, 5, 4096, 60, 2, "packs/a-1-2.pack", 4),
    pruned=PrunedRef("site-a.node-1", 256, 512, 3, "ab" * 32),
    ref=811,
    ingest=IngestRef(
        "app", "json", "e1", 7, "then", "ann", "PUT", "b/k", 9, "ee" * 32, '{"é":1}', "e30=", "ff" * 32, (4, 6), 3, 1
    ),
    relay=RelayRef("site-a.node-1", "strongroom.records", "AbCdEfGhIjKlMnOpQrStUv", 3, 2, 700, 811, 700),
)
#: The exact bytes are the evidence: nothing here may ever change, only be added to.
GOLDEN = (
    '{"v":1,"stream":"site-a.node-1","seq":812,"prev":"' + "00" * 32 + '",'
    '"time":"2026-11-22T16:46:08.000000001Z","clock":"2026-11-22T16:46:08.000000000Z",'
    '"outcome":"denied","reason":"retention",'
    '"version":{"ordinal":3,"version_id":"00000003' + "ab" * 12 + '","manifest":"' + "ab" * 32 + '",'
    '"prev_manifest":"' + "cd" * 32 + '","marker":true,"null":true,"replaced":2},'
    '"lock":{"mode":"COMPLIANCE","until":"2027-11-22T16:46:08.000000000Z","hold":true,"matters":["'
    + "ab" * 8
    + '","'
    + "cd" * 8
    + '"],"more":3},'
    '"op":"object.put",'
    '"actor":{"id":"p1","person":"ada@example.com","on_behalf_of":"desk 7","roles":["owner","writer"]},'
    '"origin":{"via":"s3","request_id":"R1","ip":"192.0.2.7","agent":"aws-cli/2"},'
    '"object":{"bucket":"trades","key":"2026/ä.csv","version_id":"null","upload_id":"u1","part":7,"prefix":"2026/",'
    '"size":1000,"content":"' + "ef" * 32 + '","range":[0,99]},'
    '"storage":{"suite":1,"kind":"blob","domain":"d1","salt":"' + "aa" * 16 + '","sealed":300,"chunk":65536,'
    '"length":1016,"root":"' + "bb" * 32 + '","blob":"f00d"},'
    '"request":{"mode":"COMPLIANCE","until":"2027-11-22T16:46:08.000000000Z","hold":false,"bypass":true,'
    '"bypass_sent":true,"if_none_match":true,"if_match":"2","remove":true,"http":"PUT /trades/\\"q\\""},'
    '"bucket":{"owner":"p1","lock":true,"strict":true,"versioning":"Enabled",'
    '"default":{"mode":"GOVERNANCE","days":1,"years":2}},'
    '"principal":{"id":"p2","name":"bob","access_key":"AK2","roles":["reader"]},'
    '"token":{"id":"' + "0f" * 8 + '","principal":"p2","digest":"' + "dd" * 32 + '","roles":["reader"],'
    '"expires":"2027-02-20T00:00:00.000000000Z","note":"audit","source":"app","format":"json"},'
    '"matter":{"id":"' + "0e" * 8 + '","name":"SEC 17","reason":"a letter","owner":"legal","query":{"bucket":"trades",'
    '"vault":true,"prefix":"2026/","since":"2026-01-01T00:00:00.000000000Z","before":"2027-01-01T00:00:00.000000000Z",'
    '"actor":"p2"}},'
    '"production":{"id":"' + "1a" * 8 + '","reason":"subpoena 7","asked":"{}","versions":3,"natives":2,"bytes":99,'
    '"digest":"' + "ee" * 32 + '","archive":"' + "ef" * 32 + '","failed":1},'
    '"ledger":{"incarnation":4,"vault":"vault","anchor":"file:x","profile":"standard","software":"0.1.0",'
    '"quarantined":"0000000007-4096.bin","digest":"' + "cc" * 32 + '","bytes":17},'
    '"clock_state":{"credited":86400,"lag":5,"grants":[[0,1],[1,2]],"source":"rfc3161","offset":-7,"max_error":9,"synchronised":true},'
    '"window":{"opened":"2026-11-22T16:46:08.000000000Z","count":3,"reasons":{"expired":2,"signature":1}},'
    '"server":{"config":"' + "dd" * 32 + '","s3":{"certificate":"' + "11" * 32 + '","clients":"' + "22" * 32 + '"},'
    '"audit":{"certificate":"' + "33" * 32 + '"}},'
    '"keys":{"kek":"0a1b2c3d","generation":9,"domains":4,"before":"4d3c2b1a","beyond":1,"digest":"' + "dd" * 32 + '",'
    '"principals":2,"streams":3,"files":5,"holds_kek":true},'
    '"backup":{"stream":"site-a.node-1","records":811,"digest":"' + "ab" * 32 + '","files":9,"bytes":1234},'
    '"verified":{"result":"bad","share":7,"shares":30,"size":812,"records":900,"bodies":5,"bytes":4096,"seconds":60,'
    '"findings":2,"place":"packs/a-1-2.pack","seq":4},'
    '"pruned":{"stream":"site-a.node-1","first":256,"end":512,"count":3,"digest":"' + "ab" * 32 + '"},'
    '"ref":811,'
    '"ingest":{"source":"app","format":"json","id":"e1","sequence":7,"time":"then","who":"ann","action":"PUT",'
    '"what":"b/k","size":9,"digest":"' + "ee" * 32 + '","event":"{\\"é\\":1}","base64":"e30=",'
    '"manifest":"' + "ff" * 32 + '","missing":[4,6],"members":3,"duplicates":1},'
    '"relay":{"stream":"site-a.node-1","topic":"strongroom.records","topic_id":"AbCdEfGhIjKlMnOpQrStUv","partition":3,'
    '"generation":2,"first":700,"cursor":811,"readable":700}}'
).encode()
LEAST = (
    b'{"v":1,"stream":"s","seq":0,"prev":"","time":"t","clock":"c","outcome":"success",'
    b'"op":"clock.status","actor":{"id":"system"},"origin":{"via":"server"}}'
)


def test_a_full_record_has_these_bytes() -> None:
    assert splice(HEAD, encode_tail(TAIL)) == GOLDEN
    assert decode(GOLDEN) == (HEAD, TAIL)


def test_the_golden_record_has_every_field_but_the_reserved_ones() -> None:
    names = [name for struct in (Head, Tail) for name in struct.__struct_encode_fields__]
    assert list(json.loads(GOLDEN)) == [name for name in names if name not in RESERVED]


RESERVED = ["class", "event_hold", "matters", "approvals"]


def test_what_is_absent_is_left_out() -> None:
    head = Head(v=1, stream="s", seq=0, prev="", time="t", clock="c", outcome="success")
    tail = Tail(op="clock.status", actor=Actor("system"), origin=Origin("server"))
    assert splice(head, encode_tail(tail)) == LEAST
    assert decode(LEAST) == (head, tail)


strings = st.text(max_size=20)
tails = st.builds(
    Tail,
    op=strings,
    actor=st.builds(Actor, strings, strings, strings, st.lists(strings, max_size=3).map(tuple)),
    origin=st.builds(Origin, strings, strings, strings, strings),
    object=st.none() | st.builds(ObjectRef, strings, strings, size=st.integers(-1, 1 << 60)),
    ref=st.integers(-1, 1 << 60),
    matters=st.none() | st.lists(strings, max_size=3),
)


@given(tails, strings)
def test_any_record_is_one_json_object_that_reads_back(tail: Tail, reason: str) -> None:
    head = Head(v=1, stream="s", seq=1 << 60, prev="p", time="t", clock="c", outcome="failure", reason=reason)
    data = splice(head, encode_tail(tail))
    pairs = json.JSONDecoder(object_pairs_hook=_unique).decode(data.decode())
    assert pairs["op"] == tail.op
    assert pairs.get("reason", "") == reason
    assert b'"op":"' in data
    assert decode(data) == (head, tail)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len({name for name, _ in pairs}) == len(pairs)
    return dict(pairs)


def test_fields_of_a_later_software_are_passed_over_at_any_depth() -> None:
    newer = json.loads(GOLDEN)
    for place in (newer, newer["version"], newer["lock"], newer["object"], newer["clock_state"]):
        place["later"] = {"x": [1, None, "y"]}
    assert decode(json.dumps(newer).encode()) == (HEAD, TAIL)


@dataclass(frozen=True)
class Bad:
    why: str
    data: bytes


@pytest.mark.parametrize(
    "bad",
    [
        Bad("empty", b""),
        Bad("no object", b"[]"),
        Bad("cut short", GOLDEN[:-1]),
        Bad("two objects", LEAST + LEAST),
        Bad("a field missing", LEAST.replace(b'"outcome":"success",', b"")),
        Bad("a field of another type", LEAST.replace(b'"seq":0', b'"seq":"0"')),
        Bad("no UTF-8", LEAST.replace(b'"s"', b'"\xff"')),
        Bad("a later version", LEAST.replace(b'"v":1', b'"v":2')),
        Bad("nested without end", LEAST[:-1] + b',"matters":' + b"[" * 15_000 + b"]" * 15_000 + b"}"),
    ],
    ids=lambda bad: bad.why,
)
def test_what_is_no_record_of_this_version_is_a_value_error(bad: Bad) -> None:
    with pytest.raises(ValueError, match="schema version"):
        decode(bad.data)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="schema version"):
        decode(data)


def test_operations_are_named_for_what_they_are_about() -> None:
    kinds = {op.split(".")[0] for op in record.OPS}
    named = (
        "bucket object multipart request auth principal token record production key ledger server clock ingest matter "
        "relay"
    )
    assert kinds == set(named.split())
    assert all(msgspec.json.encode(op) == f'"{op}"'.encode() for op in record.OPS)
