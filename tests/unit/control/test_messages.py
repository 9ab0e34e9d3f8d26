from __future__ import annotations

import pytest

from audit.control.messages import (
    AddPrincipal,
    CutBackup,
    DisablePrincipal,
    HoldBackup,
    KeepBackup,
    ListPrincipals,
    Problem,
    RecordBackup,
    RecordDirectoryBackup,
    ReleaseBackup,
    Reply,
    Request,
    RotateKek,
    Status,
    TakeKeys,
    decode_reply,
    decode_request,
    encode,
)
from audit.control.stream_messages import Entries, split_entries
from audit.errors import ControlFailed
from audit.tiles import entry_bundle
from vault.record import BackupRef, KeysRef


@pytest.mark.parametrize(
    "request_",
    [
        Status(),
        ListPrincipals(),
        AddPrincipal("bob", ("writer",), "KEY", "a secret"),
        DisablePrincipal("KEY"),
        Entries("site-a.node-1", 7, 256),
        TakeKeys(),
        RecordBackup(KeysRef("12345678", 4, 2, digest="ab" * 32)),
        RotateKek("c2VjcmV0"),
        HoldBackup(),
        CutBackup(3),
        KeepBackup(3, recycling=False),
        ReleaseBackup(3),
        RecordDirectoryBackup(BackupRef("site-a.node-1", 811, "ab" * 32, 9, 1234)),
    ],
    ids=lambda request_: type(request_).__name__,
)
def test_a_request_comes_back_as_it_was_written(request_: Request) -> None:
    line = encode(request_)
    assert line.count(b"\n") == 1
    assert decode_request(line) == request_


def test_a_reply_comes_back_as_it_was_written() -> None:
    assert decode_reply(encode(Reply(error=Problem("code", "two\nlines")))).error == Problem("code", "two\nlines")
    assert decode_reply(encode(Reply(payload=5))).payload == 5


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"\xff\n",
        b"[]\n",
        b"{}\n",
        b'{"op":"format"}\n',
        b'{"op":"entries","stream":"s","index":-1,"width":1}\n',
        b'{"op":"entries","stream":"s","index":0,"width":257}\n',
        b'{"op":"entries","stream":"s","index":36028797018963968,"width":1}\n',
        b'{"op":"principal.add","name":"","roles":[],"access_key":"","secret":""}\n',
        b'{"op":"principal.add","name":"x","roles":["a"],"access_key":"a b c","secret":""}\n',
        b'{"op":"principal.add","name":"x","roles":["a"],"access_key":"KEY\\n","secret":""}\n',
        b'{"op":"principal.add","name":"x","roles":["1","2","3","4","5","6","7","8","9","10"],"access_key":"","secret":""}\n',
        b'{"op":"principal.disable","access_key":""}\n',
        b'{"op":"key.backup","keys":{"kek":"x"}}\n',
        b'{"op":"key.rotate","new":"' + b"A" * 65 + b'"}\n',
        b"[" * 10_000,
    ],
)
def test_what_is_no_request_is_refused_without_repeating_it(line: bytes) -> None:
    with pytest.raises(ControlFailed, match="no request of the control socket's protocol"):
        decode_request(line)


def test_a_payload_that_could_never_be_is_refused() -> None:
    with pytest.raises(ControlFailed):
        decode_reply(b'{"payload":999999999999}\n')


def test_a_secret_is_not_shown_by_its_request() -> None:
    assert "hunter2222" not in repr(AddPrincipal("bob", ("writer",), "KEY", "hunter2222"))
    assert "hunter2222" not in f"{AddPrincipal('bob', ('writer',), 'KEY', 'hunter2222')}"
    assert "hunter2222" not in repr(RotateKek("hunter2222"))


def test_entries_of_a_bundle_are_taken_apart_again() -> None:
    entries = [b"", b"a", b"b" * 32768]
    assert split_entries(entry_bundle(entries), 3) == entries


@pytest.mark.parametrize(("bundle", "width"), [(b"", 1), (b"\x00\x05abc", 1), (b"\x00\x01a", 2), (b"\x00\x01ab", 1)])
def test_a_bundle_of_other_length_is_refused(bundle: bytes, width: int) -> None:
    with pytest.raises(ControlFailed):
        split_entries(bundle, width)
