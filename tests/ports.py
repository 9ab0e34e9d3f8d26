"""Ports of this machine for servers of tests that keep theirs from start to start.

They lie below those that Linux gives to connections, and each of the processes that run tests has some of its own: a
port that is free now is given to nobody else before its server has it, nor while its server is down.
"""

from __future__ import annotations

import os
import random
import socket
from itertools import cycle
from typing import TYPE_CHECKING, Final

from compose.lab.kafka import CONTROLLER, HOST

if TYPE_CHECKING:
    from collections.abc import Iterator

_SERVERS: Final = range(10_000, 20_000)
#: With those of controllers, which are higher by so many, still below those of connections.
_BROKERS: Final = range(20_000, 32_768 - CONTROLLER)


def _own(ports: range) -> Iterator[int]:
    """This process's part of them, over and over, from any of them on."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    own = ports[number :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    start = random.SystemRandom().randrange(len(own))
    return cycle([*own[start:], *own[:start]])


_servers: Final = _own(_SERVERS)
_brokers: Final = _own(_BROKERS)


def free_port() -> int:
    """A port for a server."""
    return next(port for port in _servers if _free(port))


def broker_ports(count: int) -> list[int]:
    """Ports for brokers, whose controllers' are free as well."""
    found: list[int] = []
    while len(found) < count:
        port = next(_brokers)
        if _free(port) and _free(port + CONTROLLER):
            found.append(port)
    return found


def _free(port: int) -> bool:
    with socket.socket() as tried:
        try:
            tried.bind((HOST, port))
        except OSError:
            return False
        return True
