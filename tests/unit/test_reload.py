"""A reload and its record: which comes first, and what happens without it. With a server: ``tests/integration``."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest

from audit.config import AuditSection, LimitsSection, S3Section, Settings
from audit.listener import Listener, bind
from audit.reload import AT_RUN_TIME, Reloader, by_name
from tests.doubles.certificates import Authority, fingerprint
from vault.errors import OutcomeUnknown, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vault.record import Tail


async def nothing(*_: object) -> None:
    """What the ports serve."""


def test_what_may_change_are_settings() -> None:
    assert by_name(Settings()).keys() >= AT_RUN_TIME


class Reloaded:
    """Two ports, the first one over TLS; its certificate and the limits are renewed, and one reload is done."""

    def __init__(self, home: Path, commit: Callable[[Tail], None]) -> None:
        authority = Authority(home)
        cert, key = authority.issue("server")
        s3 = S3Section(listen="127.0.0.1:0", tls_cert_file=str(cert), tls_key_file=str(key))
        audit = AuditSection(listen="127.0.0.1:0")
        before, after = (Settings(s3=s3, audit=audit, limits=LimitsSection(idle_s=idle)) for idle in (60, 61))
        self.recorded: list[Tail] = []
        self.before, self.after = fingerprint(cert), ""
        self.in_force: list[tuple[str, int]] = []

        def record(tail: Tail) -> None:
            self._look()
            self.recorded.append(tail)
            commit(tail)

        async def run() -> None:
            bound = {name: bind(name, port) for name, port in before.ports}
            self.listeners = {name: Listener(nothing, one, before.limits) for name, one in bound.items()}
            self.after = fingerprint(authority.issue("server")[0])
            self.reloader = Reloader(before, self.listeners, read=lambda: after, allow=lambda _: None, commit=record)
            await self.reloader.reload()
            self._look()
            for one in bound.values():
                one.close()

        asyncio.run(run())

    def _look(self) -> None:
        tls = self.listeners["s3"].tls
        assert tls is not None
        self.in_force.append((tls.fingerprint, self.listeners["s3"].config.timeout_keep_alive))


def test_what_is_recorded_takes_effect_and_not_before(tmp_path: Path) -> None:
    done = Reloaded(tmp_path, lambda _: None)
    assert done.in_force == [(done.before, 60), (done.after, 61)]
    (tail,) = done.recorded
    assert (tail.op, tail.actor.id, tail.origin.via) == ("server.reload", "system", "server")
    assert tail.server is not None
    assert tail.server.s3 is not None
    assert (tail.server.s3.certificate, tail.server.audit) == (done.after, None)
    assert str(tmp_path).encode() not in msgspec.json.encode(tail)
    assert all("expires" in notice for notice in done.reloader.notices())


@pytest.mark.parametrize("error", [Unavailable("no room"), OutcomeUnknown("the disk failed")], ids=str)
def test_without_its_record_a_reload_has_no_effect(tmp_path: Path, error: Exception) -> None:
    def fail(_: Tail) -> None:
        raise error

    done = Reloaded(tmp_path, fail)
    assert done.in_force == [(done.before, 60)] * 2
    assert (
        done.reloader.notices()[0] == f"the last reload was refused, and what was in force before it still is: {error}"
    )
