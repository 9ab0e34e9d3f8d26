"""HOST:PORT, as settings and URLs have it. Pure."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from audit.errors import ConfigInvalid


class Address(NamedTuple):
    """Where to listen. Port 0 lets the system choose."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Nobody beyond this machine reaches it; of names only ``localhost`` is believed."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``HOST:PORT`` or ``[IPV6]:PORT``.

        Raises:
            ConfigInvalid: It is neither.
        """
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = host[1:-1]
        elif ":" in host:
            raise ConfigInvalid(f"{text[:80]!r}: an IPv6 address stands in brackets, as in [::1]:9000")
        if not (colon and host and port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) < 65536):
            raise ConfigInvalid(f"{text[:80]!r} is not HOST:PORT, as in 127.0.0.1:9000")
        return cls(host, int(port))
