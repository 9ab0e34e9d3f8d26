"""A running server's reload: TLS files and configuration are read again, judged whole, recorded, and then in force.

    read and judge everything → ``server.reload`` is durable → new connections are under it

Whatever cannot be used leaves all as it was, in one line of the log that says why, and as a warning of ``/readyz``
until a reload succeeds. Without its record a reload has no effect; what cannot fail comes after the record.

A setting that may not change here means something else to what is already open, or would change what an address
promises to those who know it: that takes a start. TLS itself is such a promise, so it is neither begun nor ended here.

Not handled here: the signal (``audit.hangup``), what makes a TLS file good (``audit.tls``).
"""

from __future__ import annotations

import asyncio
import logging
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from audit.errors import AuditError, ConfigInvalid
from audit.tls import Tls, expiring, load
from vault.errors import S3Error, VaultError
from vault.policy import SYSTEM
from vault.record import Actor, Origin, ServerRef, Tail, TlsRef

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audit.config import Settings
    from audit.listener import Listener

_log: Final = logging.getLogger(__name__)

#: The settings that a reload may change; README's table marks them.
AT_RUN_TIME: Final = frozenset(
    {
        "s3.tls_cert_file", "s3.tls_key_file", "s3.tls_client_ca_file",
        "audit.tls_cert_file", "audit.tls_key_file", "audit.tls_client_ca_file",
        "limits.connections", "limits.idle_s", "limits.stop_s",
    }
)  # fmt: skip


class Reloader:
    """Reloads one server. The event loop's own.

    Args:
        settings: In force.
        listeners: By the name of their section.
        read: Reads the configuration again, as at the start. Called in another thread.
        allow: Refuses settings that this process cannot serve, by ConfigInvalid.
        commit: Makes a record durable. Called in another thread.
    """

    def __init__(
        self,
        settings: Settings,
        listeners: Mapping[str, Listener],
        *,
        read: Callable[[], Settings],
        allow: Callable[[Settings], None],
        commit: Callable[[Tail], object],
    ) -> None:
        self._settings = settings
        self._listeners = listeners
        self._read = read
        self._allow = allow
        self._commit = commit
        self._refused = ""
        self._turn = asyncio.Lock()
        self._waits = False

    async def reload(self) -> None:
        """Reload, or say why not. One that is under way is waited for; one that waits already will read what is new."""
        if self._waits:
            return
        self._waits = True
        async with self._turn:
            self._waits = False
            try:
                settings, found = await asyncio.to_thread(self._judge)
                await asyncio.to_thread(self._commit, _tail(settings, found))
            except (AuditError, VaultError, S3Error) as error:
                self._refused = f"the last reload was refused, and what was in force before it still is: {error}"
                _log.error("%s", self._refused)
                return
            self._settings, self._refused = settings, ""
            for name, listener in self._listeners.items():
                listener.take(found[name], settings.limits)
            _log.info("reloaded: %s", ", ".join(_told(name, tls) for name, tls in found.items()))

    def notices(self) -> list[str]:
        """What somebody should look at: a reload that was refused, a certificate that ends soon. Any thread."""
        ports = self._settings.ports
        soon = [expiring(name, port, self._listeners[name].tls) for name, port in ports]
        return [text for text in (self._refused, *soon) if text]

    def _judge(self) -> tuple[Settings, dict[str, Tls | None]]:
        """Read everything again and judge it.

        Raises:
            ConfigInvalid: It cannot be used, or not without a start.
        """
        new = self._read()
        before, after = by_name(self._settings), by_name(new)
        fixed = [name for name in after if after[name] != before[name] and name not in AT_RUN_TIME]
        if fixed:
            raise ConfigInvalid(f"{', '.join(fixed)} can be changed by a restart only: restart, or take it back")
        for (name, port), (_, old) in zip(new.ports, self._settings.ports, strict=True):
            if port.tls != old.tls:
                raise ConfigInvalid(f"TLS of {name} is begun or ended by a restart only: restart, or take it back")
        self._allow(new)
        return new, {name: load(name, port) for name, port in new.ports}


def by_name(settings: Settings) -> dict[str, object]:
    """The value of each setting by its dotted name."""
    sections = msgspec.to_builtins(settings).items()
    return {f"{section}.{key}": value for section, values in sections for key, value in values.items()}


def _tail(settings: Settings, found: Mapping[str, Tls | None]) -> Tail:
    """The record's tail."""
    config = sha256(msgspec.json.encode(settings)).hexdigest()
    tls = {name: TlsRef(one.fingerprint, one.clients) for name, one in found.items() if one is not None}
    server = ServerRef(config, s3=tls.get("s3"), audit=tls.get("audit"))
    return Tail(op="server.reload", actor=Actor(SYSTEM), origin=Origin("server"), server=server)


def _told(name: str, tls: Tls | None) -> str:
    if tls is None:
        return f"{name} without TLS"
    return f"{name} with certificate SHA-256 {tls.fingerprint}, good until {tls.expires:%Y-%m-%d}"
