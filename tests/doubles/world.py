"""A whole service on an in-memory ledger, with real keys and real blobs in a directory."""

from __future__ import annotations

import asyncio
import inspect
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tests.doubles.keys import FixedKek
from tests.doubles.ledger import START, MemoryLedger
from vault.checksums import BodyDigests
from vault.crypto.keyring import Keyring
from vault.crypto.secrets import SecretStore
from vault.record import Actor, Origin
from vault.service import Service, assemble
from vault.service.context import Caller, PutSpec
from vault.storage.blobs import BlobStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
    from pathlib import Path

    from tests.doubles.ledger import Kept
    from vault.checksums import Algorithm
    from vault.errors import S3Error
    from vault.record import LockRef
    from vault.service.core import Core
    from vault.service.reading import Wanted
    from vault.service.results import GetResult, PutResult

T = TypeVar("T")


def caller(principal_id: str = "ada", *roles: str) -> Caller:
    return Caller(Actor(principal_id, roles=roles or ("root",)), Origin("s3", "R1", "192.0.2.7"), "PUT /x", START)


ADA = caller()


class Checks:
    """Claims of a body that are all true, or the refusal that says which is not."""

    def __init__(self, algorithm: Algorithm | None = None, refusal: S3Error | None = None) -> None:
        self._digests = BodyDigests(algorithm)
        self._refusal = refusal

    @property
    def digests(self) -> BodyDigests:
        return self._digests

    def verify(self) -> None:
        if self._refusal is not None:
            raise self._refusal


async def pieces(data: bytes | Iterable[bytes], size: int = 64 * 1024) -> AsyncIterator[bytes]:
    """A body as a connection delivers it."""
    if not isinstance(data, bytes):
        for piece in data:
            yield piece
        return
    for start in range(0, len(data), size):
        await asyncio.sleep(0)
        yield data[start : start + size]


@dataclass
class World:
    """Everything a test of the service looks at."""

    ledger: MemoryLedger
    core: Core
    service: Service
    blobs: BlobStore
    keyring: Keyring
    secrets: SecretStore
    directory: Path

    @property
    def last(self) -> Kept:
        return self.ledger.records[-1]

    async def one(self, operation: Coroutine[object, object, T]) -> T:
        """Run an operation that must make exactly one record, whatever comes of it."""
        before = len(self.ledger.records)
        try:
            return await operation
        finally:
            assert len(self.ledger.records) == before + 1

    async def put(
        self, key: str, data: bytes, *, bucket: str = "ledgers", lock: LockRef | None = None, if_match: str = ""
    ) -> PutResult:
        spec = PutSpec(bucket=bucket, key=key, length=len(data), checks=Checks(), lock=lock, if_match=if_match)
        return await self.one(self.service.objects.put(ADA, spec, pieces(data)))

    async def get(self, wanted: Wanted) -> tuple[GetResult, bytes]:
        result = await self.one(self.service.objects.get(ADA, wanted))
        assert result.body is not None
        return result, b"".join([piece async for piece in result.body])

    def forget(self) -> None:
        """Let go of remembered content documents, as a restart does."""
        self.core.documents._known.clear()

    def files(self) -> set[str]:
        """Files of the blob store."""
        found = [path for name in ("blobs", "stage") for path in (self.directory / name).rglob("*") if path.is_file()]
        return {str(path.relative_to(self.directory)) for path in found}


def run(directory: Path, test: Callable[[World], Coroutine[object, object, T]]) -> T:
    """Run a test against a new world, then check that it ended as the ports ask.

    There are principals ``ada`` (root), ``bob`` (reader) and ``eve`` (owner), and no bucket yet.
    """

    async def main() -> T:
        ledger = MemoryLedger()
        for name, role in (("ada", "root"), ("bob", "reader"), ("eve", "owner")):
            ledger.add_principal(name, role)
        (directory / "secrets").mkdir()
        keyring = Keyring.create(directory, FixedKek())
        secrets = SecretStore(directory / "secrets", keyring)
        blobs = BlobStore(directory)
        blobs.sweep(lambda _: True)
        with ThreadPoolExecutor(4) as pool:
            core = assemble(journal=ledger, state=ledger.state, bodies=ledger, blobs=blobs, keyring=keyring, pool=pool)
            world = World(ledger, core, Service.of(core, secrets), blobs, keyring, secrets, directory)
            result = await test(world)
            await asyncio.to_thread(ledger.stop)  # and what it answered is delivered
        ledger.check()
        return result

    return asyncio.run(main())


def served(test: Callable[..., Coroutine[object, object, None]]) -> Callable[..., None]:
    """Make a test of an asynchronous function whose first parameter is a :class:`World`."""

    def synchronous(tmp_path: Path, **parameters: object) -> None:
        run(tmp_path, lambda world: test(world, **parameters))

    own = list(inspect.signature(test).parameters.values())[1:]
    place = inspect.Parameter("tmp_path", inspect.Parameter.KEYWORD_ONLY)
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    synchronous.__signature__ = inspect.Signature([place, *own])  # type: ignore[attr-defined]
    synchronous.__name__, synchronous.__module__ = test.__name__, test.__module__
    return synchronous
