"""No history that the writer's own rules allow is a finding, whole or from any stream's beginning on.

The records come of ``decide`` and ``apply`` under random requests and two clocks that disagree; the verifier, which
shares no code with them, replays them all, and again the later half alone, as of a stream that took another over.
"""

from __future__ import annotations

import hashlib
from random import Random
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.verify.locks import Locks
from audit.verify.records import Checker
from tests.doubles.ledger import STREAM, MemoryState, head_of
from vault import retention
from vault.matters import MatterQuery, MatterRef
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
    splice,
)
from vault.state import lookup
from vault.state.apply import apply
from vault.state.decide import decide
from vault.state.decision import Decision
from vault.times import DAY_NS, MAX_NS, NS, Now, parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audit.verify.event import Event
    from audit.verify.report import Finding
    from vault.retention import Lock

BUCKETS: Final = ("b1", "b2")
KEYS: Final = ("k", "l")
MODES: Final = ("GOVERNANCE", "COMPLIANCE")
DEFAULTS: Final = (
    None,
    DefaultRetention("COMPLIANCE", days=30),
    DefaultRetention("GOVERNANCE", days=1),
    DefaultRetention("GOVERNANCE", days=36_500),
    DefaultRetention("COMPLIANCE", years=1),
    DefaultRetention("GOVERNANCE", years=4),
)
#: Instants around which calendars are hard.
STARTS: Final = (
    parse_rfc3339("2024-02-29T11:00:00Z"),
    parse_rfc3339("2028-02-28T23:59:59.999500001Z"),
    parse_rfc3339("1999-12-31T23:59:59Z"),
    parse_rfc3339("9950-01-01T00:00:00Z"),
)
OPERATIONS: Final = 150


class History:
    """A writer without disk, threads and network."""

    def __init__(self, random: Random) -> None:
        self.records: list[bytes] = []
        self._random = random
        self._state = MemoryState()
        self._prev = hashlib.sha256(b"")
        self._clock = random.choice(STARTS)
        self._uploads: list[tuple[str, str, str, dict[int, int]]] = []
        self._matters: list[str] = []
        self.held: set[int] = set()  # records that removed a version under a matter, where the gate is not asked of any
        self._do("principal.add", principal=PrincipalRef("p1", "ada", "AK1", ("root",)))
        self._do("principal.add", principal=PrincipalRef("p2", "bob", "AK2", ("writer", "compliance")))
        steps: Sequence[tuple[int, Callable[[], None]]] = (
            (6, self._create), (3, self._drop), (6, self._lock), (3, self._version), (27, self._put),
            (25, self._delete), (6, self._retain), (6, self._hold), (6, self._begin), (12, self._part),
            (5, self._complete), (3, self._abort), (7, self._open), (5, self._close),
        )  # fmt: skip
        for step in random.choices([step for _, step in steps], [weight for weight, _ in steps], k=OPERATIONS):
            step()

    def _do(self, op: str, parts: Sequence[tuple[int, int]] = (), **tail: Any) -> bool:
        random = self._random
        self._clock += random.choice([1, 1, 1, 999_999, NS, DAY_NS, 40 * DAY_NS])
        wall = self._clock + random.choice([0, 0, 1, 5 * NS, -NS, 20 * DAY_NS, -20 * DAY_NS])
        now = Now(min(wall, MAX_NS), min(self._clock, MAX_NS))
        actor = "p2" if op.startswith("matter.") or (op == "object.put" and random.random() < 0.4) else "p1"
        made = Tail(op=op, actor=Actor(actor), origin=Origin("s3"), **tail)
        decision = decide(made, self._state, now, parts) if len(self.records) > 1 else Decision()
        self._note_held(made, decision)
        head = head_of(decision, now, len(self.records), self._prev.digest())
        record = splice(head, encode_tail(made))
        self._state.put(apply(head, made, self._state))
        self._prev = hashlib.sha256(b"\0" + record)
        self.records.append(record)
        return decision.error is None

    def _note_held(self, tail: Tail, decision: Decision) -> None:
        """Note what is removed under a matter, by a look at the rows and not at the gate."""
        version, named = decision.version, tail.object
        if decision.error is not None or version is None or named is None:
            return
        removes = tail.op == "object.delete" and (named.version_id or not version.marker)
        ordinal = version.replaced or (version.ordinal if removes else 0)
        row = lookup.version_by_ordinal(self._state, named.bucket, named.key, ordinal)
        if row is not None and lookup.lock_of(self._state, named.bucket, named.key, row).matters:
            self.held.add(len(self.records))

    def _open(self) -> None:
        matter, random = random_id(self._random), self._random
        since, before = sorted(self._clock + random.choice([-90, -30, -1, 0, 1, 30]) * DAY_NS for _ in range(2))
        query = MatterQuery(
            *random.choice([("b1", False), ("b2", False), ("", True)]),
            random.choice(["", "", "k", "l", "m"]),
            rfc3339(min(max(since, 0), MAX_NS)) if random.random() < 0.4 else "",
            rfc3339(min(before + 1, MAX_NS)) if random.random() < 0.4 else "",
            random.choice(["", "", "p1", "p2"]),
        )
        if self._do("matter.open", matter=MatterRef(matter, "n", "r", "o", query)):
            self._matters.append(matter)

    def _close(self) -> None:
        matter = self._random.choice(self._matters) if self._matters else "0" * 16
        self._do("matter.close", matter=MatterRef(matter, reason="settled"))

    def _object(self, **more: Any) -> ObjectRef:
        return ObjectRef(self._random.choice(BUCKETS), self._random.choice(KEYS), **more)

    def _some_version(self) -> ObjectRef:
        """A version that is there, by its id or as ``null`` or unnamed; where there is none, a key."""
        there = [
            ObjectRef(bucket, key, row.version_id)
            for bucket in BUCKETS
            for key in KEYS
            for row in lookup.versions(self._state, bucket, key)
        ]
        if not there:
            return self._object()
        found = self._random.choice(there)
        return ObjectRef(found.bucket, found.key, self._random.choice([found.version_id, found.version_id, "null", ""]))

    def _until(self) -> str:
        ahead = self._random.choice([1, 10**6, NS, DAY_NS, 30 * DAY_NS, 100 * DAY_NS, -5, 10**18])
        return rfc3339(min(self._clock + ahead, MAX_NS))

    def _asked(self) -> Request:
        mode = self._random.choice(["", "", "", *MODES])
        hold = self._random.choice([None, None, None, True, False])
        return Request(mode=mode, until=self._until() if mode else "", hold=hold)

    def _create(self) -> None:
        config = BucketConfig(owner="p1", lock=self._random.random() < 0.6, strict=self._random.random() < 0.4)
        self._do("bucket.create", object=ObjectRef(self._random.choice(BUCKETS)), bucket=config)

    def _drop(self) -> None:
        self._do("bucket.delete", object=ObjectRef(self._random.choice(BUCKETS)))

    def _lock(self) -> None:
        config = BucketConfig(lock=True, default=self._random.choice(DEFAULTS))
        self._do("bucket.lock.put", object=ObjectRef(self._random.choice(BUCKETS)), bucket=config)

    def _version(self) -> None:
        config = BucketConfig(versioning=self._random.choice(["Enabled", "Suspended"]))
        self._do("bucket.versioning.put", object=ObjectRef(self._random.choice(BUCKETS)), bucket=config)

    def _put(self) -> None:
        named = self._object(size=10, content="00" * 32)
        self._do("object.put", object=named, storage=stored(10), request=self._asked())

    def _delete(self) -> None:
        named = self._some_version() if self._random.random() < 0.85 else self._object()
        self._do("object.delete", object=named, request=Request(bypass=self._random.random() < 0.7))

    def _retain(self) -> None:
        asked = Request(mode=self._random.choice(MODES), until=self._until(), bypass=self._random.random() < 0.5)
        if self._random.random() < 0.3:
            asked = Request(remove=True, bypass=True)
        self._do("object.retention.put", object=self._some_version(), request=asked)

    def _hold(self) -> None:
        self._do("object.hold.put", object=self._some_version(), request=Request(hold=self._random.random() < 0.3))

    def _begin(self) -> None:
        upload, named = f"{self._random.getrandbits(64):016x}", self._object()
        asked = ObjectRef(named.bucket, named.key, upload_id=upload, content="00" * 32)
        if self._do("multipart.create", object=asked, storage=stored(0), request=self._asked()):
            self._uploads.append((named.bucket, named.key, upload, {}))

    def _part(self) -> None:
        for bucket, key, upload, parts in self._uploads[-2:]:
            number, seq = self._random.choice([1, 2]), len(self.records)
            named = ObjectRef(bucket, key, upload_id=upload, part=number, size=10, content="00" * 32)
            if self._do("multipart.part", object=named, storage=stored(10)):
                parts[number] = seq

    def _complete(self) -> None:
        for upload in [upload for upload in self._uploads if upload[3]][:1]:
            bucket, key, name, parts = upload
            named = ObjectRef(bucket, key, upload_id=name, size=10 * len(parts), content="00" * 32)
            listed = Storage(1, "parts", "d1", "00" * 16, 48, 0, 30, "ab" * 32)
            if self._do("multipart.complete", sorted(parts.items()), object=named, storage=listed, request=Request()):
                self._uploads.remove(upload)

    def _abort(self) -> None:
        for upload in self._uploads[:1]:
            bucket, key, name, _ = upload
            if self._do("multipart.abort", object=ObjectRef(bucket, key, upload_id=name)):
                self._uploads.remove(upload)


def random_id(random: Random) -> str:
    return f"{random.getrandbits(64):016x}"


def stored(size: int) -> Storage:
    """A descriptor that fits a body in one chunk."""
    return Storage(1, "log", "d1", "00" * 16, 48, 128 * 1024, size + 16, "ab" * 32)


def judged(events: Sequence[Event], *, inherits: bool) -> list[Finding]:
    locks = Locks(str)
    locks.inherits = inherits
    for event in events:
        locks.apply(event)
    locks.finish()
    return locks.findings


@settings(max_examples=60)
@given(st.randoms(use_true_random=False).map(lambda random: random.getrandbits(64)))
def test_what_the_writer_allows_is_no_finding(seed: int) -> None:
    made = History(Random(seed))
    checker = Checker(b'"%b"' % STREAM.encode(), 0, str)
    checker.feed(made.records)
    run = checker.run()
    assert [finding for finding in run.findings if "clocks are ahead" not in finding.why] == []
    assert judged(run.events, inherits=False) == []
    middle = len(made.records) // 2
    assert judged([event for event in run.events if event.seq >= middle], inherits=True) == []


@settings(max_examples=40)
@given(st.randoms(use_true_random=False).map(lambda random: random.getrandbits(64)))
def test_a_gate_that_forgets_matters_is_found_out_at_every_version_that_it_let_go(seed: int) -> None:
    asked = retention.decide_removal

    def forgetful(lock: Lock, now: Now, *, bypass: bool) -> None:
        asked(lock._replace(matters=()), now, bypass=bypass)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(retention, "decide_removal", forgetful)
        made = History(Random(seed))
    checker = Checker(b'"%b"' % STREAM.encode(), 0, str)
    checker.feed(made.records)
    found = judged(checker.run().events, inherits=False)
    assert {finding.seq for finding in found} == made.held
    assert all("while the matter " in finding.why for finding in found)
