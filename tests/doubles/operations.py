"""Operations of all kinds for a real committer: what is stored, read, locked or refused, and what names nothing.

Names are such as break a careless comparison: letters that differ in case only, quotes, NUL, wildcards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from audit.ingest.events import Sender, batches, prepare
from tests.bench.fill import empty_version
from vault.foreign import IngestRef
from vault.policy import SYSTEM
from vault.ports import Intent
from vault.record import Actor, BucketConfig, ObjectRef, Origin, PrincipalRef, Request, Tail, encode_tail
from vault.state.ingest import Member

if TYPE_CHECKING:
    import random

    from audit.node import Node
    from vault.service.sealing import Stored

#: Ids of principals, and the role of each.
ACTORS: Final = {"p-root": "root", "p-writer": "writer", "p-reader": "reader", "p-officer": "compliance"}
#: The last two are not there.
BUCKETS: Final = ("trades", "mail", "none-such", "a'b")
KEYS: Final = ("2026/a.json", "2026/A.json", "2026/b\0c", "x%_y", "\U0001f600/é", "tab\there", 'q"uo\\te')
PERSONS: Final = ("", "Ann Lee", "bob")
AGENTS: Final = ("aws-cli/2", "Boto3/1")
OPS: Final = (
    "object.put", "object.get", "object.head", "object.list", "object.delete", "object.hold.put",
    "object.retention.put", "bucket.list", "bucket.head", "object.read.failed",
)  # fmt: skip
SOURCES: Final = ("minio-a", "k8s")
_UNTIL: Final = ("2098-01-01T00:00:00.000000000Z", "2099-01-01T00:00:00.000000000Z")
_MODES: Final = ("", "GOVERNANCE", "COMPLIANCE")
#: Events of one request.
_EVENTS: Final = 3


class Operations:
    """Makes operations at random; adds the principals and buckets that some of them need.

    Args:
        node: Open.
        rng: Chooses.
        keys: How many plain keys there are, beside :data:`KEYS`.
    """

    def __init__(self, node: Node, rng: random.Random, keys: int) -> None:
        self._rng = rng
        self._keys = keys
        self._stored: dict[str, Stored] = {}
        for name, role in ACTORS.items():
            added = PrincipalRef(name, name, f"AK{name}", (role,))
            node.commit(Tail(op="principal.add", actor=Actor(SYSTEM), origin=Origin("cli"), principal=added))
        for bucket in BUCKETS[:2]:
            made = Tail(
                op="bucket.create",
                actor=Actor("p-root", roles=("root",)),
                origin=Origin("s3"),
                object=ObjectRef(bucket),
                bucket=BucketConfig(lock=True),
            )
            node.commit(made)
            self._stored[bucket] = empty_version(node, bucket)

    def __call__(self, number: int) -> Intent:
        """One operation; its number is in its request id, which is no two's."""
        rng = self._rng
        who = rng.choice(("p-root", "p-root", *ACTORS, SYSTEM))
        actor = Actor(who, person=rng.choice(PERSONS), roles=(ACTORS[who],) if who in ACTORS else ())
        origin = Origin("s3", f"{number:016X}", f"10.0.0.{rng.randrange(3)}", rng.choice(AGENTS))
        if rng.random() < 0.05:
            return self._events(number, Actor("p-writer", roles=("writer",)), origin)
        op = rng.choice(OPS)
        bucket = rng.choice(BUCKETS[:2]) if rng.random() < 0.8 else rng.choice(BUCKETS)
        if op == "object.list" or op.startswith("bucket."):
            named = ObjectRef(bucket, prefix=rng.choice(("", "2026/", "x%")))
            return _plain(Tail(op=op, actor=actor, origin=origin, object=named))
        key = rng.choice(KEYS) if rng.random() < 0.3 else f"2026/{rng.randrange(self._keys):07d}"
        if op == "object.put" and bucket in self._stored:
            return self._put(actor, origin, bucket, key)
        asked = Request()
        if op == "object.hold.put":
            asked = Request(hold=rng.random() < 0.5)
        if op == "object.retention.put":
            asked = Request(mode=rng.choice(_MODES[1:]), until=rng.choice(_UNTIL))
        ref = rng.choice((-1, 3)) if op == "object.read.failed" else -1
        return _plain(
            Tail(op=op, actor=actor, origin=origin, object=ObjectRef(bucket, key=key), request=asked, ref=ref)
        )

    def _put(self, actor: Actor, origin: Origin, bucket: str, key: str) -> Intent:
        stored, mode = self._stored[bucket], self._rng.choice(_MODES)
        asked = Request(mode=mode, until=self._rng.choice(_UNTIL) if mode else "")
        named = ObjectRef(bucket, key, size=0, content=stored.content)
        tail = Tail(op="object.put", actor=actor, origin=origin, object=named, storage=stored.storage, request=asked)
        return Intent(tail, encode_tail(tail), stored.body)

    def _events(self, number: int, actor: Actor, origin: Origin) -> Intent:
        """A request with events of another system: a record for each, and its own."""
        source = self._rng.choice(SOURCES)
        sender = Sender(actor, origin, source, "json")
        made = prepare(sender, [b'{"id":"%d-%d","who":"Ann Lee"}' % (number, each) for each in range(_EVENTS)])
        tail = Tail(op="ingest.batch", actor=actor, origin=origin, request=Request(), ingest=IngestRef(source, "json"))
        encoded = encode_tail(tail)
        (batch,) = batches(source, [each for each in made if isinstance(each, Member)], len(encoded), 1 << 20)
        return Intent(tail, encoded, batch=batch)


def _plain(tail: Tail) -> Intent:
    return Intent(tail, encode_tail(tail))
