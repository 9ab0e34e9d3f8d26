"""Fills a vault in this process, past HTTP: records go through the real committer, tree, checkpoints and settling.

python -m tests.bench.fill DATA COUNT    fills it with a mixed load that no index sync covers, says so, and waits to be
                                         killed
"""

from __future__ import annotations

import sys
import time
from collections import deque
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final
from unittest import mock

from audit.background import Background
from audit.config import load
from audit.node import Node
from vault.manifest import VERSION, ContentDocument
from vault.ports import Committed, Intent
from vault.record import Actor, BucketConfig, ObjectRef, Origin, Request, Tail, encode_tail
from vault.service.sealing import Sealer, new_salt

if TYPE_CHECKING:
    from collections.abc import Callable

    from vault.errors import VaultError

BUCKET: Final = "filled"
#: Operations of one call of ``submit``, and calls in flight: the committer's groups become as large as they can.
_BATCH: Final = 512
_IN_FLIGHT: Final = 32
_UNTIL: Final = "2099-01-01T00:00:00.000000000Z"


class _Batch:
    """What became of the operations of one call; telling costs the committer next to nothing."""

    def __init__(self, size: int) -> None:
        self._outcomes: list[Committed | VaultError] = []
        self._answered = Event()
        self.done: list[Callable[[Committed | VaultError], None]] = [self._outcomes.append] * (size - 1)
        self.done.append(self._last)

    def _last(self, outcome: Committed | VaultError) -> None:
        self._outcomes.append(outcome)
        self._answered.set()

    def wait(self) -> None:
        """Wait until all are answered; groups are answered in order, so the last one comes last.

        Raises:
            RuntimeError: One was refused or not written.
        """
        self._answered.wait()
        for outcome in self._outcomes:
            if not isinstance(outcome, Committed) or outcome.error is not None:
                raise RuntimeError(f"an operation was not done: {outcome}")
            outcome.release()


def fill(node: Node, count: int, make: Callable[[int], Intent]) -> None:
    """Commit operations as fast as the committer takes them, and wait until the last one is durable.

    Args:
        node: Open.
        count: How many.
        make: Makes one, given its number.

    Raises:
        RuntimeError: One was refused or not written.
    """
    flying: deque[_Batch] = deque()
    for start in range(0, count, _BATCH):
        intents = [make(number) for number in range(start, min(start + _BATCH, count))]
        flying.append(_Batch(len(intents)))
        node.committer.submit(intents, flying[-1].done)
        if len(flying) > _IN_FLIGHT:
            flying.popleft().wait()
    for batch in flying:
        batch.wait()


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


def mixed(node: Node) -> Callable[[int], Intent]:
    """A mixed load on versions without content: of ten operations five PUT under COMPLIANCE, three GET, HEAD and LIST.

    One PUT of the five goes to a key that there is. It is what the index has to take in that costs a start its time.
    """
    (root,) = node.principals.all()
    actor = Actor(root.id, roles=root.roles)
    origin = Origin("s3", "0123456789ABCDEF", "127.0.0.1", "bench/1.0")
    bucket = Tail(
        op="bucket.create", actor=actor, origin=origin, object=ObjectRef(BUCKET), bucket=BucketConfig(lock=True)
    )
    node.commit(bucket)
    sealer = Sealer(node.keyring.take_or_make(BUCKET, 0))
    stored = sealer.logged(ContentDocument(v=VERSION, salt=new_salt(), size=0, etag=""), sealer.encrypt(b"", last=True))

    def put(number: int) -> Intent:
        named = ObjectRef(BUCKET, f"{number:09d}", size=0, content=stored.content)
        asked = Request(mode="COMPLIANCE", until=_UNTIL, http=f"PUT /{BUCKET}/{named.key}")
        tail = Tail(op="object.put", actor=actor, origin=origin, object=named, storage=stored.storage, request=asked)
        return Intent(tail, encode_tail(tail), stored.body)

    def read(op: str, number: int) -> Intent:
        named = ObjectRef(BUCKET, f"{number:09d}", range=(0, -1) if op == "object.get" else None)
        asked = Request(http=f"GET /{BUCKET}/{named.key}")
        tail = Tail(op=op, actor=actor, origin=origin, object=named, request=asked)
        return Intent(tail, encode_tail(tail))

    def listed() -> Intent:
        asked = Request(http=f"GET /{BUCKET}?list-type=2")
        tail = Tail(op="object.list", actor=actor, origin=origin, object=ObjectRef(BUCKET), request=asked)
        return Intent(tail, encode_tail(tail))

    def make(number: int) -> Intent:
        group, turn = divmod(number, 10)
        if turn < 4:
            return put(4 * group + turn)
        if turn == 4:
            return put(2 * group)
        if turn < 9:
            return read("object.head" if turn == 8 else "object.get", 4 * group + turn - 5)
        return listed()

    return make


def main() -> None:
    """Fill, and be killed."""
    never = mock.patch.object(Background, "_sync_index", return_value=False)
    with never, Node.open(Path(sys.argv[1]), load(None, {})) as node:
        fill(node, int(sys.argv[2]), mixed(node))
        print("filled", node.stores.index.applied - node.stores.index.synced, flush=True)
        time.sleep(3600)


if __name__ == "__main__":
    main()
