from __future__ import annotations

import gzip
import json
import random
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import AuditError
from audit.ingest.unpack import (
    MAX_BODY_BYTES,
    MAX_COMMAS,
    MAX_FRAMES,
    MAX_MEMBERS,
    BodyInvalid,
    BodyTooLarge,
    BodyUnsupported,
    decoded,
    events,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NOISE = random.Random(1).randbytes(300_000)
LINES = "application/x-ndjson"
PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.compress}


@pytest.mark.parametrize("coding", sorted(PACK))
def test_a_coding_is_undone_in_one_piece_or_several(coding: str) -> None:
    pack = PACK[coding]
    assert decoded(pack(NOISE), coding) == NOISE
    assert decoded(pack(b"one\n") + pack(b"two\n") + pack(b""), coding.upper()) == b"one\ntwo\n"
    assert decoded(b"", coding) == b""
    assert decoded(b"plain", "") == decoded(b"plain", "identity") == b"plain"


@pytest.mark.parametrize("coding", sorted(PACK))
def test_what_is_damaged_or_cut_is_refused_whole(coding: str) -> None:
    packed = PACK[coding](NOISE)
    for body in (packed[:-1], packed[: len(packed) // 2], packed[:3], b"no such thing", packed + b"rest"):
        with pytest.raises(BodyInvalid):
            decoded(body, coding)


@pytest.mark.parametrize("coding", sorted(PACK))
def test_a_bomb_is_refused_without_being_made(coding: str) -> None:
    bomb = PACK[coding](bytes(MAX_BODY_BYTES + 1))
    assert len(bomb) < 100_000
    with pytest.raises(BodyTooLarge, match="once it is decoded"):
        decoded(bomb, coding)
    assert len(decoded(PACK[coding](bytes(MAX_BODY_BYTES)), coding)) == MAX_BODY_BYTES


@pytest.mark.parametrize("coding", sorted(PACK))
def test_a_body_of_very_many_pieces_is_refused_before_it_takes_for_ever(coding: str) -> None:
    with pytest.raises(BodyTooLarge, match="pieces"):
        decoded(PACK[coding](b"x") * (MAX_FRAMES + 1), coding)


def test_a_frame_that_wants_much_memory_is_refused() -> None:
    engine = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    ).compressobj()
    with pytest.raises(BodyInvalid, match="window"):
        decoded(engine.compress(b"x") + engine.flush(), "zstd")


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, zstd", "x"])
def test_other_codings_are_named_as_such(coding: str) -> None:
    with pytest.raises(BodyUnsupported):
        decoded(b"", coding)


def test_lines_are_kept_whatever_is_on_them() -> None:
    body = b'{"a": 1}\r\n\n  \t\nhello \xff\n[1,2]\n{"broken'
    assert events(body, LINES) == [b'{"a": 1}', b"hello \xff", b"[1,2]", b'{"broken']
    assert events(b"", LINES) == events(b"\n\n", "application/jsonl; charset=utf-8") == []
    assert events(b"a syslog line\n", "text/plain") == [b"a syslog line"]


def test_elements_of_an_array_are_the_bytes_between_the_commas() -> None:
    body = b' [ {"a" : 1.0e2,"b":"\\u00e9"} ,\n"x",null, [1 , 2] ]\n'
    assert events(body, "application/json") == [b'{"a" : 1.0e2,"b":"\\u00e9"}', b'"x"', b"null", b"[1 , 2]"]
    assert events(b"[]", "application/json") == events(b" ", "") == []


def test_a_kubernetes_list_is_its_items_and_any_other_object_one_event() -> None:
    listed = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{"auditID":"1"} ,{"auditID":"2"}]}'
    assert events(listed, "application/json") == [b'{"auditID":"1"}', b'{"auditID":"2"}']
    for body in (b'{"items":[1,2]}', b'{"kind":"EventList"}', b'{"kind":"x","note":"\\"EventList\\"","items":[1]}'):
        assert events(body, "application/json") == [body]
    odd = b'{"kind":"EventList","items":7}'
    assert events(odd, "application/json") == [odd]


def test_objects_on_lines_may_come_as_json_or_without_a_type() -> None:
    assert events(b'{"a":1}\n{"b":2}\n', "") == [b'{"a":1}', b'{"b":2}']
    pretty = json.dumps({"a": {"b": 1}}, indent=2).encode()
    assert events(pretty, "application/json") == [pretty]


@pytest.mark.parametrize("body", [b"[1,", b"{", b"hello", b'{"a":1} {"b":2}', b"[" * 100_000 + b"]" * 100_000])
def test_json_that_is_none_is_refused_whole(body: bytes) -> None:
    with pytest.raises(BodyInvalid):
        events(body, "application/json")


def test_an_array_or_lines_that_would_take_much_memory_are_refused_first() -> None:
    with pytest.raises(BodyTooLarge, match="commas"):
        events(b"[" + b"0," * (MAX_COMMAS + 1) + b"0]", "application/json")
    with pytest.raises(BodyTooLarge, match="lines"):
        events(b"\n" * (2 * MAX_MEMBERS + 1), LINES)
    with pytest.raises(BodyTooLarge, match="in one request"):
        events(b"1\n" * (MAX_MEMBERS + 1), LINES)
    assert len(events(b"1\n" * MAX_MEMBERS, LINES)) == MAX_MEMBERS


@pytest.mark.parametrize("kind", ["text/html", "application/x-www-form-urlencoded", "application/cbor", "json"])
def test_other_types_are_named_as_such(kind: str) -> None:
    with pytest.raises(BodyUnsupported):
        events(b"{}", kind)


@given(st.binary(max_size=300), st.sampled_from(["", "gzip", "zstd"]), st.sampled_from(["", LINES]))
def test_any_bytes_are_events_or_one_of_our_errors(body: bytes, coding: str, kind: str) -> None:
    try:
        found = events(decoded(body, coding), kind)
    except AuditError:
        return
    assert all(found)
    assert all(each in body for each in found) or coding
