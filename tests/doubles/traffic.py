"""A stream's worth of records with bodies, chained and described as the vault does it, and nothing decided."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

from vault.crypto.aead import TAG_BYTES
from vault.merkle import EMPTY_ROOT, leaf_hash, root
from vault.record import Actor, Head, LockRef, ObjectRef, Origin, Storage, Tail, VersionRef, encode_tail, splice
from vault.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

STREAM = "site-a.node-1"
_START = 1_795_366_000_000_000_000
#: Plaintext bytes of a chunk: small, so that bodies have several.
CHUNK = 64

_BUCKETS = ("trades", "mail")
_UNTIL = ("", "2032-11-22T00:00:00.000000000Z", "2032-12-01T00:00:00.000000000Z")


class Entry(NamedTuple):
    """A record and its body (empty where it has none)."""

    record: bytes
    body: bytes


def described(
    rng: random.Random, size: int, kind: str = "log", blob: str = "", domain: str = "d1"
) -> tuple[Storage, bytes]:
    """A body of random bytes and its storage descriptor."""
    sealed = rng.randbytes(48)
    chunks = [rng.randbytes(min(CHUNK, size - at) + TAG_BYTES) for at in range(0, size, CHUNK)] or [rng.randbytes(16)]
    if kind == "parts":
        chunks = [b"[[1,3,5],[2,4,6]]"]
    storage = Storage(
        suite=1,
        kind=kind,
        domain=domain,
        salt=rng.randbytes(16).hex(),
        sealed=len(sealed),
        chunk=0 if kind == "parts" else CHUNK,
        length=sum(map(len, chunks)),
        root=root([leaf_hash(sealed), *map(leaf_hash, chunks)]).hex(),
        blob=blob,
    )
    return storage, sealed if kind == "blob" else sealed + b"".join(chunks)


class Traffic:
    """Makes records one after the other; the same seed makes the same ones."""

    def __init__(self, seed: int = 0, body_bytes: int = 300) -> None:
        self.entries: list[Entry] = []
        self._rng = random.Random(seed)
        self._body_bytes = body_bytes
        self._prev = EMPTY_ROOT

    def put(self, kind: str = "log") -> Entry:
        """A version that was stored."""
        rng, seq = self._rng, len(self.entries)
        manifest = rng.randbytes(32).hex()
        until = rng.choice(_UNTIL)
        bucket = rng.choice(_BUCKETS)
        blob = rng.randbytes(16).hex() if kind == "blob" else ""
        storage, body = described(rng, rng.randrange(self._body_bytes), kind, blob, f"{bucket} {until[:7]}")
        named = ObjectRef(bucket, f"2026/11/order-{seq}.json", size=storage.length, content=rng.randbytes(32).hex())
        return self._add(
            Tail(op="object.put", actor=self._actor(), origin=self._origin(), object=named, storage=storage),
            body,
            version=VersionRef(1, f"{1:08x}{manifest[:24]}", manifest),
            lock=LockRef("COMPLIANCE", until) if until else None,
        )

    def look(self) -> Entry:
        """A listing: a record without a body."""
        named = ObjectRef(self._rng.choice(_BUCKETS), prefix="2026/")
        return self._add(Tail(op="object.list", actor=self._actor(), origin=self._origin(), object=named))

    def mixed(self, count: int) -> Sequence[Entry]:
        """``count`` entries of every kind; those."""
        makers = (self.look, self.put, self.put, lambda: self.put("blob"), lambda: self.put("parts"))
        return [self._rng.choice(makers)() for _ in range(count)]

    def _actor(self) -> Actor:
        number = self._rng.randrange(4)
        return Actor(f"p{number:016x}", f"person-{number}@firm.example", roles=("writer",))

    def _origin(self) -> Origin:
        request = self._rng.randbytes(8).hex().upper()
        return Origin("s3", request, f"10.2.0.{self._rng.randrange(250)}", "aws-cli/2.17.0 md/awscrt#0.20.11 ua/2.0")

    def _add(
        self, tail: Tail, body: bytes = b"", version: VersionRef | None = None, lock: LockRef | None = None
    ) -> Entry:
        seq = len(self.entries)
        instant = rfc3339(_START + seq * 1_000_003)
        head = Head(
            v=1,
            stream=STREAM,
            seq=seq,
            prev=self._prev.hex(),
            time=instant,
            clock=instant,
            outcome="success",
            version=version,
            lock=lock,
        )
        entry = Entry(splice(head, encode_tail(tail)), body)
        self._prev = leaf_hash(entry.record)
        self.entries.append(entry)
        return entry
