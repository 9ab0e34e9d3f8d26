"""Archives that are encrypted at one time: no more than may be, however they come."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pyrage
import pytest

from audit.production.container import recipients
from audit.production.handing import MAX_ENCRYPTED, Archives, TooManyEncrypted
from audit.production.keep import Asker, Kept
from vault.errors import Unavailable
from vault.record import Actor, Origin

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from vault.service import Service

ASKER = Asker(Actor("system"), Origin("audit"))
KEPT = Kept("strongroom-productions", "0.zip", "v", 3, "ab" * 32, "")
TO = recipients([str(pyrage.x25519.Identity.generate().to_public())])


class Reads:
    """Reads that take their time, as a record does before a byte is released; ``open`` are those not closed yet."""

    def __init__(self) -> None:
        self.open = 0
        self.fails: Unavailable | None = None

    async def get(self, *_: object) -> Any:
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        body = self._body()
        await anext(body)
        return SimpleNamespace(body=body)

    async def _body(self) -> AsyncGenerator[bytes, None]:
        self.open += 1
        try:
            yield b""
            yield b"zip"
        finally:
            self.open -= 1


def archives(reads: Reads) -> Archives:
    return Archives(cast("Service", SimpleNamespace(objects=reads)))


def test_as_many_are_encrypted_as_may_be_and_no_more() -> None:
    reads = Reads()
    of = archives(reads)

    async def ask() -> None:
        asked = [of.encrypted(ASKER, KEPT, TO) for _ in range(MAX_ENCRYPTED + 2)]
        got = await asyncio.gather(*asked, return_exceptions=True)
        bodies = [one for one in got if not isinstance(one, BaseException)]
        assert len(bodies) == reads.open == MAX_ENCRYPTED
        assert [type(one) for one in got[MAX_ENCRYPTED:]] == [TooManyEncrypted] * 2
        read = b"".join([piece async for piece in bodies[0]])  # one to its end, the others not even begun
        assert read.startswith(b"age-encryption.org/v1\n")
        for one in bodies:
            await one.aclose()
        assert reads.open == 0
        for _ in range(MAX_ENCRYPTED):
            await of.encrypted(ASKER, KEPT, TO)

    asyncio.run(ask())


def test_one_that_cannot_be_read_takes_nobodys_place() -> None:
    reads = Reads()
    reads.fails = Unavailable("not now")
    of = archives(reads)

    async def ask() -> None:
        for _ in range(MAX_ENCRYPTED + 1):
            with pytest.raises(Unavailable):
                await of.encrypted(ASKER, KEPT, TO)

    asyncio.run(ask())
