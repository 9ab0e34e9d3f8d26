"""One connection to the S3 port, spoken by hand."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.integration.s3.calls import PATIENCE, signed

if TYPE_CHECKING:
    from tests.integration.served import Server


class Connection:
    """One connection, spoken by hand."""

    def __init__(self, server: Server) -> None:
        place = urlsplit(server.endpoint)
        self._server = server
        self._socket = socket.create_connection((str(place.hostname), int(place.port or 0)), timeout=PATIENCE)
        self._file = self._socket.makefile("rb")

    def head(self, method: str, target: str, headers: dict[str, str], *, sign: bytes | None = b"") -> None:
        sent = headers if sign is None else signed(self._server, method, target, headers, sign)
        host = {} if "host" in {name.lower() for name in sent} else {"Host": urlsplit(self._server.endpoint).netloc}
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in {**host, **sent}.items())]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        status = int(self._file.readline().split()[1])
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(": ")
            headers[name.lower()] = value
        return status, headers, self._file.read(int(headers.get("content-length", 0)))

    def ended(self) -> bool:
        return self._file.read(1) == b""

    def close(self) -> None:
        self._file.close()
        self._socket.close()
