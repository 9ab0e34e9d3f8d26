"""Fills a vault in this process, past HTTP: records go through the real committer, tree, checkpoints and settling.

python -m tests.bench.fill DATA COUNT    fills it with small objects, says so, and waits to be killed
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from threading import Semaphore
from typing import TYPE_CHECKING, Final

from audit.config import load
from audit.node import Node
from vault.manifest import VERSION, ContentDocument
from vault.ports import Intent
from vault.record import Actor, BucketConfig, ObjectRef, Origin, Request, Tail, encode_tail
from vault.service.sealing import Sealer, new_salt

if TYPE_CHECKING:
    from collections.abc import Callable

    from vault.errors import VaultError
    from vault.ports import Committed

BUCKET: Final = "filled"
#: Operations in flight: the committer's groups become as large as they can.
_IN_FLIGHT: Final = 16_384
#: Operations of one call of ``submit``.
_BATCH: Final = 256
_UNTIL: Final = "2099-01-01T00:00:00.000000000Z"


def fill(node: Node, count: int, make: Callable[[int], Intent]) -> None:
    """Commit operations as fast as the committer takes them, and wait until the last one is durable.

    Args:
        node: Open.
        count: How many.
        make: Makes one, given its number.

    Raises:
        RuntimeError: One was refused or not written.
    """
    free = Semaphore(_IN_FLIGHT)
    wrong: list[object] = []

    def done(outcome: Committed | VaultError) -> None:
        if getattr(outcome, "head", None) is None or getattr(outcome, "error", None) is not None:
            wrong.append(outcome)
        free.release()

    for start in range(0, count, _BATCH):
        size = min(_BATCH, count - start)
        for _ in range(size):
            free.acquire()
        node.committer.submit([make(number) for number in range(start, start + size)], [done] * size)
    for _ in range(_IN_FLIGHT):
        free.acquire()
    if wrong:
        raise RuntimeError(f"{len(wrong)} of {count} operations were not done; the first: {wrong[0]}")


def events(node: Node) -> Callable[[int], Intent]:
    """Records of some 400 bytes that change nothing: somebody listed the buckets."""
    (root,) = node.principals.all()
    actor = Actor(root.id, roles=root.roles)
    asked = Request(http="GET /?max-buckets=1000")

    def make(number: int) -> Intent:
        origin = Origin("s3", f"{number:016X}", "127.0.0.1", "bench/1.0")
        tail = Tail(op="bucket.list", actor=actor, origin=origin, request=asked)
        return Intent(tail, encode_tail(tail))

    return make


def objects(node: Node) -> Callable[[int], Intent]:
    """Versions of ever new keys under COMPLIANCE, of an object without content: what the index has to take in."""
    (root,) = node.principals.all()
    actor = Actor(root.id, roles=root.roles)
    origin = Origin("s3", "0123456789ABCDEF", "127.0.0.1", "bench/1.0")
    bucket = Tail(
        op="bucket.create", actor=actor, origin=origin, object=ObjectRef(BUCKET), bucket=BucketConfig(lock=True)
    )
    node.commit(bucket)
    sealer = Sealer(node.keyring.take_or_make(BUCKET, 0))
    stored = sealer.logged(ContentDocument(v=VERSION, salt=new_salt(), size=0, etag=""), sealer.encrypt(b"", last=True))
    asked = Request(mode="COMPLIANCE", until=_UNTIL, http="PUT")

    def make(number: int) -> Intent:
        named = ObjectRef(BUCKET, f"{number:09d}", size=0, content=stored.content)
        tail = Tail(op="object.put", actor=actor, origin=origin, object=named, storage=stored.storage, request=asked)
        return Intent(tail, encode_tail(tail), stored.body)

    return make


def main() -> None:
    """Fill, and be killed."""
    with Node.open(Path(sys.argv[1]), load(None, {})) as node:
        fill(node, int(sys.argv[2]), objects(node))
        print("filled", flush=True)
        time.sleep(3600)


if __name__ == "__main__":
    main()
