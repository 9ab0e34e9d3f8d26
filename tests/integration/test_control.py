"""The control socket for real: kernel, both ends, and peers that misbehave."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from audit.control import server as server_module
from audit.control.client import Client
from audit.control.messages import MAX_REQUEST_BYTES, Status, decode_reply, encode
from audit.control.place import reachable
from audit.control.server import ControlServer
from audit.errors import ControlFailed
from tests.doubles.node import IDENTITY, FakeNode
from vault.errors import S3Error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

STREAM = IDENTITY.stream


@asynccontextmanager
async def serving(node: FakeNode, path: Path) -> AsyncIterator[ControlServer]:
    control = ControlServer(node.node, path)
    await control.start()
    try:
        yield control
    finally:
        await control.stop()


def with_server(node: FakeNode, path: Path, work: Callable[[], None]) -> None:
    """Do ``work`` in a thread while a server answers at ``path``."""

    async def run() -> None:
        async with serving(node, path):
            await asyncio.to_thread(work)

    asyncio.run(run())


def client(path: Path) -> Client:
    connected = Client.connect(path)
    assert connected is not None
    return connected


def exchange(path: Path, data: bytes) -> bytes:
    """Send bytes and read until the server closes."""
    with socket.socket(socket.AF_UNIX) as raw:
        with reachable(path) as place:
            raw.connect(place)
        raw.settimeout(30)
        try:
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has closed already, which is what we came to see
        received = b""
        while True:
            try:
                piece = raw.recv(65536)
            except ConnectionResetError:
                return received
            if not piece:
                return received
            received += piece


def test_a_client_uses_every_order_over_one_connection(tmp_path: Path) -> None:
    node = FakeNode()
    node.write(600)

    def work() -> None:
        with client(tmp_path / "socket") as control:
            assert control.status() == node.status()
            assert control.add_principal("bob", ["writer"], "BOB", "").secret_key == "made-up-secret"
            with pytest.raises(S3Error, match="in use already"):
                control.add_principal("eve", ["writer"], "BOB", "")
            control.disable_principal("BOB")
            assert control.principals() == node.principals_
            assert not node.principals_[0].enabled
            assert control.key_material() == node.material()
            assert control.record_key_backup(node.keys) == f"{STREAM}/7"
            assert control.rotate_kek("new").keys.before == "12345678"
            assert list(control.records(STREAM, 0, 600)) == node.written
            assert list(control.records(STREAM, 250, 520)) == node.written[250:520]
            with pytest.raises(ControlFailed, match="there is no record 600"):
                list(control.records(STREAM, 0, 601))
            with pytest.raises(ControlFailed, match="no such stream"):
                list(control.records("another", 0, 1))

    with_server(node, tmp_path / "socket", work)
    assert all(actor.person.endswith(f"(uid {os.getuid()})") for actor in node.actors)


def test_nobody_listens_where_no_server_is_and_a_dead_ones_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    assert Client.connect(path) is None
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert Client.connect(path) is None

    def work() -> None:
        with client(path) as control:
            assert control.status().ready

    with_server(FakeNode(), path, work)
    assert not path.exists()


def test_the_socket_is_its_owners_alone_however_long_its_path(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 100) / ("e" * 100) / "socket"
    path.parent.mkdir(parents=True)

    def work() -> None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with client(path) as control:
            assert control.status().ready

    with_server(FakeNode(), path, work)


def test_another_user_is_refused_and_told_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_peer_uid", lambda _: 12345)

    def work() -> None:
        with client(tmp_path / "socket") as control, pytest.raises(ControlFailed, match="own user and root"):
            control.status()

    with_server(FakeNode(), tmp_path / "socket", work)


@pytest.mark.parametrize("data", [b"", b"\0", b"{", b'{"op":"status"}', b"x" * (MAX_REQUEST_BYTES * 2)])
def test_a_line_that_has_no_end_is_not_answered(tmp_path: Path, data: bytes) -> None:
    answers: list[bytes] = []
    with_server(FakeNode(), tmp_path / "socket", lambda: answers.append(exchange(tmp_path / "socket", data)))
    assert answers == [b""]


def test_requests_sent_at_once_are_answered_in_order(tmp_path: Path) -> None:
    answers: list[bytes] = []
    data = encode(Status()) + b"nonsense\n" + encode(Status())
    with_server(FakeNode(), tmp_path / "socket", lambda: answers.append(exchange(tmp_path / "socket", data)))
    errors = [decode_reply(line).error for line in answers[0].splitlines()]
    assert [error is None for error in errors] == [True, False, True]


def test_more_peers_than_allowed_are_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_PEERS", 1)

    def work() -> None:
        with client(tmp_path / "socket") as first:
            assert first.status().ready
            with client(tmp_path / "socket") as second, pytest.raises(ControlFailed, match="too many"):
                second.status()
            assert first.status().ready

    with_server(FakeNode(), tmp_path / "socket", work)


def test_a_server_that_stops_ends_idle_conversations(tmp_path: Path) -> None:
    path = tmp_path / "socket"

    async def run() -> None:
        async with serving(FakeNode(), path):
            control = await asyncio.to_thread(client, path)
            assert (await asyncio.to_thread(control.status)).ready
        with pytest.raises(ControlFailed):
            await asyncio.to_thread(control.status)
        control.__exit__()

    asyncio.run(run())
