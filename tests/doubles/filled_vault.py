"""An open vault whose objects are stored through its own service, and productions of them, step by step."""

from __future__ import annotations

import asyncio
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self, TypeVar

from audit.own_objects import acting_for, service_of
from audit.production.contents import Progress, fill
from audit.production.create import ask
from audit.production.keep import Asker
from audit.production.question import Question, judged
from audit.production.state import State
from tests.doubles.whole_node import HERE, make, open_node
from tests.doubles.world import Checks, pieces
from tests.integration.served import command
from vault.policy import SYSTEM
from vault.record import Actor
from vault.service.context import CompletedPart, PutSpec, UploadSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from audit.production.state import Made
    from vault.service import Service
    from vault.service.context import Caller

T = TypeVar("T")
SERVER = Actor(SYSTEM)


class FilledVault:
    """A context manager. Makes ``root``, and ``bucket``, where everything is; without ``lock`` it keeps no versions."""

    def __init__(self, root: Path, bucket: str = "trades", *, lock: bool = True) -> None:
        make(root)
        self.root = root
        self.bucket = bucket
        self.node = open_node(root)
        self._asked = 0
        self._run(lambda service, caller: service.buckets.create(caller, bucket, lock=lock, strict=False))

    def recover(self, before: Path) -> None:
        """Lose what came after a copy was made of a closed vault, and go on with that in a new stream."""
        self.node.close()
        shutil.rmtree(self.root)
        before.rename(self.root)
        assert command("recover", "--data", self.root).returncode == 0
        self.node = open_node(self.root)

    def copied(self, to: Path) -> Path:
        """A copy of it, closed in between."""
        self.node.close()
        shutil.copytree(self.root, to)
        self.node = open_node(self.root)
        return to

    def put(self, key: str, data: bytes) -> str:
        """Store an object; its version's id."""
        spec = PutSpec(bucket=self.bucket, key=key, length=len(data), checks=Checks())
        return self._run(lambda service, caller: service.objects.put(caller, spec, pieces(data))).version_id

    def delete(self, key: str, version_id: str = "") -> None:
        self._run(lambda service, caller: service.objects.delete(caller, self.bucket, key, version_id))

    def upload(self, key: str, *, complete: bool = True) -> None:
        """Store an object in one part, or leave it at that."""

        async def upload(service: Service, caller: Caller) -> None:
            made = await service.uploads.create(caller, UploadSpec(bucket=self.bucket, key=key))
            named = self.bucket, key, made.upload_id
            part = await service.uploads.part(caller, *named, 1, 3, Checks(), pieces(b"abc"))
            if complete:
                await service.uploads.complete(caller, *named, [CompletedPart(1, part.etag)], size=3)

        self._run(upload)

    def ask(self, root: Path, **asked: Any) -> State:
        """Ask for a production in a directory."""
        self._asked += 1
        question = judged(Question("a reason", self.bucket, **asked))
        return ask(self.node, Asker(SERVER, HERE), State(f"{self._asked:016x}", question, SERVER, -1), root)

    def fill(self, state: State, root: Path) -> Made:
        return fill(self.node, state, root, Progress())

    def _run(self, operation: Callable[[Service, Caller], Coroutine[object, object, T]]) -> T:
        async def main(pool: ThreadPoolExecutor) -> T:
            service = service_of(self.node, pool)
            try:
                return await operation(service, acting_for(SERVER, HERE, "", time.time_ns()))
            finally:
                await service.core.commits.drained()

        with ThreadPoolExecutor(2) as pool:
            return asyncio.run(main(pool))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.node.close()
