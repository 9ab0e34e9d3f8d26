"""The product's decisions and effects beside the model's, on the same operations, compared after each.

What the committer does is done here without a disk: decide, write the record, apply it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.doubles.ledger import MemoryState, head_of
from tests.doubles.officer import WholeModel
from tests.doubles.s3_model import DISABLED, USERS, Refused
from vault.policy import SYSTEM
from vault.record import (
    SUCCESS,
    Actor,
    DefaultRetention,
    Head,
    Origin,
    PrincipalRef,
    Tail,
    decode,
    encode_tail,
    splice,
)
from vault.state import lookup, rows
from vault.state.apply import apply
from vault.state.decide import decide
from vault.state.rows import BucketRow, KeyRow, PartRow, UploadRow, VersionRow
from vault.times import Now, parse_rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BUCKETS = ("b1", "b2")
KEYS = ("a", "a/b")


class Pair:
    """Both sides of the comparison.

    Attributes:
        state: The product's rows.
        model: The model.
        records: Every record with the parts that its body lists.
        ids: Version ids given out, by bucket and key, oldest first.
    """

    def __init__(self, now: int) -> None:
        self.state = MemoryState()
        self.model = WholeModel(now)
        self.records: list[tuple[bytes, Sequence[tuple[int, int]]]] = []
        self.ids: dict[tuple[str, str], list[str]] = {(bucket, key): [] for bucket in BUCKETS for key in KEYS}
        for name, role in USERS.items():
            self.commit("principal.add", SYSTEM, principal=PrincipalRef(name, name, name.upper(), (role,)))
        self.commit("principal.disable", SYSTEM, principal=PrincipalRef(DISABLED, "", "", ()))

    def commit(
        self, op: str, user: str, parts: Sequence[tuple[int, int]] = (), **fields: Any
    ) -> tuple[Head, object | None]:
        tail = Tail(op=op, actor=Actor(user), origin=Origin("s3"), **fields)
        now = Now(self.model.wall, self.model.clock)
        guarded = self.guarded()
        decision = decide(tail, self.state, now, parts)
        head = head_of(decision, now, len(self.records))
        record = splice(head, encode_tail(tail))
        self.state.put(apply(head, tail, self.state))
        self.records.append((record, parts))
        self.check_guarded(guarded)
        return head, decision.row

    def ask(self, op: str, user: str, answer: Callable[[], object], **fields: Any) -> tuple[Head, object | None]:
        """Have both decide, and compare outcome and reason."""
        try:
            answer()
            expected = ""
        except Refused as refused:
            expected = refused.reason
        head, row = self.commit(op, user, **fields)
        assert head.reason == expected, f"{op} by {user}: {head.reason!r}, and the model says {expected!r}"
        assert (head.outcome == SUCCESS) == (expected == "")
        return head, row

    def guarded(self) -> dict[bytes, VersionRow]:
        """Versions that nobody may remove or weaken now, as the product's own rows have them."""
        earlier = min(self.model.wall, self.model.clock)
        return {
            key: row
            for key, row in self.state.scan(b"v", b"w")
            if isinstance(row, VersionRow)
            and (row.hold or self.matters_of(key, row) or (row.mode == "COMPLIANCE" and row.until > earlier))
        }

    def matters_of(self, where: bytes, row: VersionRow) -> tuple[str, ...]:
        """The matters that hold a version, as the product says."""
        bucket = where[1 : where.index(b"\0")].decode()
        return lookup.lock_of(self.state, bucket, rows.name_in(where), row).matters

    def check_matters(self) -> None:
        """Each version is held by the same matters on both sides."""
        for bucket, key in self.ids:
            expected = self.model.buckets[bucket].keys[key] if bucket in self.model.buckets else []
            for version in expected:
                where = rows.version_key(bucket, key, version.ordinal)
                row = self.state.get(where)
                assert isinstance(row, VersionRow)
                assert self.matters_of(where, row) == tuple(self.model.matters.holding(bucket, key, version))

    def check_guarded(self, before: dict[bytes, VersionRow]) -> None:
        earlier = min(self.model.wall, self.model.clock)
        for key, row in before.items():
            left = self.state.get(key)
            assert isinstance(left, VersionRow), f"version {row.version_id} was locked and is gone"
            assert (left.seq, left.storage, left.manifest) == (row.seq, row.storage, row.manifest)
            if row.mode == "COMPLIANCE" and row.until > earlier:
                assert left.mode == "COMPLIANCE"
                assert left.until >= row.until

    def note_version(self, bucket: str, key: str, head: Head) -> None:
        """A version was made: the model learns the id, which it cannot foresee."""
        version = head.version
        assert version is not None
        made = self.model.buckets[bucket].keys[key][-1]
        assert (version.ordinal, version.marker, version.null) == (made.ordinal, made.marker, made.null)
        made.id = version.version_id
        self.ids[bucket, key].append(made.id)

    def check_buckets(self) -> None:
        found = {row.name: row for _, row in self.state.scan(b"b", b"c") if isinstance(row, BucketRow)}
        assert found.keys() == self.model.buckets.keys()
        for name, bucket in self.model.buckets.items():
            row, default = found[name], bucket.default
            assert (row.owner, row.lock, row.strict, row.versioning) == (
                bucket.owner,
                bucket.lock,
                bucket.strict,
                bucket.versioning,
            )
            assert row.default == (DefaultRetention(*default) if default is not None else None)

    def check_versions(self) -> None:
        for bucket, key in self.ids:
            expected = self.model.buckets[bucket].keys[key] if bucket in self.model.buckets else []
            prefix = rows.versions_prefix(bucket, key)
            found = [row for _, row in self.state.scan(prefix, prefix + b"\xff" * 9) if isinstance(row, VersionRow)]
            assert [weight(row) for row in found] == [version.weight() for version in reversed(expected)]
            assert [row.version_id for row in found] == [version.id for version in reversed(expected)]
            row = self.state.get(rows.key_key(bucket, key))
            if isinstance(row, KeyRow):
                assert row.ordinal == self.model.given[bucket, key]
                assert row.current == (found[0] if found else None)
                assert row.null == next((version.ordinal for version in expected if version.null), 0)
            else:
                assert self.model.given[bucket, key] == 0

    def check_uploads(self) -> None:
        found = {row.upload_id: row for _, row in self.state.scan(b"u", b"v") if isinstance(row, UploadRow)}
        known = {name: upload for bucket in self.model.buckets.values() for name, upload in bucket.uploads.items()}
        assert found.keys() == known.keys()
        for name, upload in known.items():
            parts = self.state.scan(rows.part_key(name, 0), rows.part_key(name, 0xFFFF))
            assert {row.number: row.seq for _, row in parts if isinstance(row, PartRow)} == upload.parts
            asked = upload.asked
            assert (found[name].mode, found[name].until, found[name].hold) == (
                asked.mode,
                asked.until or 0,
                asked.hold is True,
            )

    def check_replay(self) -> None:
        """The records alone give every decision and every row again."""
        again = MemoryState()
        for record, parts in self.records:
            head, tail = decode(record)
            decision = decide(tail, again, Now(parse_rfc3339(head.time), parse_rfc3339(head.clock)), parts)
            assert (decision.version, decision.lock) == (head.version, head.lock)
            assert (decision.error.reason if decision.error is not None else "") == head.reason
            again.put(apply(head, tail, again))
        assert dict(again.rows) == dict(self.state.rows)


def weight(row: VersionRow) -> tuple[object, ...]:
    return row.ordinal, row.marker, row.null, row.mode, row.until, row.hold
