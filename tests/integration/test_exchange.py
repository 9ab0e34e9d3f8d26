"""One request and its answer over a real socket: bodies, answers, and applications that misbehave."""

from __future__ import annotations

import asyncio
import hashlib
import socket
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from audit.config import LimitsSection
from audit.exchange import HIGH_WATER
from tests.integration.test_listener import answering, exchange

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from audit.listener import Listener

START = {"type": "http.response.start", "status": 200}
CLOSE = b"Connection: close\r\n\r\n"


def asked(app: Callable[[Any, Any, Any], Awaitable[None]], *pieces: bytes) -> bytes:
    """What an application answers to these bytes, until the connection ends."""

    async def run() -> bytes:
        async with answering(app) as listener:
            return await exchange(listener, *pieces)

    return asyncio.run(run())


async def connected(listener: Listener) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*listener.servers[0].sockets[0].getsockname())


def test_pipelined_requests_are_answered_in_order() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"]
        await asyncio.sleep(0.05 if scope["path"] == "/1" else 0)
        answer = scope["path"].encode() + body
        await send({**START, "headers": [(b"content-length", b"%d" % len(answer))]})
        await send({"type": "http.response.body", "body": answer})

    put = b"PUT /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
    answer = asked(app, *(put % number + (CLOSE if number == 3 else b"\r\n") + b"ab" for number in (1, 2, 3)))
    assert [part[-4:] for part in answer.split(b"HTTP/1.1 200 OK")[1:]] == [b"/1ab", b"/2ab", b"/3ab"]


def test_an_offer_of_another_protocol_is_passed_over() -> None:
    async def app(_: Any, receive: Any, send: Any) -> None:
        message = await receive()
        body = message["body"]
        while message["more_body"]:
            message = await receive()
            body += message["body"]
        await send({**START, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    put = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQ\r\n\r\n"
    get = b"GET / HTTP/1.1\r\nHost: x\r\n"
    answer = asked(app, put + offer + b"a", b"b" + put + offer + b"bc" + get + offer + put + CLOSE + b"de")
    assert [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK")[1:]] == [
        b"ab",
        b"bc",
        b"",
        b"de",
    ]
    chunked = b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
    assert asked(app, chunked + offer + b"2\r\nab\r\n0\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_slow_reader_gets_every_byte_and_makes_the_client_wait() -> None:
    data = hashlib.shake_128(b"body").digest(40 * HIGH_WATER)
    most = 0

    async def app(_: Any, receive: Any, send: Any) -> None:
        nonlocal most
        digest, more = hashlib.sha256(), True
        while more:
            message = await receive()
            digest.update(message["body"])
            most = max(most, len(message["body"]))
            more = message["more_body"]
            await asyncio.sleep(0.001)
        await send({**START, "headers": [(b"content-length", b"32")]})
        await send({"type": "http.response.body", "body": digest.digest()})

    answer = asked(app, b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % len(data) + CLOSE, data)
    assert answer.endswith(hashlib.sha256(data).digest())
    assert most <= 2 * HIGH_WATER


def test_whoever_reads_on_after_the_body_learns_that_the_client_left() -> None:
    told: list[str] = []

    async def run() -> None:
        read, done = asyncio.Event(), asyncio.Event()

        async def app(_: Any, receive: Any, __: Any) -> None:
            told.append((await receive())["type"])
            read.set()
            told.append((await receive())["type"])
            done.set()

        async with answering(app) as listener:
            _, writer = await connected(listener)
            writer.write(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab")
            await asyncio.wait_for(read.wait(), 10)
            writer.close()
            await asyncio.wait_for(done.wait(), 10)

    asyncio.run(run())
    assert told == ["http.request", "http.disconnect"]


def test_a_client_is_told_to_go_on_only_when_its_body_is_wanted() -> None:
    async def run() -> None:
        wanted = asyncio.Event()

        async def app(_: Any, receive: Any, send: Any) -> None:
            await wanted.wait()
            body = (await receive())["body"]
            await send({**START, "headers": [(b"content-length", b"%d" % len(body))]})
            await send({"type": "http.response.body", "body": body})

        async with answering(app) as listener:
            reader, writer = await connected(listener)
            writer.write(b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" + CLOSE)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.readexactly(1), 0.2)
            wanted.set()
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"ok")
            assert (await reader.read()).endswith(b"\r\n\r\nok")
            writer.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "status", "ends"),
    [
        (b"GET", 200, b"transfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
        (b"HEAD", 200, b"connection: close\r\n\r\n"),
        (b"GET", 304, b"connection: close\r\n\r\n"),
    ],
)
def test_an_answer_of_unknown_length_is_chunked_where_it_has_a_body(method: bytes, status: int, ends: bytes) -> None:
    async def app(_: Any, __: Any, send: Any) -> None:
        await send({**START, "status": status})
        for piece in (b"ab", b"c") if status == 200 else ():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    answer = asked(app, method + b" / HTTP/1.1\r\nHost: x\r\n" + CLOSE)
    assert answer.endswith(ends)
    assert (b"chunked" in answer) is (method == b"GET" and status == 200)


@pytest.mark.parametrize("value", [b"a\r\nset-cookie: b", b"\r\n", b"a\nb", b"a\rb", b"a\0b", b"a\x7fb"])
def test_a_header_cannot_carry_another_one(value: bytes) -> None:
    async def app(_: Any, __: Any, send: Any) -> None:
        await send({**START, "headers": [(b"content-length", b"0"), (b"x-meta", value)]})
        await send({"type": "http.response.body"})

    answer = asked(app, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"set-cookie" not in answer


@pytest.mark.parametrize("sent", ["nothing", "head", "half", "too much"])
def test_an_application_that_fails_costs_its_connection_only(sent: str) -> None:
    async def app(scope: Any, _: Any, send: Any) -> None:
        if sent == "nothing" and scope["path"] == "/bad":
            raise ValueError
        await send({**START, "headers": [(b"content-length", b"4")]})
        if scope["path"] == "/bad":
            if sent == "head":
                raise ValueError
            more = sent == "half"
            await send({"type": "http.response.body", "body": b"ab" if more else b"abcdef", "more_body": more})
            raise ValueError
        await send({"type": "http.response.body", "body": b"good"})

    async def run() -> None:
        async with answering(app) as listener:
            bad = await exchange(listener, b"GET /bad HTTP/1.1\r\nHost: x\r\n\r\n")
            if sent == "half":
                assert bad.endswith(b"\r\n\r\nab")
            else:
                assert bad.startswith(b"HTTP/1.1 500 ")
            good = await exchange(listener, b"GET / HTTP/1.1\r\nHost: x\r\n" + CLOSE)
            assert good.endswith(b"\r\n\r\ngood")

    asyncio.run(run())


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Answers before the body, as a vault on a full disk does."""
    headers = [(b"content-length", b"4"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b"full"})


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_an_answer_reaches_a_client_that_is_still_sending(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    def ask(number: int) -> bytes:
        length = 8 << 20
        with socket.create_connection(("127.0.0.1", number), timeout=10) as client:
            client.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % length)
            for _ in range(64):
                client.sendall(bytes(length // 64))
            return b"".join(iter(lambda: client.recv(4096), b""))

    async def run() -> None:
        async with answering(refuse) as listener:
            number = listener.servers[0].sockets[0].getsockname()[1]
            for _ in range(20):
                answer = await asyncio.to_thread(ask, number)
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert answer.endswith(b"\r\n\r\nfull")

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


def test_an_early_answer_does_not_hold_the_connection_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.connection.LINGER_S", 0.5)
    head = b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\n"

    async def run() -> None:
        async with answering(refuse, limits=LimitsSection(idle_s=3600)) as listener:
            reader, writer = await asyncio.open_connection(*listener.servers[0].sockets[0].getsockname())
            writer.write(head)
            assert (await reader.read()).endswith(b"full")  # the server will say no more
            while listener.server_state.connections:  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(0.05)
            writer.close()

    asyncio.run(run())
