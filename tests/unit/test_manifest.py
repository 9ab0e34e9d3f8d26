from __future__ import annotations

import hashlib
import json

import msgspec
import pytest

from vault.errors import CorruptError
from vault.manifest import (
    MAX_DOCUMENT_BYTES,
    Checksum,
    ContentDocument,
    decode_document,
    document_digest,
    encode_document,
    manifest_digest,
)
from vault.record import LockRef

TIME = "2026-11-22T16:46:08.000000001Z"
FULL = {
    "bucket": "ledgers",
    "key": 'a "ü" \\ key',
    "ordinal": 7,
    "time": TIME,
    "content": "c" * 64,
    "lock": LockRef("COMPLIANCE", "2031-01-01T00:00:00.000000000Z", hold=True),
    "marker": True,
    "null": True,
    "prev": "d" * 64,
}
DOCUMENT = ContentDocument(
    v=1,
    salt="00" * 16,
    size=5,
    etag="e" * 32,
    md5="e" * 32,
    sha256="f" * 64,
    checksum=Checksum("CRC32", "FULL_OBJECT", "NhCmhg=="),
    headers={"content-type": "text/plain"},
    metadata={"desk": "rates"},
    parts=2,
)


def by_hand(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_manifest_is_the_json_that_the_format_says() -> None:
    expected = (
        '{"v":1,"bucket":"ledgers","key":"a \\"ü\\" \\\\ key","ordinal":7,"time":"2026-11-22T16:46:08.000000001Z",'
        f'"content":"{"c" * 64}","lock":{{"mode":"COMPLIANCE","until":"2031-01-01T00:00:00.000000000Z","hold":true}},'
        f'"marker":true,"null":true,"prev":"{"d" * 64}"}}'
    )
    assert manifest_digest(**FULL) == by_hand(expected)  # type: ignore[arg-type]


def test_what_is_absent_is_left_out() -> None:
    expected = '{"v":1,"bucket":"b","key":"k","ordinal":1,"time":"' + TIME + '"}'
    assert manifest_digest(bucket="b", key="k", ordinal=1, time=TIME) == by_hand(expected)


@pytest.mark.parametrize("field", FULL)
def test_every_field_counts(field: str) -> None:
    other = {"ordinal": 8, "marker": False, "null": False, "lock": None}.get(field, "other")
    assert manifest_digest(**FULL | {field: other}) != manifest_digest(**FULL)  # type: ignore[arg-type]


def test_a_document_is_the_json_that_the_format_says() -> None:
    expected = {
        "v": 1,
        "salt": "00" * 16,
        "size": 5,
        "etag": "e" * 32,
        "md5": "e" * 32,
        "sha256": "f" * 64,
        "checksum": {"algorithm": "CRC32", "type": "FULL_OBJECT", "value": "NhCmhg=="},
        "headers": {"content-type": "text/plain"},
        "metadata": {"desk": "rates"},
        "parts": 2,
    }
    data = encode_document(DOCUMENT)
    assert data == json.dumps(expected, separators=(",", ":")).encode()
    assert document_digest(data) == hashlib.sha256(data).hexdigest()
    assert decode_document(data) == DOCUMENT


def test_an_upload_s_document_leaves_out_what_it_has_not() -> None:
    data = encode_document(ContentDocument(v=1, salt="00" * 16, size=0, etag=""))
    assert data == b'{"v":1,"salt":"' + b"00" * 16 + b'","size":0,"etag":""}'


BAD = {
    "nothing": b"",
    "no JSON": b"{",
    "no object": b"[]",
    "no salt": b'{"v":1,"size":0,"etag":""}',
    "a later version": encode_document(msgspec.structs.replace(DOCUMENT, v=2)),
    "not UTF-8": encode_document(DOCUMENT).replace(b"rates", b"\xff\xff\xff"),
    "too long": encode_document(msgspec.structs.replace(DOCUMENT, metadata={"a": "x" * MAX_DOCUMENT_BYTES})),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_what_is_no_document_is_damage(data: bytes) -> None:
    with pytest.raises(CorruptError):
        decode_document(data)
