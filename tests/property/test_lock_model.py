"""Decisions and effects against a model of S3 Object Lock that shares no code with them, one operation at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.doubles.model_pair import KEYS, Pair, weight
from tests.doubles.s3_model import DAY, SECOND, USERS, Asked
from vault.record import SUCCESS, BucketConfig, DefaultRetention, ObjectRef, Request, Storage
from vault.state.rows import VersionRow
from vault.times import parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

#: Mode, date and hold of a request's headers.
Lock = tuple[str, tuple[str, int] | None, bool | None]

START = parse_rfc3339("2028-02-29T12:00:00.123456789Z")
BYTES = Storage(1, "log", "d" * 32, "a" * 32, 300, 65_536, 10, "b" * 64)
ODD_IDS = ("null", "-0000001" + "a" * 24, "0000000f" + "a" * 24)

# Weighted, so that most requests get past the first checks to the rules that matter.
users = st.sampled_from(["root"] * 12 + ["olga"] * 6 + ["will"] * 2 + ["carl"] * 2 + list(USERS))
buckets = st.sampled_from(["b1"] * 8 + ["b2"] * 8 + ["none"])
keys = st.sampled_from(["a", "a", "a", "a/b"])
#: Which version a request names: the current one, one that was given out, or what :data:`ODD_IDS` has.
named = st.integers(-len(ODD_IDS), 9)
instants = st.tuples(
    st.sampled_from(["earlier", "later", "later", "lock"]),
    st.sampled_from([-DAY, -1, 0, 1, SECOND, DAY, 3 * DAY, 30 * DAY, 30 * DAY]),
)
modes = st.sampled_from(["GOVERNANCE", "COMPLIANCE"])
holds = st.sampled_from([None, None, None, True, False])
lock_headers = st.one_of(
    st.tuples(st.just(""), st.none(), holds),
    st.tuples(modes, st.tuples(st.just("later"), st.sampled_from([DAY, 30 * DAY])), holds),
    st.tuples(st.sampled_from(["", "GOVERNANCE", "COMPLIANCE", "governance"]), st.none() | instants, holds),
)
defaults = st.none() | st.tuples(modes, st.sampled_from([(1, 0), (7, 0), (0, 1), (0, 3)]))


class LockMachine(RuleBasedStateMachine):
    """Each rule asks the product and the model the same."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair(START)
        self.model, self.ask = self.pair.model, self.pair.ask
        self.uploads: list[tuple[str, str, str]] = []

    def version_id(self, bucket: str, key: str, which: int) -> str:
        given = self.pair.ids.get((bucket, key), [])
        if which < 0:
            return ODD_IDS[which]
        return given[-1 - which % len(given)] if which > 2 and given else ""

    def instant(self, at: tuple[str, int], bucket: str, key: str) -> int:
        earlier, later = sorted((self.model.wall, self.model.clock))
        lock = 0
        if bucket in self.model.buckets:
            found = self.model.current(bucket, key)
            lock = found.until if found is not None else 0
        return {"earlier": earlier, "later": later, "lock": lock or later}[at[0]] + at[1]

    def asked(self, lock: Lock, bucket: str, key: str) -> Asked:
        until = self.instant(lock[1], bucket, key) if lock[1] is not None else None
        return Asked(lock[0], until, lock[2])

    # Rules

    @initialize(
        kind=st.sampled_from(["plain", "suspended", "suspended", "versioned", "lock", "strict", "strict lock"]),
        default=defaults,
    )
    def begin(self, kind: str, default: tuple[str, tuple[int, int]] | None) -> None:
        self.create_bucket("root", "b1", lock=True, strict=False)
        self.create_bucket("olga", "b2", lock="lock" in kind, strict="strict" in kind)
        self.put_lock("root", "b1", default)
        for key in KEYS:
            self.put("root", "b1", key, ("COMPLIANCE", ("later", DAY), None), fresh=True, match="")
            self.put("root", "b1", key, ("", None, None), fresh=False, match="")
            self.put("root", "b2", key, ("", None, None), fresh=False, match="")
        if kind in {"suspended", "versioned"}:
            self.put_versioning("olga", "b2", "Enabled")
            self.put("olga", "b2", "a", ("", None, None), fresh=False, match="")
        if kind == "suspended":
            self.put_versioning("olga", "b2", "Suspended")

    @rule(key=keys, lock=lock_headers, parts=st.integers(1, 3))
    def send_whole(self, key: str, lock: Lock, parts: int) -> None:
        """A multipart upload from its beginning to its end."""
        self.create_upload("root", "b1", key, lock)
        for number in range(1, parts + 1):
            self.part("root", 0, number)
        self.complete("root", 0, "")

    @rule(bucket=buckets, key=keys, lock=lock_headers, bypass=st.sampled_from([None, True]), fresh=st.booleans())
    def remove_and_store(self, bucket: str, key: str, lock: Lock, *, bypass: bool | None, fresh: bool) -> None:
        """The newest version goes, or is hidden, and another one comes."""
        given = len(self.pair.ids.get((bucket, key), []))
        self.delete("root", bucket, key, 3 + -3 % given if given and bypass else 0, bypass=bypass)
        self.put("root", bucket, key, lock, fresh=fresh, match="")

    @rule(user=users, bucket=buckets, lock=st.booleans(), strict=st.booleans())
    def create_bucket(self, user: str, bucket: str, *, lock: bool, strict: bool) -> None:
        config = BucketConfig(owner=user, lock=lock, strict=strict)
        if bucket != "none":
            named = ObjectRef(bucket)
            self.ask(
                "bucket.create",
                user,
                lambda: self.model.create_bucket(user, bucket, lock=lock, strict=strict),
                object=named,
                bucket=config,
            )

    @rule(user=users, bucket=buckets)
    def delete_bucket(self, user: str, bucket: str) -> None:
        self.ask("bucket.delete", user, lambda: self.model.delete_bucket(user, bucket), object=ObjectRef(bucket))

    @rule(user=users, bucket=buckets, status=st.sampled_from(["Enabled", "Suspended"]))
    def put_versioning(self, user: str, bucket: str, status: str) -> None:
        self.ask(
            "bucket.versioning.put",
            user,
            lambda: self.model.put_versioning(user, bucket, status),
            object=ObjectRef(bucket),
            bucket=BucketConfig(versioning=status),
        )

    @rule(user=users, bucket=buckets, default=defaults)
    def put_lock(self, user: str, bucket: str, default: tuple[str, tuple[int, int]] | None) -> None:
        wanted = DefaultRetention(default[0], *default[1]) if default is not None else None
        self.ask(
            "bucket.lock.put",
            user,
            lambda: self.model.put_lock(user, bucket, (default[0], *default[1]) if default is not None else None),
            object=ObjectRef(bucket),
            bucket=BucketConfig(lock=True, default=wanted),
        )

    @rule(
        user=users,
        bucket=buckets,
        key=keys,
        lock=lock_headers,
        fresh=st.sampled_from([False, False, False, True]),
        match=st.sampled_from(["", "", "", "", "1", "3"]),
    )
    def put(
        self,
        user: str,
        bucket: str,
        key: str,
        lock: Lock,
        *,
        fresh: bool,
        match: str,
    ) -> None:
        asked = self.asked(lock, bucket, key)
        head, row = self.ask(
            "object.put",
            user,
            lambda: self.model.put(user, bucket, key, asked, if_none_match=fresh, if_match=match),
            object=ObjectRef(bucket, key, size=10, content="c" * 64),
            storage=BYTES,
            request=_request(asked, if_none_match=fresh, if_match=match),
        )
        if head.outcome == SUCCESS:
            assert row is None
            self.pair.note_version(bucket, key, head)

    @rule(user=users, bucket=buckets, key=keys, which=named, bypass=st.sampled_from([None, True, False]))
    def delete(self, user: str, bucket: str, key: str, which: int, *, bypass: bool | None) -> None:
        wanted, sent = self.version_id(bucket, key, which), bypass is not None
        head, row = self.ask(
            "object.delete",
            user,
            lambda: self.model.delete(user, bucket, key, wanted, bypass=bypass is True, sent=sent),
            object=ObjectRef(bucket, key, wanted),
            request=Request(bypass=bypass is True, bypass_sent=sent),
        )
        if head.outcome == SUCCESS and not wanted and self.model.buckets[bucket].versioning:
            assert head.version is not None
            assert row is None
            self.pair.note_version(bucket, key, head)

    @rule(user=users, bucket=buckets, key=keys, which=named, op=st.sampled_from(["object.get", "object.head"]))
    def read(self, user: str, bucket: str, key: str, which: int, op: str) -> None:
        self.look(op, user, bucket, key, which, lambda *args: self.model.get(*args, head=op == "object.head"))

    @rule(user=users, bucket=buckets, key=keys, which=named)
    def get_retention(self, user: str, bucket: str, key: str, which: int) -> None:
        self.look("object.retention.get", user, bucket, key, which, self.model.get_retention)

    @rule(user=users, bucket=buckets, key=keys, which=named)
    def get_hold(self, user: str, bucket: str, key: str, which: int) -> None:
        self.look("object.hold.get", user, bucket, key, which, self.model.get_hold)

    def look(self, op: str, user: str, bucket: str, key: str, which: int, answer: Callable[..., Any]) -> None:
        wanted = self.version_id(bucket, key, which)
        found: list[Any] = []
        _, row = self.ask(
            op,
            user,
            lambda: found.append(answer(user, bucket, key, wanted)),
            object=ObjectRef(bucket, key, wanted),
            request=Request(),
        )
        if found:
            assert isinstance(row, VersionRow)
            assert weight(row) == found[0].weight()

    @rule(user=users, bucket=buckets, key=keys, which=named, mode=modes, at=st.none() | instants, bypass=st.booleans())
    def put_retention(
        self, user: str, bucket: str, key: str, which: int, mode: str, at: tuple[str, int] | None, *, bypass: bool
    ) -> None:
        wanted = self.version_id(bucket, key, which)
        new = (mode, self.instant(at, bucket, key)) if at is not None else None
        self.ask(
            "object.retention.put",
            user,
            lambda: self.model.put_retention(user, bucket, key, wanted, new, bypass=bypass),
            object=ObjectRef(bucket, key, wanted),
            request=Request(mode=mode, until=rfc3339(new[1]), bypass=bypass)
            if new is not None
            else Request(remove=True, bypass=bypass),
        )

    @rule(user=users, bucket=buckets, key=keys, which=named, on=st.booleans())
    def put_hold(self, user: str, bucket: str, key: str, which: int, *, on: bool) -> None:
        wanted = self.version_id(bucket, key, which)
        self.ask(
            "object.hold.put",
            user,
            lambda: self.model.put_hold(user, bucket, key, wanted, on=on),
            object=ObjectRef(bucket, key, wanted),
            request=Request(hold=on),
        )

    @rule(user=users, bucket=buckets, key=keys, lock=lock_headers)
    def create_upload(self, user: str, bucket: str, key: str, lock: Lock) -> None:
        asked, upload = self.asked(lock, bucket, key), f"{len(self.pair.records):032x}"
        head, _ = self.ask(
            "multipart.create",
            user,
            lambda: self.model.create_upload(user, bucket, key, upload, asked),
            object=ObjectRef(bucket, key, upload_id=upload),
            storage=BYTES,
            request=_request(asked),
        )
        if head.outcome == SUCCESS:
            self.uploads.append((bucket, key, upload))

    def upload(self, which: int) -> tuple[str, str, str]:
        return self.uploads[-1 - which % len(self.uploads)] if self.uploads else ("b1", "a", "0" * 32)

    @rule(user=users, which=st.integers(0, 3), number=st.sampled_from([1, 1, 2, 3, 0, 10_001]))
    def part(self, user: str, which: int, number: int) -> None:
        bucket, key, upload = self.upload(which)
        self.ask(
            "multipart.part",
            user,
            lambda: self.model.part(user, bucket, key, upload, number, len(self.pair.records)),
            object=ObjectRef(bucket, key, upload_id=upload, part=number, size=5, content="c" * 64),
            storage=BYTES,
        )

    @rule(user=users, which=st.integers(0, 3), spoil=st.sampled_from(["", "", "", "order", "seq", "number", "none"]))
    def complete(self, user: str, which: int, spoil: str) -> None:
        bucket, key, upload = self.upload(which)
        known = self.model.buckets[bucket].uploads.get(upload) if bucket in self.model.buckets else None
        parts = sorted(known.parts.items()) if known is not None else [(1, 0)]
        spoilt = {
            "order": parts[::-1] * 2,
            "seq": [(number, seq + 1) for number, seq in parts],
            "number": [*parts, (70_000, 0)],
            "none": [],
        }
        listed = spoilt.get(spoil, parts)
        head, _ = self.ask(
            "multipart.complete",
            user,
            lambda: self.model.complete(user, bucket, key, upload, listed),
            parts=listed,
            object=ObjectRef(bucket, key, upload_id=upload, size=10, content="c" * 64),
            storage=msgspec.structs.replace(BYTES, kind="parts"),
        )
        if head.outcome == SUCCESS:
            self.pair.note_version(bucket, key, head)

    @rule(user=users, which=st.integers(0, 3))
    def abort(self, user: str, which: int) -> None:
        bucket, key, upload = self.upload(which)
        named = ObjectRef(bucket, key, upload_id=upload)
        self.ask("multipart.abort", user, lambda: self.model.abort(user, bucket, key, upload), object=named)

    @rule(span=st.sampled_from([1, SECOND, DAY, 8 * DAY, 400 * DAY]))
    def time_passes(self, span: int) -> None:
        self.model.wall += span
        self.model.clock += span

    @rule(jump=st.sampled_from([-400 * DAY, -DAY, -SECOND, SECOND, DAY, 400 * DAY]))
    def wall_jumps(self, jump: int) -> None:
        self.model.wall = max(self.model.wall + jump, START - 500 * DAY)

    @rule(span=st.sampled_from([SECOND, DAY, 400 * DAY]))
    def clock_catches_up(self, span: int) -> None:
        self.model.clock += span

    @invariant()
    def both_agree(self) -> None:
        self.pair.check_buckets()
        self.pair.check_versions()
        self.pair.check_uploads()

    def teardown(self) -> None:
        self.pair.check_replay()


def _request(asked: Asked, **fields: Any) -> Request:
    until = rfc3339(asked.until) if asked.until is not None else ""
    return Request(mode=asked.mode, until=until, hold=asked.hold, **fields)


TestLockModel = LockMachine.TestCase
TestLockModel.settings = settings(max_examples=150, stateful_step_count=50)
