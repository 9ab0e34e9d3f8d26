"""Requests made before the clock runs, over a plain socket: a client that takes next to nothing of the machine."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from tests.demo.server import Failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def answers(address: str, requests: Iterable[bytes]) -> Iterator[bytes]:
    """Send requests one after the other over one connection, each when the answer to the one before was taken.

    Args:
        address: Host and port.
        requests: Each whole, head and body.

    Yields:
        The body of each answer.

    Raises:
        Failed: One was not answered 200.
    """
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port))) as connection, connection.makefile("rb") as received:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for request in requests:
            connection.sendall(request)
            status, length = received.readline(), 0
            while (line := received.readline()) not in {b"\r\n", b""}:
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            answer = received.read(length)
            if b" 200 " not in status:
                raise Failed(f"{status.decode().strip()}: {answer[:1000].decode()}")
            yield answer
