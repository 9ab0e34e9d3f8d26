"""Fills a vault in this process, past HTTP: records go through the real committer, tree, checkpoints and settling.

python -m tests.bench.fill DATA COUNT    fills it with a mixed load that no index sync covers, says so, and waits to be
                                         killed
"""

from __future__ import annotations

import random
import sys
import time
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final
from unittest import mock

from audit.background import Background
from audit.clock import HostSource
from audit.config import load
from audit.ingest.events import MAX_BATCH_BYTES, Sender, batches, prepare
from audit.node import Node
from vault.foreign import IngestRef
from vault.manifest import VERSION, ContentDocument
from vault.policy import SYSTEM
from vault.ports import Committed, Intent
from vault.record import Actor, BucketConfig, ObjectRef, Origin, PrincipalRef, Request, Tail, encode_tail
from vault.service.sealing import Sealer, new_salt
from vault.state.ingest import Member
from vault.times import DAY_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from audit.discipline import Discipline
    from vault.errors import VaultError
    from vault.service.sealing import Stored

BUCKET: Final = "filled"
#: Operations of one call of ``submit``, and calls in flight: the committer's groups become as large as they can.
_BATCH: Final = 512
_IN_FLIGHT: Final = 32
#: Of :func:`long_turns`; the interpreter's own are 0.005.
_TURN_SECONDS: Final = 0.03
_UNTIL: Final = "2099-01-01T00:00:00.000000000Z"
#: Which doer comes next; it has no divisor in common with how operations repeat.
_STRIDE: Final = 7919
#: Events of one request, and what :func:`month` makes records of.
_EVENTS: Final = 10
_SOURCE: Final = "apps"
_EVENT: Final = b'{"id":"%d-%d","who":"clerk","action":"open","what":"/desk/%d","note":"seen by the clerk on duty"}'
#: Records of ten operations of :func:`month`.
MONTH_RECORDS: Final = 9 + 1 + _EVENTS


class Calendar:
    """Clocks that go on by a step whenever somebody looks: the days of a month in the minutes of a fill.

    Args:
        days: How many days pass, of which the last one is today.
        looks: How often somebody looks: as many records as there will be.
    """

    def __init__(self, days: int, looks: int) -> None:
        self._rng, self._longest = random.Random(3), 2 * days * DAY_NS // looks
        self._now = time.time_ns() - days * DAY_NS

    def wall(self) -> int:
        """The next instant: the committer looks once a record."""
        self._now += self._rng.randrange(self._longest)
        return self._now

    def monotonic(self) -> int:
        """The instant before the next: what was measured is what passed."""
        return self._now

    def discipline(self) -> Discipline:
        """What the kernel says."""
        return HostSource().discipline()


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

    def wait(self, *, refusals: bool) -> None:
        """Wait until all are answered; groups are answered in order, so the last one comes last.

        Raises:
            RuntimeError: One was not written, or refused where that is not expected.
        """
        self._answered.wait()
        for outcome in self._outcomes:
            if not isinstance(outcome, Committed) or (outcome.error is not None and not refusals):
                raise RuntimeError(f"an operation was not done: {outcome}")
            outcome.release()


def fill(node: Node, count: int, make: Callable[[int], Intent], *, first: int = 0, refusals: bool = False) -> None:
    """Commit operations as fast as the committer takes them, and wait until the last one is durable.

    Args:
        node: Open.
        count: How many.
        make: Makes one, given its number.
        first: Number of the first one.
        refusals: Some are refused, and that is recorded as well.

    Raises:
        RuntimeError: One was not written, or refused where that is not expected.
    """
    flying: deque[_Batch] = deque()
    for start in range(first, first + count, _BATCH):
        intents = [make(number) for number in range(start, min(start + _BATCH, first + count))]
        flying.append(_Batch(len(intents)))
        node.committer.submit(intents, flying[-1].done)
        if len(flying) > _IN_FLIGHT:
            flying.popleft().wait(refusals=refusals)
    for batch in flying:
        batch.wait(refusals=refusals)


@contextmanager
def long_turns() -> Iterator[None]:
    """Let threads keep the interpreter for longer while others wait for it: short turns cost half of a long fill."""
    turn = sys.getswitchinterval()
    sys.setswitchinterval(_TURN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(turn)


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


def empty_version(node: Node, bucket: str) -> Stored:
    """What a version without content is to be committed with."""
    sealer = Sealer(node.keyring.take_or_make(bucket, 0))
    document = ContentDocument(v=VERSION, salt=new_salt(), size=0, etag="")
    return sealer.logged(document, sealer.encrypt(b"", last=True))


def people(node: Node, count: int, role: str = "root") -> list[Actor]:
    """Add principals."""
    made = [Actor(f"{role}-{number}", roles=(role,)) for number in range(count)]
    for actor in made:
        added = PrincipalRef(actor.id, actor.id, f"AK{actor.id}", actor.roles)
        node.commit(Tail(op="principal.add", actor=Actor(SYSTEM), origin=Origin("cli"), principal=added))
    return made


def mixed(node: Node) -> Callable[[int], Intent]:
    """A mixed load on versions without content: of ten operations five PUT under COMPLIANCE, three GET, HEAD and LIST.

    One PUT of the five goes to a key that there is. It is what the index has to take in that costs a start its time.
    """
    (root,) = node.principals.all()
    load = _Load(node, [Actor(root.id, roles=root.roles)])

    def make(number: int) -> Intent:
        group, turn = divmod(number, 10)
        if turn < 4:
            return load.put(number, 4 * group + turn)
        if turn == 4:
            return load.put(number, 2 * group)
        if turn < 9:
            return load.read(number, "object.head" if turn == 8 else "object.get", 4 * group + turn - 5)
        return load.listed(number)

    return make


def month(node: Node, actors: Sequence[Actor]) -> Callable[[int], Intent]:
    """What many do in a month: of twenty records one PUT, two HEAD and four GET of any version, and two LIST.

    The other eleven are of a request that brings events of another system. It takes the committer less than half the
    time that :func:`mixed` does: this is for records by the ten million.

    Args:
        node: Open.
        actors: Who does it, in no order to speak of.

    Returns:
        Makes ten operations of which there are :data:`MONTH_RECORDS` records.
    """
    load = _Load(node, actors)
    (courier,) = people(node, 1, "writer")

    def make(number: int) -> Intent:
        group, turn = divmod(number, 10)
        if turn == 0:
            return load.put(number, group)
        if turn < 7:
            known = number * _STRIDE % (group + 1)
            return load.read(number, "object.head" if turn < 3 else "object.get", known)
        return load.listed(number) if turn < 9 else load.events(number, courier)

    return make


class _Load:
    """Makes the operations of a load on one bucket, each by the next of those who cause it."""

    def __init__(self, node: Node, actors: Sequence[Actor]) -> None:
        self._actors = actors
        self._origin = Origin("s3", "0123456789ABCDEF", "127.0.0.1", "bench/1.0")
        settings = BucketConfig(lock=True)
        named = ObjectRef(BUCKET)
        node.commit(Tail(op="bucket.create", actor=actors[0], origin=self._origin, object=named, bucket=settings))
        self._stored = empty_version(node, BUCKET)

    def _by(self, number: int) -> Actor:
        return self._actors[number * _STRIDE % len(self._actors)]

    def put(self, number: int, key: int) -> Intent:
        """Store a version under COMPLIANCE."""
        stored = self._stored
        named = ObjectRef(BUCKET, f"{key:09d}", size=0, content=stored.content)
        asked = Request(mode="COMPLIANCE", until=_UNTIL, http=f"PUT /{BUCKET}/{named.key}")
        actor, origin = self._by(number), self._origin
        tail = Tail(op="object.put", actor=actor, origin=origin, object=named, storage=stored.storage, request=asked)
        return Intent(tail, encode_tail(tail), stored.body)

    def read(self, number: int, op: str, key: int) -> Intent:
        """Get or head the newest version of a key."""
        named = ObjectRef(BUCKET, f"{key:09d}", range=(0, -1) if op == "object.get" else None)
        asked = Request(http=f"GET /{BUCKET}/{named.key}")
        tail = Tail(op=op, actor=self._by(number), origin=self._origin, object=named, request=asked)
        return Intent(tail, encode_tail(tail))

    def listed(self, number: int) -> Intent:
        """List the bucket."""
        asked, named = Request(http=f"GET /{BUCKET}?list-type=2"), ObjectRef(BUCKET)
        tail = Tail(op="object.list", actor=self._by(number), origin=self._origin, object=named, request=asked)
        return Intent(tail, encode_tail(tail))

    def events(self, number: int, courier: Actor) -> Intent:
        """Bring events of another system."""
        origin = Origin("audit", f"{number:016X}", "127.0.0.1", "bench/1.0")
        sender = Sender(courier, origin, _SOURCE, "json")
        events = prepare(sender, [_EVENT % (number, each, number) for each in range(_EVENTS)])
        asked, ref = Request(http=f"POST /v1/ingest/{_SOURCE}"), IngestRef(_SOURCE, "json")
        tail = Tail(op="ingest.batch", actor=courier, origin=origin, request=asked, ingest=ref)
        encoded = encode_tail(tail)
        members = [each for each in events if isinstance(each, Member)]
        (batch,) = batches(_SOURCE, members, len(encoded), MAX_BATCH_BYTES)
        return Intent(tail, encoded, batch=batch)


def main() -> None:
    """Fill, and be killed."""
    never = mock.patch.object(Background, "_sync_index", return_value=False)
    with never, Node.open(Path(sys.argv[1]), load(None, {})) as node:
        fill(node, int(sys.argv[2]), mixed(node))
        print("filled", node.stores.index.applied - node.stores.index.synced, flush=True)
        time.sleep(3600)


if __name__ == "__main__":
    main()
