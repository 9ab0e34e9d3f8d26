"""One port for real: its bounds, its TLS, and how it stops."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import uvloop

from audit.config import LimitsSection, PortSection
from audit.connection import MAX_HEAD_BYTES
from audit.errors import ConfigInvalid
from audit.listener import Listener, bind
from tests.doubles.certificates import Authority
from vault.s3.body import READY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LOOPBACK = PortSection(listen="127.0.0.1:0")
LIMITS = LimitsSection(idle_s=1, stop_s=1)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n"


class Echo:
    """Answers with the peer's address and the length of the body; ``/wait`` waits for ``go``."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.waiting = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        length = 0
        more = True
        while more:
            message = await receive()
            length += len(message.get("body", b""))
            more = message.get("more_body", False)
        if scope["path"] == "/wait":
            self.waiting.set()
            await self.go.wait()
        body = f"{scope['client'][0]} {scope['scheme']} {length}".encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def answering(app: Any, port: PortSection = LOOPBACK, limits: LimitsSection = LIMITS) -> AsyncIterator[Listener]:
    listener = Listener(app, bind("s3", port), limits)
    async with asyncio.TaskGroup() as running:
        task = running.create_task(listener.run_until_stopped())
        await listener.ready.wait()
        yield listener
        listener.stop()
        await task


async def exchange(listener: Listener, *pieces: bytes) -> bytes:
    """Send bytes, then read until the server closes."""
    host, port = listener.servers[0].sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(host, port)
    received = b""
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        received = await reader.read()
    except ConnectionError:
        pass  # it closed while we still sent
    finally:
        writer.close()
    return received


def test_a_head_longer_than_allowed_is_refused_also_before_it_ends() -> None:
    async def run() -> None:
        async with answering(Echo()) as listener:
            whole = GET + b"X: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n"
            endless = [GET + b"X: ", *[b"x" * 16384] * 40]
            many = [GET, *[b"X: y\r\n" * 4096] * 16]
            for pieces in ([whole], endless, many, [b"GET /" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\n\r\n"]):
                answer = await exchange(listener, *pieces)
                assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
                assert b"200" not in answer

    asyncio.run(run())


def test_a_head_as_long_as_allowed_and_a_body_of_any_length_are_taken() -> None:
    async def run() -> None:
        async with answering(Echo()) as listener:
            head = GET + b"X: " + b"x" * (MAX_HEAD_BYTES - 100) + b"\r\nConnection: close\r\n\r\n"
            assert (await exchange(listener, head)).endswith(b"127.0.0.1 http 0")
            body = b"y" * (20 * MAX_HEAD_BYTES)
            post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % len(body)
            both = await exchange(listener, post + b"\r\n", body, post + b"Connection: close\r\n\r\n", body)
            assert both.count(b"127.0.0.1 http %d" % len(body)) == 2

    asyncio.run(run())


def test_a_request_is_told_when_it_need_not_wait_for_its_body() -> None:
    told = []
    begun = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        ready = scope["extensions"][READY]["body"]
        told.append((scope["path"], ready()))
        if scope["path"] == "/head":
            begun.set()
        while (await receive()).get("more_body"):
            pass
        told.append((scope["path"], ready()))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def run() -> None:
        async with answering(app) as listener:
            whole, head = (b"PUT /%b HTTP/1.1\r\nContent-Length: 4\r\n\r\n" % name for name in (b"whole", b"head"))
            sending = asyncio.create_task(exchange(listener, whole + b"body" + head))
            await begun.wait()
            sending.cancel()

    asyncio.run(run())
    assert told[:3] == [("/whole", True), ("/whole", True), ("/head", False)]


@pytest.mark.parametrize("sent", [b"", b"G", GET], ids=["nothing", "a letter", "half a head"])
def test_a_head_that_does_not_arrive_in_time_ends_the_connection(sent: bytes) -> None:
    async def run() -> None:
        async with answering(Echo()) as listener:
            assert await exchange(listener, sent) == b""

    asyncio.run(run())


def test_forwarded_headers_do_not_change_who_the_peer_is() -> None:
    async def run() -> None:
        async with answering(Echo()) as listener:
            forged = GET + b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"
            answer = await exchange(listener, forged)
            assert answer.endswith(b"127.0.0.1 http 0")
            assert b"server:" not in answer.lower()

    asyncio.run(run())


def test_more_connections_than_allowed_are_answered_503() -> None:
    async def run() -> None:
        app = Echo()
        async with answering(app, limits=LimitsSection(connections=1)) as listener:
            first = asyncio.create_task(exchange(listener, b"GET /wait HTTP/1.1\r\nConnection: close\r\n\r\n"))
            await app.waiting.wait()
            assert (await exchange(listener, GET + b"\r\n")).startswith(b"HTTP/1.1 503 ")
            app.go.set()
            assert (await first).startswith(b"HTTP/1.1 200 ")

    asyncio.run(run())


def test_a_stop_waits_for_what_is_in_flight() -> None:
    async def run() -> None:
        app = Echo()
        async with answering(app, limits=LimitsSection(stop_s=60)) as listener:
            asked = asyncio.create_task(exchange(listener, b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"))
            await app.waiting.wait()
            listener.stop()
            await asyncio.sleep(0.3)  # it has closed its door by then, or will
            app.go.set()
            assert (await asked).startswith(b"HTTP/1.1 200 ")

    asyncio.run(run())


@pytest.mark.parametrize("again", [True, False], ids=["second signal", "time is over"])
def test_a_stop_does_not_wait_for_ever(again: bool) -> None:  # noqa: FBT001 - a table's column
    async def run() -> None:
        app = Echo()
        async with answering(app, limits=LimitsSection(stop_s=3600)) as listener:
            asked = asyncio.create_task(exchange(listener, b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"))
            await app.waiting.wait()
            listener.stop(None if again else 1)
            if again:
                listener.stop()
            if not again:
                assert b"200" not in await asked
        app.go.set()
        await asked

    asyncio.run(run())


def test_tls_is_spoken_where_it_is_configured_and_only_there(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).issue("server")
    trust = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    port = PortSection(listen="0.0.0.0:0", tls_cert_file=str(cert), tls_key_file=str(key))

    async def run() -> None:
        async with answering(Echo(), port) as listener, httpx.AsyncClient(verify=trust) as client:
            number = listener.servers[0].sockets[0].getsockname()[1]
            assert (await client.get(f"https://127.0.0.1:{number}")).text == "127.0.0.1 https 0"
            with pytest.raises(httpx.HTTPError):
                await client.get(f"http://127.0.0.1:{number}")

    asyncio.run(run())


@pytest.mark.timeout(25)  # seconds; TLS itself would give it 30
def test_a_client_that_keeps_an_idle_tls_connection_does_not_hold_up_the_end(tmp_path: Path) -> None:
    cert, key = Authority(tmp_path).issue("server")
    trust = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    port = PortSection(listen="127.0.0.1:0", tls_cert_file=str(cert), tls_key_file=str(key))

    def ask(number: int) -> ssl.SSLSocket:
        client = trust.wrap_socket(socket.create_connection(("127.0.0.1", number)), server_hostname="127.0.0.1")
        client.sendall(GET + b"\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        return client

    async def run() -> None:
        async with answering(Echo(), port, limits=LimitsSection(stop_s=3600)) as listener:
            idle = await asyncio.to_thread(ask, listener.servers[0].sockets[0].getsockname()[1])
        idle.close()

    uvloop.run(run())


def test_clients_show_a_certificate_where_one_is_asked_for(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("server")
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    port = PortSection(
        listen="127.0.0.1:0", tls_cert_file=str(cert), tls_key_file=str(key), tls_client_ca_file=str(authority.ca)
    )

    async def run() -> None:
        async with answering(Echo(), port) as listener:
            number = listener.servers[0].sockets[0].getsockname()[1]
            for shown, welcome in (
                (authority.issue("client"), True),
                (Authority(stranger).issue("x"), False),
                (None, False),
            ):
                trust = ssl.create_default_context(cafile=authority.ca)
                if shown is not None:
                    trust.load_cert_chain(*shown)
                async with httpx.AsyncClient(verify=trust) as client:
                    if welcome:
                        assert (await client.get(f"https://127.0.0.1:{number}")).status_code == 200
                    else:
                        with pytest.raises(httpx.HTTPError):
                            await client.get(f"https://127.0.0.1:{number}")

    asyncio.run(run())


def test_a_bound_port_says_where_it_is_and_refuses_until_it_answers() -> None:
    bound = bind("s3", LOOPBACK)
    port = bound.socket.getsockname()[1]
    assert bound.url == f"http://127.0.0.1:{port}"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    bound.socket.listen()
    with pytest.raises(ConfigInvalid, match=r"s3\.listen: '127\.0\.0\.1:\d+' cannot be bound"):
        bind("s3", PortSection(listen=f"127.0.0.1:{port}"))
    bound.close()


def test_of_two_that_bound_the_same_port_the_slower_one_is_told() -> None:
    faster = bind("s3", LOOPBACK)
    slower = bind("s3", PortSection(listen=f"127.0.0.1:{faster.socket.getsockname()[1]}"))
    faster.socket.listen()
    with pytest.raises(ConfigInvalid, match="cannot be listened on"):
        asyncio.run(Listener(Echo(), slower, LIMITS).run_until_stopped())
    slower.close()
    faster.close()


def test_a_name_for_loopback_that_means_another_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("0.0.0.0", 0))  # noqa: S104 - what is to be refused
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [elsewhere])
    with pytest.raises(ConfigInvalid, match="plaintext is refused"):
        bind("s3", PortSection(listen="localhost:0"))
