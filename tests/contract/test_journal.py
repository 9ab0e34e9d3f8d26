"""The contracts of :mod:`vault.ports`: journal, state and bodies, the product's and the doubles of unit tests."""

from __future__ import annotations

import random
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest

from audit.ledger import SettledLedger
from audit.stores import Stores
from audit.strand import Strand
from tests.doubles.ledger import MemoryLedger, MemoryState
from tests.doubles.memory import memory_directory
from tests.doubles.puts import together
from tests.doubles.writer import SERVER, Writer
from vault import durable
from vault.errors import CorruptError, S3Error, Unavailable, VaultError
from vault.merkle import EMPTY_ROOT
from vault.ports import Committed, Intent, MemberDone
from vault.record import (
    Actor,
    BucketConfig,
    ObjectRef,
    Origin,
    PrincipalRef,
    Request,
    Storage,
    Tail,
    encode_tail,
    splice,
)
from vault.state import lookup, rows
from vault.state.rows import MetaRow
from vault.storage.blobs import BlobStore
from vault.storage.index import Index, Sequenced
from vault.storage.packs import PackStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vault.ports import Bodies, Journal, State
    from vault.state.rows import Row

ROOT = Actor("root")
#: What is sealed may be read without a lease.
BYTES = Storage(1, "log", "d", "a" * 32, 12, 65_536, 0, "b" * 64)
BODY = b"twelve bytes"


@dataclass
class Ports:
    """One implementation of all three; ``stop`` stops the journal."""

    journal: Journal
    state: State
    bodies: Bodies
    stop: Callable[[], None]

    def submit(self, *intents: Intent) -> list[Committed | VaultError]:
        answers: list[Future[Committed | VaultError]] = [Future() for _ in intents]
        self.journal.submit(intents, [answer.set_result for answer in answers])  # a second answer would raise
        return [answer.result(30) for answer in answers]

    def do(self, op: str, body: bytes = b"", actor: Actor = ROOT, **fields: Any) -> Committed:
        (answer,) = self.submit(asked(op, body, actor, **fields))
        assert isinstance(answer, Committed), answer
        return answer


def asked(op: str, body: bytes = b"", actor: Actor = ROOT, **fields: Any) -> Intent:
    refused = fields.pop("refused", None)
    tail = Tail(op=op, actor=actor, origin=Origin("s3"), **fields)
    return Intent(tail, encode_tail(tail), (body,) if body else (), (), refused)


@contextmanager
def product() -> Iterator[Ports]:
    with memory_directory() as root:
        writer = Writer(root)
        writer.start()
        for name in ("ledger", "packs"):
            durable.make_dirs(root / name)
        strand = Strand("s", 0, writer.log, SettledLedger(root / "ledger"), PackStore(root / "packs", "s"))
        stores = Stores(writer.index, (strand,), BlobStore(root), writer.leases)
        yield Ports(writer.committer, writer.index, stores, writer.committer.stop)
        writer.close()


@contextmanager
def double() -> Iterator[Ports]:
    ledger = MemoryLedger()
    yield Ports(ledger, ledger.state, ledger, ledger.stop)
    ledger.stop()
    ledger.check()


@pytest.fixture(params=[product, double], ids=lambda made: str(made.__name__))
def ports(request: pytest.FixtureRequest) -> Iterator[Ports]:
    with request.param() as made:
        who = PrincipalRef("root", "root", "ROOT", ("root",))
        made.do("principal.add", actor=SERVER, principal=who)
        made.do("bucket.create", object=ObjectRef("b"), bucket=BucketConfig(lock=True))
        yield made


def put(key: str = "k", **request: Any) -> Intent:
    named = ObjectRef("b", key, size=0, content="c" * 64)
    return asked("object.put", BODY, object=named, storage=BYTES, request=Request(**request))


def answered(outcome: Committed | VaultError) -> Committed:
    assert isinstance(outcome, Committed)
    return outcome


# Journal


def test_operations_are_decided_in_order_each_seeing_those_before_it(ports: Ports) -> None:
    some = [put(if_none_match=True), put(if_none_match=True), put("other", if_none_match=True), asked("clock.status")]
    made = [answered(outcome) for outcome in ports.submit(*some)]
    assert [committed.head.reason for committed in made[:3]] == ["", "precondition_failed", ""]
    seqs = [committed.head.seq for committed in made]
    assert seqs == list(range(seqs[0], seqs[0] + 4))
    assert [committed.position for committed in made] == seqs
    for before, committed, intent in zip([None, *made], made, some, strict=False):
        if before is not None:
            assert committed.head.prev == before.leaf.hex()
        assert committed.leaf == sha256(b"\0" + splice(committed.head, intent.encoded)).digest()


@pytest.mark.parametrize("alike", [True, False])
def test_members_are_decided_one_after_the_other_each_with_its_own_record(ports: Ports, *, alike: bool) -> None:
    refusal = S3Error("InvalidRequest", reason="archive_kind")
    named = ObjectRef("b", "link")
    some = [
        put(if_none_match=True), put(if_none_match=True), asked("object.put", object=named, refused=refusal),
        put("other", if_none_match=True), asked("object.put", object=ObjectRef("missing", "k")),
        put("last", if_none_match=True),
    ]  # fmt: skip
    many = together(some) if alike else Intent.together(some[0].tail, some)
    before, committed, after = (
        answered(outcome) for outcome in ports.submit(asked("clock.status"), many, asked("clock.status"))
    )
    made = [each for each in committed.members if isinstance(each, MemberDone)]
    assert [each.error.reason if each.error else "" for each in made] == [
        "", "precondition_failed", "archive_kind", "", "no_such_bucket", "",
    ]  # fmt: skip
    seqs = [before.head.seq, *(each.seq for each in made), after.head.seq]
    assert seqs == list(range(seqs[0], seqs[0] + 8))
    assert (committed.head.seq, committed.leaf, committed.position) == (made[-1].seq, made[-1].leaf, made[-1].position)
    assert committed.leaf == sha256(b"\0" + splice(committed.head, some[-1].encoded)).digest()
    assert (committed.head.prev, after.head.prev) == (made[-2].leaf.hex(), made[-1].leaf.hex())
    for key, each in (("k", made[0]), ("other", made[3]), ("last", made[5])):
        row = lookup.version_by_id(ports.state, "b", key, each.version_id)
        assert row is not None
        assert (row.seq, row.null) == (each.position, each.null)
        assert ports.bodies.read(each.position, 0, len(BODY)) == BODY
    assert lookup.key_row(ports.state, "b", "other") is not None


def test_the_chain_begins_with_the_hash_of_nothing() -> None:
    for made in (product, double):
        with made() as ports:
            first = ports.do("principal.add", actor=SERVER, principal=PrincipalRef("root", "root", "ROOT", ("root",)))
            assert (first.head.seq, first.head.prev) == (0, EMPTY_ROOT.hex())


def test_a_refusal_is_recorded_and_changes_nothing(ports: Ports) -> None:
    before = ports.state.get(rows.key_key("b", "k"))
    refusal = answered(ports.submit(asked("object.put", object=ObjectRef("b", "k"), refused=S3Error("BadDigest")))[0])
    assert (refusal.head.outcome, refusal.head.reason) == ("failure", "bad_digest")
    assert isinstance(refusal.error, S3Error)
    denied = ports.do("object.delete", actor=Actor("nobody"), object=ObjectRef("b", "k"))
    assert denied.head.outcome == "denied"
    assert ports.state.get(rows.key_key("b", "k")) == before
    assert (
        ports.do("object.put", BODY, object=ObjectRef("b", "k", size=0, content="c" * 64), storage=BYTES).error is None
    )


def test_what_was_made_is_in_the_durable_view_when_its_answer_comes(ports: Ports) -> None:
    seen: Future[Row | None] = Future()
    ports.journal.submit([put()], [lambda _: seen.set_result(ports.state.get(rows.key_key("b", "k")))])
    assert seen.result(30) is not None


def test_many_answers_come_once_each_and_in_order(ports: Ports) -> None:
    order: list[int] = []
    last: Future[None] = Future()
    for number in range(100):
        ports.journal.submit([put(f"k{number}")], [lambda _, number=number: order.append(number)])  # type: ignore[misc]
    ports.journal.submit([put()], [lambda _: last.set_result(None)])
    last.result(30)
    assert order == list(range(100))


def test_what_is_too_big_is_refused_and_nothing_of_what_came_with_it_is_queued(ports: Ports) -> None:
    first = ports.do("clock.status").head.seq
    tail = Tail(op="object.list", actor=ROOT, origin=Origin("s3", agent="x" * 40_000), object=ObjectRef("b"))
    with pytest.raises(S3Error) as caught:
        ports.submit(put(), Intent(tail, encode_tail(tail)))
    assert caught.value.s3_code == "MaxMessageLengthExceeded"
    assert ports.do("clock.status").head.seq == first + 1


def test_a_journal_that_has_stopped_takes_nothing(ports: Ports) -> None:
    ports.stop()
    with pytest.raises(Unavailable):
        ports.submit(put())


def test_a_lease_is_held_by_what_reads_and_by_nothing_else(ports: Ports) -> None:
    made = ports.do("object.put", BODY, object=ObjectRef("b", "k", size=0, content="c" * 64), storage=BYTES)
    made.release()
    read = ports.do("object.get", object=ObjectRef("b", "k"))
    assert read.row == made.row
    assert ports.bodies.read(made.position, 0, len(BODY)) == BODY
    read.release()


# Bodies


def test_bodies_are_found_by_the_position_of_their_record(ports: Ports) -> None:
    made = [answered(outcome) for outcome in ports.submit(put("a"), asked("clock.status"), put("b"))]
    for key, committed in (("a", made[0]), ("b", made[2])):
        lease = ports.do("object.get", object=ObjectRef("b", key))
        assert ports.bodies.seq_of(committed.position) == committed.head.seq
        assert ports.bodies.read(committed.position, 0, len(BODY)) == BODY
        assert ports.bodies.read(committed.position, 3, 4) == BODY[3:7]
        assert ports.bodies.read(committed.position, len(BODY), 0) == b""
        assert ports.bodies.at_hand(committed.position, 6) in {None, BODY[:6]}
        assert ports.bodies.at_hand(committed.position, len(BODY) + 1) is None
        with pytest.raises(CorruptError):
            ports.bodies.read(committed.position, 3, len(BODY))
        lease.release()
    for nothing in (made[1].position, lease.position):
        with pytest.raises(CorruptError):
            ports.bodies.read(nothing, 0, 1)


# State


def filled(view: str, index: Index, changes: Sequence[tuple[bytes, Row | None]]) -> State:
    """A view of the changes, in the middle of all that moves rows."""
    if view == "double":
        state = MemoryState()
        state.put(changes)
        return state
    sequenced = Sequenced(index)
    third = len(changes) // 3
    for number, some in enumerate((changes[:third], changes[third : 2 * third], changes[2 * third :])):
        sequenced.add(some)
        if number < 2 or view == "durable":
            sequenced.settle(number + 1)
        if number == 0:
            index.sync()
    return index if view == "durable" else sequenced


@pytest.mark.parametrize("view", ["double", "durable", "sequenced"])
@pytest.mark.parametrize("seed", range(4))
def test_rows_are_found_and_scanned_in_order(view: str, seed: int) -> None:
    rng = random.Random(seed)
    names = [b"mz" + rng.randbytes(rng.choice([1, 2, 3])) + b"x" * rng.choice([0, 0, 600]) for _ in range(60)]
    changes = [(rng.choice(names), MetaRow(rng.randrange(1 << 60)) if rng.random() < 0.7 else None) for _ in range(300)]
    model: dict[bytes, Row | None] = {}
    model.update(changes)
    with memory_directory() as root:
        index = Index(root / "index")
        state = filled(view, index, changes)
        for name in [*names, b"mz", b"mzmm"]:
            assert state.get(name) == model.get(name)
        for _ in range(40):
            start, end = sorted([rng.choice(names), rng.choice(names)])
            expected = [(key, row) for key, row in sorted(model.items()) if start <= key < end and row is not None]
            assert list(state.scan(start, end)) == expected
        assert list(state.scan(b"n", b"mz")) == []
        index.close()
