from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from tests.doubles.asgi import Client
from tests.doubles.s3_service import RECORD
from tests.unit.s3.wire import UNTIL, Wire, content, error, read, told, version
from vault.errors import IntegrityError, S3Error
from vault.manifest import Checksum
from vault.s3 import responses
from vault.service.context import Conditions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    import pytest


def test_get_object() -> None:
    wire = Wire()
    document = content(
        headers={"content-type": "text/plain", "cache-control": "no-cache"},
        metadata={"a": "b\xe9"},
        checksum=Checksum("CRC32", "FULL_OBJECT", "DUoRhQ=="),
    )
    row = version(mode="GOVERNANCE", until=UNTIL, hold=True)
    found = read(b"hello ", b"world", row=row, document=document, held=True)
    answer = wire.ask("GET", "/bucket/key", {"x-amz-checksum-mode": "ENABLED"}, objects__get=found)
    assert (answer.status, answer.body) == (200, b"hello world")
    assert told(answer) == {
        "accept-ranges": "bytes",
        "last-modified": "Sun, 22 Nov 2026 16:46:08 GMT",
        "etag": '"' + "e" * 32 + '"',
        "x-amz-version-id": "v1",
        "content-type": "text/plain",
        "cache-control": "no-cache",
        "x-amz-meta-a": "b\xe9",
        "x-amz-object-lock-mode": "GOVERNANCE",
        "x-amz-object-lock-retain-until-date": "2140-01-01T00:00:00.000Z",
        "x-amz-object-lock-legal-hold": "ON",
        "x-amz-checksum-crc32": "DUoRhQ==",
        "x-amz-checksum-type": "FULL_OBJECT",
        "x-strongroom-record": RECORD,
        "content-length": "11",
    }


def test_a_lock_is_shown_only_to_those_who_may_see_it() -> None:
    wire = Wire()
    wire.service.roles = ("writer",)
    answer = wire.ask("HEAD", "/bucket/key", objects__head=read(row=version(mode="GOVERNANCE", until=UNTIL), held=True))
    assert answer.status == 200
    assert [name for name in answer.headers if "object-lock" in name] == []


def test_head_object_is_get_object_without_the_bytes() -> None:
    answer = Wire().ask("HEAD", "/bucket/key", objects__head=read())
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "11")
    assert "x-amz-checksum-crc32" not in answer.headers


def test_a_range_is_a_part() -> None:
    wire = Wire()
    found = read(b"llo", first=2, last=4, partial=True)
    answer = wire.ask(
        "GET", "/bucket/key", {"range": "bytes=2-4", "x-amz-checksum-mode": "ENABLED"}, objects__get=found
    )
    assert (answer.status, answer.body) == (206, b"llo")
    assert answer.headers["content-range"] == "bytes 2-4/11"
    assert "x-amz-checksum-crc32" not in answer.headers
    assert wire.service.call.args[0].range == (2, 4)


def test_a_part_of_a_multipart_object() -> None:
    wire = Wire()
    found = read(b"llo", first=2, last=4, partial=True, parts=3)
    answer = wire.ask("GET", "/bucket/key?partNumber=2", objects__get=found)
    assert (answer.status, answer.headers["x-amz-mp-parts-count"]) == (206, "3")
    assert wire.service.call.args[0].part_number == 2


def test_what_a_read_asks_for_reaches_the_service() -> None:
    wire = Wire()
    headers = {"if-none-match": '"e"', "if-modified-since": "Sun, 22 Nov 2026 16:46:08 GMT", "range": "bytes=0-",
               "if-range": '"e"'}  # fmt: skip
    wire.ask("GET", "/bucket/%20k?versionId=null", headers, objects__get=read(b"hello world"))
    wanted = wire.service.call.args[0]
    assert (wanted.bucket, wanted.key, wanted.version_id) == ("bucket", " k", "null")
    assert wanted.conditions == Conditions((), ("e",), 1795365968, None)
    assert wanted.range is None  # If-Range


def test_headers_of_the_answer_can_be_replaced() -> None:
    value = quote("inline; filename=ü.txt", safe="")
    answer = Wire().ask(
        "GET", f"/bucket/key?response-content-disposition={value}&response-content-type=text%2Fcsv",
        objects__get=read(b"hello world"),
    )  # fmt: skip
    assert answer.headers["content-type"] == "text/csv"
    assert answer.headers["content-disposition"].encode("latin-1").decode() == "inline; filename=ü.txt"


def test_not_modified_has_no_body() -> None:
    refusal = S3Error("NotModified", headers={"etag": '"e"'})
    answer = Wire().ask("GET", "/bucket/key", objects__get=refusal)
    assert (answer.status, answer.headers["etag"], answer.body) == (304, '"e"', b"")
    assert "content-type" not in answer.headers


def test_an_empty_object_is_read() -> None:
    async def nothing() -> AsyncGenerator[bytes, None]:
        return
        yield b""

    found = read(last=-1, row=version(size=0), body=nothing())
    answer = Wire().ask("GET", "/bucket/key", objects__get=found)
    assert (answer.status, answer.body, answer.complete) == (200, b"", True)


@dataclass
class Watched:
    """A body that notes how it ended."""

    data: Sequence[bytes]
    breaks: Exception | None = None
    given: int = 0
    closed: bool = False

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            for piece in self.data:
                self.given += 1
                yield piece
            if self.breaks is not None:
                raise self.breaks
        finally:
            self.closed = True


def test_what_does_not_authenticate_before_the_first_byte_is_an_error() -> None:
    watched = Watched([], IntegrityError("bad"))
    answer = Wire().ask("GET", "/bucket/key", objects__get=read(body=watched.pieces()))
    assert error(answer) == (500, "InternalError")
    assert watched.closed


def test_what_does_not_authenticate_later_cuts_the_answer_short() -> None:
    watched = Watched([b"hello"], IntegrityError("bad"))
    answer = Wire().ask("GET", "/bucket/key", objects__get=read(body=watched.pieces()))
    assert (answer.status, answer.body, answer.complete) == (200, b"hello", False)
    assert watched.closed


def test_a_reader_that_leaves_ends_the_read() -> None:
    watched = Watched([b"x"] * 1000)
    found = read(body=watched.pieces(), last=999)
    answer = Wire().ask("GET", "/bucket/key", client=Client(leaves_after=3), objects__get=found)
    assert (answer.complete, watched.closed) == (False, True)
    assert watched.given < 10


def test_a_slow_reader_is_waited_for_and_no_more_is_read_than_it_takes() -> None:
    watched = Watched([b"x"] * 20)
    most = 0

    async def slow() -> None:
        nonlocal most
        most = max(most, watched.given)
        watched.given = 0
        await asyncio.sleep(0)

    found = read(body=watched.pieces(), last=19)
    answer = Wire().ask("GET", "/bucket/key", client=Client(slow=slow), objects__get=found)
    assert (answer.body, most) == (b"x" * 20, 1)


def test_a_reader_that_takes_nothing_any_more_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(responses, "STALL_SECONDS", 0.01)
    watched = Watched([b"x"] * 20)
    taken = 0

    async def slow() -> None:
        nonlocal taken
        taken += 1
        if taken > 5:
            await asyncio.Event().wait()

    found = read(body=watched.pieces(), last=19)
    answer = Wire().ask("GET", "/bucket/key", client=Client(slow=slow), objects__get=found)
    assert (answer.complete, watched.closed) == (False, True)
