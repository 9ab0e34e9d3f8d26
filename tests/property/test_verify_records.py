"""Whatever the writer can write, the verifier's grammar takes, byte for byte, with the same fields."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from audit.verify.records import Checker
from audit.verify.schema import AFTER_PREV, HEAD, parse_strict
from vault import record as writer
from vault.foreign import IngestRef
from vault.matters import MatterQuery, MatterRef
from vault.record_schema import record_schema
from vault.takeover import Takeover

NUMBERS = st.integers(0, 2**63 - 1)
TEXT = st.text(max_size=12)
HASHES = st.binary(min_size=32, max_size=32).map(bytes.hex)
TIMES = st.datetimes().map(lambda moment: f"{moment.isoformat(timespec='microseconds').zfill(26)}000Z")
PREV = sha256(b"").hexdigest()


def built(struct: type[msgspec.Struct], /, **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A struct with the required fields, and any of the others."""
    required = {field.name for field in msgspec.structs.fields(struct) if field.required}
    optional = {name: given_ for name, given_ in fields.items() if name not in required}
    must = {name: given_ for name, given_ in fields.items() if name in required}
    return st.fixed_dictionaries(must, optional=optional).map(lambda values: struct(**values))


TLS = built(writer.TlsRef, certificate=HASHES, clients=HASHES)
IDS = st.binary(min_size=8, max_size=8).map(bytes.hex)
LOCKS = built(
    writer.LockRef, mode=st.sampled_from(["GOVERNANCE", "COMPLIANCE"]), until=TIMES, hold=st.booleans(),
    matters=st.lists(IDS, max_size=3).map(tuple), more=NUMBERS,
)  # fmt: skip
DEFAULTS = built(writer.DefaultRetention, mode=TEXT, days=NUMBERS, years=NUMBERS)
PAIRS = st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
WORDS: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(("format", "id", "time", "who", "action", "what"), TEXT)
EVENTS = st.builds(
    lambda data, words: IngestRef(
        "s", size=len(data), digest=sha256(data).hexdigest(), **_written(data), **words
    ),
    st.binary(min_size=1, max_size=40), st.fixed_dictionaries({}, optional={**WORDS, "sequence": NUMBERS}),
)  # fmt: skip
BATCHES = built(
    IngestRef, source=TEXT, sequence=NUMBERS, digest=HASHES, size=NUMBERS, manifest=HASHES,
    missing=st.tuples(NUMBERS, NUMBERS), members=NUMBERS, duplicates=NUMBERS, **WORDS,
)  # fmt: skip


def _written(data: bytes) -> dict[str, Any]:
    """An event's bytes as the field that holds them."""
    try:
        return {"event": data.decode()}
    except UnicodeDecodeError:
        return {"base64": b64encode(data).decode()}


TAILS = built(
    writer.Tail,
    op=st.sampled_from(sorted(writer.OPS)),
    actor=built(writer.Actor, id=TEXT, person=TEXT, on_behalf_of=TEXT, roles=st.lists(TEXT, max_size=3).map(tuple)),
    origin=built(writer.Origin, via=TEXT, request_id=TEXT, ip=TEXT, agent=TEXT),
    object=built(
        writer.ObjectRef, bucket=TEXT, key=TEXT, version_id=TEXT, upload_id=TEXT, part=NUMBERS, prefix=TEXT,
        size=NUMBERS, content=HASHES, range=PAIRS,
    ),
    storage=built(
        writer.Storage, suite=st.integers(0, 255), kind=st.sampled_from(["log", "blob", "parts"]), domain=TEXT,
        salt=HASHES, sealed=NUMBERS, chunk=NUMBERS, length=NUMBERS, root=HASHES, blob=HASHES,
    ),
    request=built(
        writer.Request, mode=TEXT, until=TEXT, hold=st.booleans(), bypass=st.booleans(), bypass_sent=st.booleans(),
        if_none_match=st.booleans(), if_match=TEXT, remove=st.booleans(), http=TEXT,
    ),
    bucket=built(
        writer.BucketConfig, owner=TEXT, lock=st.booleans(), strict=st.booleans(), versioning=TEXT, default=DEFAULTS,
    ),
    principal=built(
        writer.PrincipalRef, id=TEXT, name=TEXT, access_key=TEXT, roles=st.lists(TEXT, max_size=3).map(tuple)
    ),
    token=built(
        writer.TokenRef, id=TEXT, principal=TEXT, digest=HASHES, roles=st.lists(TEXT, max_size=3).map(tuple),
        expires=TIMES, note=TEXT, source=TEXT, format=TEXT,
    ),
    matter=built(
        MatterRef, id=TEXT, name=TEXT, reason=TEXT, owner=TEXT,
        query=built(
            MatterQuery, bucket=TEXT, vault=st.booleans(), prefix=TEXT, since=TIMES, before=TIMES, actor=TEXT,
        ),
    ),
    production=built(
        writer.ProductionRef, id=TEXT, reason=TEXT, asked=TEXT, versions=NUMBERS, natives=NUMBERS, bytes=NUMBERS,
        digest=HASHES, archive=HASHES, failed=NUMBERS,
    ),
    ledger=built(
        writer.LedgerRef, incarnation=NUMBERS, vault=TEXT, anchor=TEXT, profile=TEXT, software=TEXT, quarantined=TEXT,
        digest=TEXT, bytes=NUMBERS, stream=TEXT,
        takes_over=built(
            Takeover, stream=TEXT, held=NUMBERS, root=HASHES, known=NUMBERS,
            known_root=st.one_of(st.just(""), HASHES), position=NUMBERS,
        ),
    ),
    clock_state=built(
        writer.ClockState, credited=NUMBERS, lag=st.integers(-(2**63), 2**63 - 1),
        grants=st.lists(PAIRS, max_size=3).map(tuple), source=TEXT,
        offset=st.integers(-(1 << 40), 1 << 40), max_error=NUMBERS, synchronised=st.none() | st.booleans(),
    ),
    window=built(writer.Window, opened=TIMES, count=NUMBERS, reasons=st.dictionaries(TEXT, NUMBERS, max_size=3)),
    server=built(writer.ServerRef, config=HASHES, s3=TLS, audit=TLS),
    keys=built(
        writer.KeysRef, kek=TEXT, generation=NUMBERS, domains=NUMBERS, before=TEXT, beyond=NUMBERS, digest=TEXT,
        principals=NUMBERS, streams=NUMBERS, files=NUMBERS, holds_kek=st.booleans(),
    ),
    backup=built(
        writer.BackupRef, stream=TEXT, records=NUMBERS, digest=HASHES, files=NUMBERS, bytes=NUMBERS,
    ),
    verified=built(
        writer.VerifiedRef, result=TEXT, share=NUMBERS, shares=NUMBERS, size=NUMBERS, records=NUMBERS, bodies=NUMBERS,
        bytes=NUMBERS, seconds=NUMBERS, findings=NUMBERS, place=TEXT, seq=NUMBERS,
    ),
    pruned=built(
        writer.PrunedRef, stream=TEXT, first=NUMBERS, end=NUMBERS, count=NUMBERS, digest=HASHES,
    ),
    relay=built(
        writer.RelayRef, stream=TEXT, topic=TEXT, topic_id=TEXT, partition=NUMBERS, generation=NUMBERS, first=NUMBERS,
        cursor=NUMBERS, readable=NUMBERS,
    ),
    ref=NUMBERS,
    ingest=st.one_of(EVENTS, BATCHES),
)  # fmt: skip
SCHEMA = Draft202012Validator(record_schema())
VERSIONS = st.builds(
    lambda ordinal, manifest, prev, marker, null, replaced: writer.VersionRef(
        ordinal, f"{ordinal:08x}{manifest[:24]}", manifest, prev, marker=marker, null=null, replaced=replaced
    ),
    st.integers(1, 2**40), HASHES, st.one_of(st.just(""), HASHES), st.booleans(), st.booleans(), NUMBERS,
)  # fmt: skip
HEADS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"time": TIMES, "clock": TIMES, "outcome": st.sampled_from(["denied", "failure"])},
    optional={"reason": TEXT, "version": VERSIONS, "lock": LOCKS},
)


@given(HEADS, TAILS)
def test_every_record_that_can_be_written_is_taken(head: dict[str, Any], tail: writer.Tail) -> None:
    bytes_ = writer.splice(writer.Head(v=1, stream="s.n", seq=0, prev=PREV, **head), writer.encode_tail(tail))
    checker = Checker(b'"s.n"', 0, str)
    checker.feed([bytes_])
    assert [item for item in checker.run().findings if not item.why.startswith("its clocks are ahead")] == []
    value = json.loads(bytes_)
    assert parse_strict(bytes_) == value
    SCHEMA.validate(value)
    at = HEAD.match(bytes_)
    assert at is not None
    match = AFTER_PREV.fullmatch(bytes_, at.end())
    assert match is not None
    assert json.loads(match["bucket"] or b"null") == value.get("object", {}).get("bucket")
    assert json.loads(match["lock"] or b"null") == value.get("lock")
    assert json.loads(match["ref"] or b"null") == value.get("ref")
    assert json.loads(match["matter"] or b"null") == value.get("matter", {}).get("id")
    assert json.loads(match["of_prefix"] or b"null") == value.get("matter", {}).get("query", {}).get("prefix")
    assert (match["root"] or b"").decode() == value.get("storage", {}).get("root", "")


@given(st.data())
def test_every_changed_byte_shows(data: st.DataObject) -> None:
    head = data.draw(HEADS)
    tail = data.draw(TAILS)
    good = writer.splice(writer.Head(v=1, stream="s.n", seq=0, prev=PREV, **head), writer.encode_tail(tail))
    changed = bytearray(good)
    changed[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
    leaves = []
    for record in (good, bytes(changed)):
        checker = Checker(b'"s.n"', 0, str)
        checker.feed([record])  # whatever it is, it is read to its end
        leaves.append(checker.run().leaves)
    assert leaves[0] != leaves[1]
