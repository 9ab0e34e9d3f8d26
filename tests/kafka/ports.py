"""Ports of this machine that are free for brokers."""

from __future__ import annotations

import socket
from typing import Final

from compose.lab import kafka

#: Below the ports that Linux gives to connections by default, with those of controllers, which are higher.
_HIGHEST: Final = 32_767 - kafka.CONTROLLER
_LOWEST: Final = 20_000


def free_ports(count: int) -> list[int]:
    """Ports for brokers, whose controllers' are free as well."""
    found: list[int] = []
    while len(found) < count:
        with socket.socket() as any_port:
            any_port.bind((kafka.HOST, 0))
            port = _LOWEST + any_port.getsockname()[1] % (_HIGHEST - _LOWEST)
        if port not in found and _free(port) and _free(port + kafka.CONTROLLER):
            found.append(port)
    return found


def _free(port: int) -> bool:
    with socket.socket() as tried:
        try:
            tried.bind((kafka.HOST, port))
        except OSError:
            return False
        return True
