"""A vault without servers, seals and background: real committer, index, log, packs, blobs and keys, told each step."""

from __future__ import annotations

import random
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from audit.clock import ComplianceClock
from audit.discipline import Discipline
from audit.eraser import Eraser
from audit.feed import Feed
from audit.journal.committer import Committer
from audit.journal.log import CommitLog
from audit.journal.recovery import recover
from audit.ledger import SettledLedger
from audit.replay import replay
from audit.settle import Settler
from audit.stores import Stores
from audit.strand import Strand
from tests.doubles.keys import FixedKek
from tests.doubles.stream import ORIGIN
from tests.doubles.traffic import STREAM, described
from vault import durable
from vault.crypto.keyring import Keyring
from vault.errors import VaultError
from vault.merkle import EMPTY_ROOT, leaf_hash
from vault.policy import SYSTEM
from vault.ports import Committed, Intent
from vault.record import (
    Actor,
    BucketConfig,
    ClockState,
    LockRef,
    ObjectRef,
    Origin,
    PrincipalRef,
    Request,
    Storage,
    Tail,
    decode,
    encode_tail,
)
from vault.retention import from_ref
from vault.state.rows import GarbageRow, VersionRow
from vault.storage.blobs import BlobStore
from vault.storage.index import Index, Sequenced
from vault.storage.leases import Leases
from vault.storage.packs import PackStore
from vault.times import DAY_NS, parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START = parse_rfc3339("2026-11-22T12:00:00Z")
BUCKET = "trades"
ROOT = Actor("p1", roles=("root",))


class Clocks:
    """Wall and monotonic time that go only when told."""

    def __init__(self, now: int) -> None:
        self.now = now

    def wall(self) -> int:
        return self.now

    def monotonic(self) -> int:
        return self.now

    def discipline(self) -> Discipline:
        return Discipline("kernel", -1_200, 40_000, synchronised=True)

    def until(self, days: int) -> LockRef:
        """A COMPLIANCE lock of so many days from now."""
        return LockRef("COMPLIANCE", rfc3339(self.now + days * DAY_NS))


def version_of(put: Committed) -> str:
    """The version id of what was put."""
    assert put.head.version is not None
    return put.head.version.version_id


def storage_of(put: Committed) -> Storage:
    """Where what was put is kept."""
    assert isinstance(put.row, VersionRow)
    assert put.row.storage is not None
    return put.row.storage


class SmallVault:
    """A vault under ``root``, with a bucket ``trades`` that can lock; opened again by making another one.

    Attributes:
        published: What the last checkpoint is said to cover; None for everything.
    """

    def __init__(self, root: Path, now: int = START) -> None:
        for name in ("commit", "spare", "quarantine", "ledger", "packs", "keys"):
            durable.make_dirs(root / name)
        self.opened: dict[str, int] = {}
        self.root = root
        self.published: int | None = None
        self.clocks = Clocks(now)
        self.leases = Leases()
        fresh = not (root / "keys" / "keyring-a").exists()
        self.keyring = (Keyring.create if fresh else Keyring.open)(root / "keys", FixedKek())
        self.blobs = BlobStore(root)
        self.blobs.sweep(lambda _: True)
        self.ledger = SettledLedger(root / "ledger")
        self.packs = PackStore(root / "packs", STREAM)
        self.log = CommitLog(root / "commit", root / "spare", ORIGIN, 128 * 1024)
        end = self.ledger.end
        settled = (end, leaf_hash(self.ledger.record(end - 1)) if end else EMPTY_ROOT)
        found = recover(self.log, root / "quarantine", ORIGIN, settled=settled, covered=end)
        self.index = Index(root / "index")
        replay(self.index, self.ledger, self.log)
        self.clock = ComplianceClock(self.clocks, ClockState(0, 0), now)
        self.committer = Committer(
            log=self.log,
            state=Sequenced(self.index),
            clock=self.clock,
            stream=STREAM,
            next_seq=found.next_seq,
            prev=found.prev,
            base=0,
            leases=self.leases,
            reserve_bytes=0,
            on_fatal=lambda _: None,
        )
        self.committer.start()
        self.settler = Settler(
            log=self.log,
            ledger=self.ledger,
            packs=self.packs,
            leases=self.leases,
            spares=root / "spare",
            published=lambda: 1 << 40,
        )
        strand = Strand(STREAM, 0, self.log, self.ledger, self.packs)
        stores = Stores(self.index, (strand,), self.blobs, self.leases)
        self.eraser = Eraser(
            stores=stores,
            keyring=self.keyring,
            journal=self.committer,
            now=self.clock.now,
            published=lambda: self.log.durable_end if self.published is None else self.published,
            rest=0.0,
        )
        self._rng = random.Random(found.next_seq)
        if fresh:
            self.do("principal.add", principal=PrincipalRef("p1", "ada", "AK1", ("root",)), actor=Actor(SYSTEM))
            self.bucket(BUCKET, lock=True)

    def do(
        self, op: str, body: bytes = b"", actor: Actor = ROOT, parts: Sequence[tuple[int, int]] = (), **tail: Any
    ) -> Committed:
        """Commit one operation that must succeed."""
        made = Tail(op=op, actor=actor, origin=Origin("s3"), **tail)
        answer: Future[Committed | VaultError] = Future()
        intent = Intent(made, encode_tail(made), (body,) if body else (), parts)
        self.committer.submit([intent], [answer.set_result])
        result = answer.result(30)
        if isinstance(result, VaultError):
            raise result
        if result.error is not None:
            raise result.error
        return result

    def bucket(self, name: str, *, lock: bool = False) -> None:
        """Make a bucket."""
        self.do("bucket.create", object=ObjectRef(name), bucket=BucketConfig(owner="p1", lock=lock))

    def stored(
        self, bucket: str, lock: LockRef | None = None, size: int = 200, kind: str = "log"
    ) -> tuple[Storage, bytes]:
        """Bytes under the right domain key, and in a blob where they go there."""
        domain = self.keyring.take_or_make(bucket, from_ref(lock).until)
        self.keyring.give_back(domain)
        blob = ""
        if kind == "blob":
            staged = self.blobs.stage()
            staged.write(self._rng.randbytes(size))
            staged.publish()
            blob = staged.id
        return described(self._rng, size, kind, blob, domain.id)

    def put(self, key: str, lock: LockRef | None = None, bucket: str = BUCKET, kind: str = "log") -> Committed:
        """Store a version."""
        storage, body = self.stored(bucket, lock, kind=kind)
        asked = Request(mode=lock.mode, until=lock.until, hold=lock.hold or None) if lock is not None else None
        named = ObjectRef(bucket, key, size=200, content="00" * 32)
        return self.do("object.put", body, object=named, storage=storage, request=asked)

    def upload(self, key: str, parts: int, lock: LockRef | None = None) -> tuple[str, list[int]]:
        """Begin a multipart upload and send its parts, every other one as a blob; its id and the parts' seqs."""
        upload = self._rng.randbytes(16).hex()
        storage, body = self.stored(BUCKET, lock)
        asked = Request(mode=lock.mode, until=lock.until) if lock is not None else None
        named = ObjectRef(BUCKET, key, upload_id=upload)
        opened = self.do("multipart.create", body, object=named, storage=storage, request=asked)
        self.opened[upload] = opened.head.seq
        return upload, [self.part(key, upload, number, lock) for number in range(1, parts + 1)]

    def part(self, key: str, upload: str, number: int, lock: LockRef | None = None) -> int:
        """Send a part; its seq."""
        storage, body = self.stored(BUCKET, lock, kind="blob" if number % 2 else "log")
        named = ObjectRef(BUCKET, key, upload_id=upload, part=number, size=200, content="00" * 32)
        return self.do("multipart.part", body, object=named, storage=storage).head.seq

    def complete(self, key: str, upload: str, parts: list[int], lock: LockRef | None = None) -> Committed:
        """Complete a multipart upload from these parts."""
        storage, body = self.stored(BUCKET, lock, kind="parts")
        named = ObjectRef(BUCKET, key, upload_id=upload, size=200 * len(parts), content="00" * 32)
        return self.do("multipart.complete", body, object=named, storage=storage, parts=list(enumerate(parts, 1)))

    def delete(self, key: str, version: str, bucket: str = BUCKET, *, bypass: bool = False) -> Committed:
        """Delete one version by its id."""
        asked = Request(bypass=True) if bypass else None
        return self.do("object.delete", object=ObjectRef(bucket, key, version), request=asked)

    def settle(self) -> None:
        """Fill up to a multiple of 256 records, close the segment, and settle everything."""
        missing = -self.log.durable_end % 256
        tail = Tail(op="object.list", actor=ROOT, origin=Origin("s3"), object=ObjectRef(BUCKET))
        answers: list[Future[Committed | VaultError]] = [Future() for _ in range(missing)]
        intents = [Intent(tail, encode_tail(tail)) for _ in answers]
        self.committer.submit(intents, [answer.set_result for answer in answers])
        for answer in answers:
            answer.result(30)
        self.log.open_segment(self.log.durable_end)
        while self.settler.step():
            pass

    def garbage(self) -> dict[int, GarbageRow]:
        """What waits for the eraser, by seq."""
        return {row.seq: row for _, row in self.index.scan(b"e", b"f") if isinstance(row, GarbageRow)}

    def records(self) -> list[bytes]:
        """All records."""
        return [record for _, record in Feed(self.ledger, self.log).read(0)]

    def blob_files(self) -> set[str]:
        """Ids of all blobs."""
        return {path.name for path in (self.root / "blobs").rglob("*") if path.is_file()}

    def erased(self) -> list[int]:
        """Seqs of the bodies that records say are erased."""
        return [tail.ref for _, tail in map(decode, self.records()) if tail.op == "object.erased"]

    def stop(self) -> None:
        """Stop, as a crash that everybody saw coming."""
        self.committer.stop()
        self.index.close()
        self.log.close()
