"""Requests that come before the answer to the one before, and connections that end for one of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from audit.config import LimitsSection
from audit.connection import MAX_PIPELINED
from tests.integration.test_exchange import CLOSE, START, asked, connected
from tests.integration.test_listener import answering

if TYPE_CHECKING:
    from collections.abc import Callable

    Loop = Callable[[], asyncio.AbstractEventLoop]

both = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
GET = b"GET /%d HTTP/1.1\r\nHost: x\r\n"
BIG = 8 << 20


async def whole(receive: Any) -> bytes | None:
    """A body; None where the client left, or what it sent is none."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message["body"]
        more = message["more_body"]
    return body


async def answer(send: Any, body: bytes) -> None:
    await send({**START, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body = await whole(receive)
    await asyncio.sleep(0.02)
    if body is not None:
        await answer(send, b"%b %d;" % (scope["raw_path"], len(body)))


def said(received: bytes) -> list[bytes]:
    return [part.partition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 ")[1:]]


def test_a_head_behind_a_long_body_is_none_of_its_bytes() -> None:
    put = b"PUT /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    half = GET % 2
    received = asked(echo, put, bytes(100_000) + half[:-5], half[-5:] + CLOSE)
    assert said(received) == [b"/1 100000;", b"/2 0;"]


def test_more_requests_than_may_wait_end_the_connection_after_those_before_them() -> None:
    received = asked(echo, b"".join(GET % number + b"\r\n" for number in range(MAX_PIPELINED + 50)))
    assert said(received) == [b"/%d 0;" % number for number in range(MAX_PIPELINED + 1)]


def test_what_is_no_request_does_not_take_the_place_of_an_answer() -> None:
    put = b"PUT /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
    assert said(asked(echo, put + b"\r\n\r\nnonsense\r\n\r\n")) == [b"/1 2;"]


def test_a_body_that_is_none_is_told_as_one_that_does_not_end() -> None:
    told: list[bytes | None] = []

    async def app(_: Any, receive: Any, send: Any) -> None:
        told.append(await whole(receive))
        await answer(send, b"recorded")

    put = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nnonsense\r\n"
    assert said(asked(app, put)) == [b"recorded"]
    assert told == [None]


def test_an_answer_that_takes_longer_than_a_head_may_is_not_cut() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await whole(receive)
        await asyncio.sleep(1.5)
        await answer(send, scope["raw_path"])

    async def run() -> bytes:
        async with answering(app, limits=LimitsSection(idle_s=1)) as listener:
            reader, writer = await connected(listener)
            writer.write(GET % 1 + b"\r\n" + (GET % 2)[:-5])
            await asyncio.sleep(0.1)
            writer.write((GET % 2)[-5:] + CLOSE)
            received = await reader.read()
            writer.close()
        return received

    assert said(asyncio.run(run())) == [b"/1", b"/2"]


@both
def test_whoever_answers_learns_that_the_client_left_behind_a_second_request(loop: Loop) -> None:
    async def run() -> None:
        left = asyncio.Event()

        async def app(_: Any, receive: Any, send: Any) -> None:
            await whole(receive)
            gone = asyncio.ensure_future(receive())
            await send({**START, "headers": [(b"content-length", b"%d" % (1 << 40))]})
            while not gone.done():  # nothing is read while a request waits: that the client left is told by a write
                await send({"type": "http.response.body", "body": bytes(1000), "more_body": True})
                await asyncio.sleep(0.01)
            assert gone.result()["type"] == "http.disconnect"
            left.set()

        async with answering(app) as listener:
            _, writer = await connected(listener)
            writer.write(GET % 1 + b"\r\n" + GET % 2 + b"\r\n")
            await asyncio.sleep(0.1)
            writer.close()
            await asyncio.wait_for(left.wait(), 10)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


@both
def test_a_stop_lets_a_slow_client_take_its_whole_answer(loop: Loop) -> None:
    async def run() -> int:
        async def app(_: Any, __: Any, send: Any) -> None:
            await answer(send, bytes(BIG))

        async with answering(app, limits=LimitsSection(stop_s=60)) as listener:
            reader, writer = await connected(listener)
            writer.write(GET % 1 + b"\r\n")
            received = len(await reader.readuntil(b"\r\n\r\n")) * 0
            listener.stop()
            await asyncio.sleep(2.5)
            received += len(await reader.read())
            writer.close()
        return received

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(run()) == BIG


@both
def test_a_client_that_takes_nothing_is_cut_off(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.connection.STALL_S", 0.5)

    async def run() -> None:
        async def app(_: Any, __: Any, send: Any) -> None:
            await answer(send, bytes(BIG))

        async with answering(app, limits=LimitsSection(idle_s=1)) as listener:
            reader, writer = await connected(listener)  # which reads no more than its limit
            writer.write(GET % 1 + b"\r\n")
            await asyncio.sleep(0.3)
            for _ in range(100):
                if not listener.server_state.connections:
                    break
                await asyncio.sleep(0.1)
            assert not listener.server_state.connections
            assert not reader.at_eof()
            writer.transport.abort()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


def test_an_old_client_gets_no_chunks() -> None:
    async def app(_: Any, __: Any, send: Any) -> None:
        await send(dict(START))
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
        await send({"type": "http.response.body", "body": b"c"})

    received = asked(app, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert received.endswith(b"connection: close\r\n\r\nabc")
    assert b"chunked" not in received
