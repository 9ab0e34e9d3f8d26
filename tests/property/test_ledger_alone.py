"""Many threads at one committer: whatever they did, the records alone prove that it was legal, and give the index."""

from __future__ import annotations

import json
import random
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from audit.journal.log import CommitLog
from audit.journal.recovery import recover
from audit.ledger import SettledLedger
from audit.replay import replay
from tests.doubles.commitlog import STREAM
from tests.doubles.memory import memory_directory
from tests.doubles.model_replay import ModelReplay
from tests.doubles.s3_model import DAY, DISABLED, SECOND, USERS
from tests.doubles.writer import SEGMENT_BYTES, SERVER, Writer
from tests.together import together
from vault import durable
from vault.matters import MatterQuery, MatterRef
from vault.merkle import EMPTY_ROOT
from vault.record import Actor, BucketConfig, DefaultRetention, ObjectRef, PrincipalRef, Request, Storage
from vault.state import rows
from vault.state.rows import Row, VersionRow
from vault.storage.index import Index
from vault.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vault.ports import Committed

BYTES = Storage(1, "log", "d", "a" * 32, 0, 65_536, 4, "b" * 64)
ROOT = Actor("root")
THREADS = 8
BUCKETS = ("locked", "locked", "plain")


class Vault(Writer):
    """A writer with the model's users, a bucket that locks and one that does not; ``known``: versions made or met."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.known: list[tuple[str, str, str]] = []
        self.start()
        for name, role in USERS.items():
            who = PrincipalRef(name, name, name.upper(), (role,))
            self.do("principal.add", principal=who)
        self.do("principal.disable", principal=PrincipalRef(DISABLED, "", "", ()))
        for name, lock in (("locked", True), ("plain", False)):
            config = BucketConfig(lock=lock)
            self.do("bucket.create", actor=ROOT, object=ObjectRef(name), bucket=config)

    def put(self, bucket: str, key: str, actor: Actor = ROOT, **asked: Any) -> Committed:
        named = ObjectRef(bucket, key, size=4, content="c" * 64)
        return self.do("object.put", b"data", actor=actor, object=named, storage=BYTES, request=Request(**asked))


@pytest.fixture
def vault() -> Iterator[Vault]:
    with memory_directory() as directory:
        made = Vault(directory)
        yield made
        made.close()
        rebuilt(directory, prove(directory))


def index_rows(index: Index) -> dict[bytes, Row]:
    return {key: row for key, row in index.scan(b"a", b"z") if key != b"mapplied"}


def recovered(root: Path) -> CommitLog:
    log = CommitLog(root / "commit", root / "spare", STREAM, SEGMENT_BYTES)
    recover(log, root / "quarantine", STREAM, settled=(0, EMPTY_ROOT), covered=0)
    return log


def prove(root: Path) -> ModelReplay:
    """Every success was legal and every refusal due: from the records, as the next start finds them, alone."""
    log = recovered(root)

    def body(seq: int) -> bytes:
        found = next(item for item in log._segments if item.first_seq <= seq < item.end_seq)
        return found.body(seq, 0, found.body_length(seq))

    alone = ModelReplay(body)
    for _, record in log.tail(0):
        alone.feed(record)
    log.close()
    return alone


def rebuilt(root: Path, alone: ModelReplay) -> dict[bytes, Row]:
    """The index that was synced and replayed on, one rebuilt from nothing, and the model have the same versions."""
    log = recovered(root)
    durable.make_dirs(root / "ledger")
    settled = SettledLedger(root / "ledger")
    found = []
    for name in ("index", "fresh"):
        index = Index(root / name)
        replay(index, settled, log)
        found.append(index_rows(index))
        index.close()
    assert found[0] == found[1]
    versions = {
        (row.version_id, row.ordinal, row.mode, row.until, row.hold)
        for row in found[0].values()
        if isinstance(row, VersionRow)
    }
    assert versions == {
        (version.id, version.ordinal, version.mode, version.until, version.hold)
        for bucket in alone.model.buckets.values()
        for key in bucket.keys.values()
        for version in key
    }
    log.close()
    return found[0]


def reasons(answers: list[Committed]) -> list[str]:
    return sorted(answer.head.reason for answer in answers)


def test_of_sixty_four_conditional_puts_of_one_key_one_is_made(vault: Vault) -> None:
    for key in ("k1", "k2"):
        answers = together([lambda key=key: vault.put("locked", key, if_none_match=True)] * 64)  # type: ignore[misc]
        assert reasons(answers) == [""] + ["precondition_failed"] * 63


def test_sixty_four_puts_of_one_key_make_one_chain(vault: Vault) -> None:
    made = [answer.head.version for answer in together([lambda: vault.put("locked", "k")] * 64)]
    by_ordinal = {version.ordinal: version for version in made if version is not None}
    assert sorted(by_ordinal) == list(range(1, 65))
    assert all(by_ordinal[at + 1].prev_manifest == by_ordinal[at].manifest for at in range(1, 64))


def test_a_hold_and_a_delete_of_one_version_never_both_succeed(vault: Vault) -> None:
    for number in range(40):
        made = vault.put("locked", f"k{number}").head.version
        assert made is not None
        named = ObjectRef("locked", f"k{number}", made.version_id)
        held, gone = together(
            [
                lambda named=named: vault.do("object.hold.put", actor=ROOT, object=named, request=Request(hold=True)),  # type: ignore[misc]
                lambda named=named: vault.do("object.delete", actor=ROOT, object=named),  # type: ignore[misc]
            ]
        )
        assert (held.head.reason, gone.head.reason) in {("", "legal_hold"), ("no_such_version", "")}
        left = vault.index.get(rows.version_key("locked", f"k{number}", 1))
        assert (left is not None) == (held.error is None)


def test_each_put_gets_the_default_that_stood_at_its_place(vault: Vault) -> None:
    def change() -> None:
        for number in range(40):
            default = DefaultRetention("COMPLIANCE", days=number + 1) if number % 2 else None
            config = BucketConfig(lock=True, default=default)
            vault.do("bucket.lock.put", actor=ROOT, object=ObjectRef("locked"), bucket=config)

    def store() -> None:
        for _ in range(40):
            vault.put("locked", "k")

    together([change, store, store])


class Client:
    """One thread's random operations on few names."""

    def __init__(self, vault: Vault, seed: int) -> None:
        self.vault = vault
        self.rng = random.Random(seed)
        self.number = seed

    def run(self, count: int) -> None:
        kinds = [self.store, self.store, self.remove, self.retain, self.hold, self.look, self.upload, self.configure]
        kinds += [self.matter] * (self.number % 3)
        for _ in range(count):
            self.rng.choice(kinds)()

    def do(self, op: str, body: bytes = b"", **fields: Any) -> Committed:
        user = self.rng.choice(["root"] * 14 + list(USERS))
        answer = self.vault.do(op, body, actor=Actor(user), **fields)
        named = fields["object"]
        if answer.head.version is not None:
            self.vault.known.append((named.bucket, named.key, answer.head.version.version_id))
        return answer

    def named(self) -> ObjectRef:
        """A version that somebody made or met not long ago; else a name, or the null version of one."""
        if self.vault.known and self.rng.random() < 0.7:
            return ObjectRef(*self.rng.choice(self.vault.known[-20:]))
        return ObjectRef(self.rng.choice(BUCKETS), self.rng.choice("ab"), self.rng.choice(["", "", "null"]))

    def lock(self) -> dict[str, Any]:
        asked: dict[str, Any] = {}
        if self.rng.random() < 0.4:
            until = self.vault.clocks.now + self.rng.choice([-1, 9, 30, 90]) * DAY
            asked = {"mode": self.rng.choice(["GOVERNANCE", "COMPLIANCE"]), "until": rfc3339(until)}
        if self.rng.random() < 0.2:
            asked["hold"] = self.rng.random() < 0.5
        return asked

    def store(self) -> None:
        asked = Request(
            if_none_match=self.rng.random() < 0.2, if_match=self.rng.choice(["", "", "", "3"]), **self.lock()
        )
        named = ObjectRef(self.rng.choice(BUCKETS), self.rng.choice("ab"), size=4, content="c" * 64)
        self.do("object.put", b"data", object=named, storage=BYTES, request=asked)

    def remove(self) -> None:
        named, bypass = self.named(), self.rng.random() < 0.3
        self.do("object.delete", object=named, request=Request(bypass=bypass, bypass_sent=bypass))

    def retain(self) -> None:
        asked: dict[str, Any] = {"remove": True}
        if self.rng.random() < 0.8:
            until = self.vault.clocks.now + self.rng.choice([0, 9, 30, 90]) * DAY
            asked = {"mode": self.rng.choice(["GOVERNANCE", "COMPLIANCE"]), "until": rfc3339(until)}
        self.do("object.retention.put", object=self.named(), request=Request(bypass=self.rng.random() < 0.3, **asked))

    def hold(self) -> None:
        self.do("object.hold.put", object=self.named(), request=Request(hold=self.rng.random() < 0.5))

    def matter(self) -> None:
        """The compliance officer, or somebody who may not, opens a matter or closes one of the first."""
        actor = Actor(self.rng.choice(["carl"] * 5 + ["root"]))
        ref = MatterRef(f"{self.rng.randrange(40):016x}", "n", "r", "o")
        if self.rng.random() < 0.5:
            self.vault.do("matter.close", actor=actor, matter=ref)
            return
        since = rfc3339(self.vault.clocks.now + self.rng.choice([-2, -1, 0]) * DAY)
        query = self.rng.choice([MatterQuery("locked", prefix="a"), MatterQuery("plain", since=since)])
        if self.rng.random() < 0.2:
            query = MatterQuery(vault=True, actor=self.rng.choice(["", "root", "olga"]), before=since)
        self.vault.do("matter.open", actor=actor, matter=msgspec.structs.replace(ref, query=query))

    def look(self) -> None:
        answer = self.do(self.rng.choice(["object.get", "object.head"]), object=self.named())
        answer.release()

    def upload(self) -> None:
        self.number += 1000
        upload, bucket, key = f"{self.number:032x}", self.rng.choice(BUCKETS), self.rng.choice("ab")
        named = ObjectRef(bucket, key, upload_id=upload)
        self.do("multipart.create", b"data", object=named, storage=BYTES, request=Request(**self.lock()))
        parts = []
        for number in (1, 2, 1):
            piece = ObjectRef(bucket, key, upload_id=upload, part=number, size=4, content="c" * 64)
            parts.append((number, self.do("multipart.part", b"data", object=piece, storage=BYTES).head.seq))
        if self.rng.random() < 0.2:
            self.do("multipart.abort", object=named)
        listed = [parts[2], parts[1]]
        whole = ObjectRef(bucket, key, upload_id=upload, size=8, content="c" * 64)
        self.do("multipart.complete", json.dumps(listed).encode(), parts=listed, object=whole, storage=BYTES)

    def configure(self) -> None:
        if self.rng.random() < 0.5:
            default = self.rng.choice(
                [None, DefaultRetention("COMPLIANCE", days=1), DefaultRetention("GOVERNANCE", 0, 1)]
            )
            self.do("bucket.lock.put", object=ObjectRef("locked"), bucket=BucketConfig(lock=True, default=default))
        else:
            status = self.rng.choice(["Enabled", "Suspended"])
            self.do("bucket.versioning.put", object=ObjectRef("plain"), bucket=BucketConfig(versioning=status))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_operations_from_many_threads_are_proven_by_the_records_alone(seed: int) -> None:
    with memory_directory() as directory:
        vault = Vault(directory)
        ended = threading.Event()

        def move_the_clocks() -> None:
            rng = random.Random(seed)
            while not ended.wait(0.002):
                span = rng.choice([SECOND, 3600 * SECOND, DAY])
                vault.clocks.ticks += span
                vault.clocks.now += span + rng.choice([0, 0, 0, -DAY, DAY])
                vault.do("clock.status", actor=SERVER, clock_state=vault.clock.status())
                vault.index.sync()

        mover = threading.Thread(target=move_the_clocks)
        mover.start()
        try:
            together([lambda at=at: Client(vault, seed * 100 + at).run(300) for at in range(THREADS)])  # type: ignore[misc]
        finally:
            ended.set()
            mover.join()
        vault.committer.stop()
        live = index_rows(vault.index)
        vault.close()
        alone = prove(directory)
        assert rebuilt(directory, alone) == live
        # It was no walk-over: many succeeded, and what matters was refused too.
        assert alone.counts["object.put", ""] > 100
        assert alone.counts["object.delete", "retention"] + alone.counts["object.delete", "legal_hold"] > 10
        assert alone.counts["multipart.complete", ""] > 10
        assert alone.counts["matter.open", ""] > 10
        assert alone.counts["matter.close", ""] > 5
