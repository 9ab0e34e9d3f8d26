"""Members decided together against the same operations one by one: the same records, to the byte, and the same rows."""

from __future__ import annotations

from concurrent.futures import Future
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doubles.ledger import member_done
from tests.doubles.memory import memory_directory
from tests.doubles.puts import together
from tests.doubles.writer import SERVER, START, Writer
from vault.errors import S3Error
from vault.ports import Committed, Intent, MemberDone
from vault.record import (
    Actor,
    BucketConfig,
    DefaultRetention,
    ObjectRef,
    Origin,
    PrincipalRef,
    Request,
    Storage,
    Tail,
    encode_tail,
)
from vault.times import DAY_NS, rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vault.state.rows import Row

#: A sealed document, and ciphertext of some length.
BODY: Final = (b"twelve bytes", b"and five and twenty more.")
BYTES: Final = Storage(1, "log", "d", "a" * 32, 12, 65_536, 25, "b" * 64)
BUCKETS: Final = ("plain", "versioned", "locked", "default", "strict", "missing", "100%b")
ADA, BOB = Actor("ada", roles=("root",)), Actor("bob", roles=("reader",))
ASKED: Final = (
    Request(http="PUT /x"),
    Request(if_none_match=True),
    Request(mode="COMPLIANCE", until=rfc3339(START + DAY_NS)),
    Request(mode="GOVERNANCE", until=rfc3339(START - DAY_NS)),
    Request(hold=True),
    Request(hold=False, http="100%d %b"),
    Request(if_match="1"),
)
KEYS: Final = st.sampled_from(["a", "b", "c/ü", 'quoted"\\', "100%d", "nul\0", "long" * 150])
MEMBER: Final = st.tuples(KEYS, st.sampled_from([0, 7, 10**12]), st.booleans())
#: Of each request: who, where, what is asked for, and its members.
REQUESTS: Final = st.lists(
    st.tuples(
        st.sampled_from([ADA, ADA, ADA, BOB, SERVER]),
        st.sampled_from(BUCKETS),
        st.sampled_from(ASKED),
        st.lists(MEMBER, min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=5,
)


def prepare(writer: Writer) -> None:
    writer.start()
    for who in (ADA, BOB):
        writer.do("principal.add", principal=PrincipalRef(who.id, who.id, who.id.upper(), who.roles))
    for name in BUCKETS:
        if name != "missing":
            config = BucketConfig(lock=name in {"locked", "default", "strict"}, strict=name == "strict")
            writer.do("bucket.create", actor=ADA, object=ObjectRef(name), bucket=config)
    writer.do("bucket.versioning.put", object=ObjectRef("versioned"), bucket=BucketConfig(versioning="Enabled"))
    default = BucketConfig(default=DefaultRetention("COMPLIANCE", days=1))
    writer.do("bucket.lock.put", object=ObjectRef("default"), bucket=default)


def intents(actor: Actor, bucket: str, asked: Request, members: Sequence[tuple[str, int, bool]]) -> list[Intent]:
    made = []
    for key, size, refused in members:
        named = ObjectRef(bucket, key) if refused else ObjectRef(bucket, key, size=size, content="c" * 64)
        tail = Tail(
            op="object.put",
            actor=actor,
            origin=Origin("s3"),
            object=named,
            storage=None if refused else BYTES,
            request=asked,
        )
        why = S3Error("InvalidRequest", reason="archive_kind") if refused else None
        made.append(Intent(tail, encode_tail(tail), () if refused else BODY, refused=why))
    return made


def commit(writer: Writer, *some: Intent) -> list[Committed]:
    answers: list[Future[Any]] = [Future() for _ in some]
    writer.committer.submit(some, [answer.set_result for answer in answers])
    return [answer.result(30) for answer in answers]


def rows(writer: Writer) -> list[tuple[bytes, Row]]:
    return list(writer.index.scan(b"", b"\xff"))


def stored(writer: Writer) -> list[tuple[bytes, bytes]]:
    """The index's file, to the byte."""
    with writer.index._env.begin() as txn:
        return list(txn.cursor())


def told(each: Any) -> tuple[Any, ...]:
    assert isinstance(each, MemberDone)
    return each.seq, each.position, each.leaf, each.version_id, each.null, each.error.reason if each.error else ""


@settings(max_examples=60, deadline=None)
@given(requests=REQUESTS)
def test_together_is_as_one_by_one(requests: list[Any]) -> None:
    with memory_directory() as one, memory_directory() as other, ExitStack() as open_:
        alone, many = Writer(one), Writer(other)
        for writer in (alone, many):
            open_.callback(writer.close)
        prepare(alone)
        prepare(many)
        for request in requests:
            apart = [member_done(each) for intent in intents(*request) for each in commit(alone, intent)]
            (done,) = commit(many, together(intents(*request)))
            assert list(map(told, done.members)) == list(map(told, apart))
            assert (done.head.seq, done.leaf) == (apart[-1].seq, apart[-1].leaf)
        assert many.records() == alone.records()
        assert rows(many) == rows(alone)
        for writer in (many, alone):
            writer.index.sync()
        assert rows(many) == rows(alone)
        assert stored(many) == stored(alone)
        assert many.committer.refused == alone.committer.refused
        assert many.fatal == alone.fatal == []
