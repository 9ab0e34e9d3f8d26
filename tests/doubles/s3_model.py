"""S3 Object Lock as its documentation tells it, and the vault's roles as its README tells them: to test against.

Written from the documentation (S3 User Guide, *Locking objects with Object Lock*, *Working with delete markers*,
*Using versioning*), with plain lists and no code of the product, so that the two can disagree. Every operation either
changes the model or raises :class:`Refused` with the reason that a record gives.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.doubles.matters_model import Matters

SECOND = 10**9
DAY = 86_400 * SECOND

#: Who is who: root may do all; an owner all, but in the buckets it made only; the others one thing each.
USERS = {
    "root": "root",
    "olga": "owner",
    "otto": "owner",
    "will": "writer",
    "rita": "reader",
    "carl": "compliance",
    "dora": "root",
}
#: Whose root role does not help: disabled.
DISABLED = "dora"
MAY = {
    "writer": {"see", "head", "put", "retain"},
    "reader": {"see", "head", "get", "see lock"},
    "compliance": {"see", "head", "see lock", "retain", "hold"},
}


class Refused(Exception):
    """Not done."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Asked:
    """The lock in a request: headers that are there are not None."""

    mode: str = ""
    until: int | None = None
    hold: bool | None = None


@dataclass
class Version:
    ordinal: int
    marker: bool = False
    null: bool = False
    mode: str = ""
    until: int = 0
    hold: bool = False
    spoken: bool = False  # whether a hold was ever switched, on or off
    id: str = ""
    made: tuple[str, int, int] = ("", 0, 0)  # by whom, and when by the two clocks

    def weight(self) -> tuple[object, ...]:
        return self.ordinal, self.marker, self.null, self.mode, self.until, self.hold


@dataclass
class Upload:
    key: str
    asked: Asked
    parts: dict[int, int] = field(default_factory=dict)


@dataclass
class Bucket:
    owner: str
    lock: bool
    strict: bool
    versioning: str = ""
    default: tuple[str, int, int] | None = None  # mode, days, years
    keys: dict[str, list[Version]] = field(default_factory=lambda: defaultdict(list))  # oldest first
    uploads: dict[str, Upload] = field(default_factory=dict)


class Model:
    """A vault's buckets. ``wall`` and ``clock`` are the two clocks in ns, moved by the test."""

    def __init__(self, now: int) -> None:
        self.wall = self.clock = now
        self.buckets: dict[str, Bucket] = {}
        self.matters, self.user = Matters(), ""
        self.given: dict[tuple[str, str], int] = defaultdict(int)  # ordinals outlive buckets

    # Who

    def _allow(self, user: str, right: str, name: str) -> None:
        self.user = user
        if user == DISABLED:
            raise Refused("principal")
        role = USERS[user]
        bucket = self.buckets.get(name)
        owns = role == "owner" and (bucket is None or bucket.owner == user or right == "create")
        if role != "root" and not owns and right not in MAY.get(role, ()):
            raise Refused("policy")

    def _may_bypass(self, user: str, name: str) -> bool:
        return user == "root" or (USERS[user] == "owner" and self.buckets[name].owner == user)

    def _bucket(self, name: str) -> Bucket:
        if name not in self.buckets:
            raise Refused("no_such_bucket")
        return self.buckets[name]

    # Locks: a retention counts from the later clock and runs out by the earlier one

    def running(self, version: Version) -> bool:
        return version.mode != "" and version.until > min(self.wall, self.clock)

    def _remove(self, name: str, key: str, version: Version, *, bypass: bool) -> None:
        if version.hold or self.matters.holding(name, key, version):
            raise Refused("legal_hold")
        if self.running(version) and (version.mode == "COMPLIANCE" or not bypass):
            raise Refused("retention")
        self.buckets[name].keys[key].remove(version)

    def _future(self, until: int) -> None:
        if until <= max(self.wall, self.clock):
            raise Refused("invalid_argument")

    def _default_until(self, days: int, years: int) -> int:
        start = -(-max(self.wall, self.clock) // 10**6) * 10**6  # S3 keeps milliseconds
        if days:
            return start + days * DAY
        seconds, rest = divmod(start, SECOND)
        date = datetime.fromtimestamp(seconds, UTC)
        try:
            date = date.replace(year=date.year + years)
        except ValueError:  # there is no 29 February then
            date = date.replace(year=date.year + years, month=3, day=1)
        return int(date.timestamp()) * SECOND + rest

    def _check_asked(self, bucket: Bucket, asked: Asked) -> None:
        if not asked.mode and asked.until is None and asked.hold is None:
            return
        if not bucket.lock:
            raise Refused("invalid_request")
        if (asked.mode == "") != (asked.until is None) or asked.mode not in {"", "GOVERNANCE", "COMPLIANCE"}:
            raise Refused("invalid_argument")
        if asked.until is not None:
            self._future(asked.until)

    # Buckets

    def create_bucket(self, user: str, name: str, *, lock: bool, strict: bool) -> None:
        self._allow(user, "create", name)
        if name in self.buckets:
            mine = self.buckets[name].owner == user
            raise Refused("bucket_already_owned_by_you" if mine else "bucket_already_exists")
        self.buckets[name] = Bucket(user, lock, strict, "Enabled" if lock else "")

    def delete_bucket(self, user: str, name: str) -> None:
        self._allow(user, "configure", name)
        bucket = self._bucket(name)
        if bucket.uploads or any(bucket.keys.values()):
            raise Refused("bucket_not_empty")
        del self.buckets[name]

    def put_versioning(self, user: str, name: str, status: str) -> None:
        self._allow(user, "configure", name)
        bucket = self._bucket(name)
        if status == "Suspended" and bucket.lock:
            raise Refused("invalid_bucket_state")
        if status == "Suspended" and bucket.strict:
            raise Refused("strict")
        bucket.versioning = status

    def put_lock(self, user: str, name: str, default: tuple[str, int, int] | None) -> None:
        self._allow(user, "configure", name)
        bucket = self._bucket(name)
        if bucket.versioning != "Enabled":
            raise Refused("invalid_bucket_state")
        bucket.lock, bucket.default = True, default

    # Versions

    def current(self, name: str, key: str) -> Version | None:
        versions = self.buckets[name].keys[key]
        return versions[-1] if versions else None

    def _add(self, name: str, key: str, new: Version) -> None:
        bucket = self.buckets[name]
        if bucket.versioning != "Enabled":
            new.null = True
            for old in [version for version in bucket.keys[key] if version.null]:
                self._remove(name, key, old, bypass=False)
        self.given[name, key] += 1
        new.ordinal, new.made = self.given[name, key], (self.user, self.wall, self.clock)
        bucket.keys[key].append(new)

    def _make(self, name: str, key: str, asked: Asked, if_none_match: bool, if_match: str) -> None:  # noqa: FBT001
        bucket, current = self.buckets[name], self.current(name, key)
        visible = current if current is not None and not current.marker else None
        if if_none_match and visible is not None:
            raise Refused("precondition_failed")
        if if_match and visible is None:
            raise Refused("no_such_key")
        if if_match and visible is not None and str(visible.ordinal) != if_match:
            raise Refused("precondition_failed")
        if bucket.strict and visible is not None:
            raise Refused("strict")
        mode, until = asked.mode, asked.until or 0
        over = until <= max(self.wall, self.clock)  # only an upload's can be, which was asked for long ago
        if (not mode or over) and bucket.default is not None:  # a hold alone does not switch the default off
            mode, until = bucket.default[0], self._default_until(*bucket.default[1:])
        hold = asked.hold is True
        self._add(name, key, Version(0, mode=mode, until=until, hold=hold, spoken=asked.hold is not None))

    def put(
        self, user: str, name: str, key: str, asked: Asked, *, if_none_match: bool = False, if_match: str = ""
    ) -> None:
        self._allow_put(user, name, asked)
        self._check_asked(self._bucket(name), asked)
        self._make(name, key, asked, if_none_match, if_match)

    def _allow_put(self, user: str, name: str, asked: Asked) -> None:
        self._allow(user, "put", name)
        if asked.mode:
            self._allow(user, "retain", name)
        if asked.hold is not None:
            self._allow(user, "hold", name)

    def _find(self, name: str, key: str, wanted: str) -> Version | None:
        bucket = self.buckets[name]
        if wanted == "null":
            return next((version for version in bucket.keys[key] if version.null), None)
        if not bucket.versioning or len(wanted) != 32 or set(wanted) - set("0123456789abcdef"):
            raise Refused("invalid_argument")
        return next((version for version in bucket.keys[key] if version.id == wanted), None)

    def delete(self, user: str, name: str, key: str, wanted: str, *, bypass: bool, sent: bool) -> None:
        self._allow(user, "delete", name)
        bucket = self._bucket(name)
        if sent and not bucket.lock:
            raise Refused("invalid_argument")
        if not wanted and bucket.strict:
            raise Refused("strict")
        if wanted or not bucket.versioning:
            found = self._find(name, key, wanted or "null")
            if found is not None:
                self._remove(name, key, found, bypass=bypass and self._may_bypass(user, name))
        else:
            self._add(name, key, Version(0, marker=True))

    def _named(self, name: str, key: str, wanted: str, *, change: bool) -> Version:
        if wanted:
            found = self._find(name, key, wanted)
            if found is None:
                raise Refused("no_such_version")
        else:
            found = self.current(name, key)
            if found is None or (found.marker and not change):
                raise Refused("no_such_key")
        if found.marker:
            raise Refused("method_not_allowed")
        return found

    def get(self, user: str, name: str, key: str, wanted: str, *, head: bool) -> Version:
        self._allow(user, "head" if head else "get", name)
        self._bucket(name)
        return self._named(name, key, wanted, change=False)

    def _lockable(self, name: str, key: str, wanted: str, *, change: bool) -> Version:
        if not self._bucket(name).lock:
            raise Refused("invalid_request")
        return self._named(name, key, wanted, change=change)

    def get_retention(self, user: str, name: str, key: str, wanted: str) -> Version:
        self._allow(user, "see lock", name)
        found = self._lockable(name, key, wanted, change=False)
        if not found.mode:
            raise Refused("no_such_object_lock_configuration")
        return found

    def get_hold(self, user: str, name: str, key: str, wanted: str) -> Version:
        self._allow(user, "see lock", name)
        found = self._lockable(name, key, wanted, change=False)
        if not found.spoken and not self.matters.holding(name, key, found):
            raise Refused("no_such_object_lock_configuration")
        return found

    def put_retention(
        self, user: str, name: str, key: str, wanted: str, new: tuple[str, int] | None, *, bypass: bool
    ) -> None:
        self._allow(user, "retain", name)
        found = self._lockable(name, key, wanted, change=True)
        if new is not None:
            self._future(new[1])
        if self.running(found):
            longer = new is not None and new[0] == found.mode and new[1] >= found.until
            waived = found.mode == "GOVERNANCE" and bypass and self._may_bypass(user, name)
            if not longer and not waived:
                raise Refused("retention")
        found.mode, found.until = new if new is not None else ("", 0)

    def put_hold(self, user: str, name: str, key: str, wanted: str, *, on: bool) -> None:
        self._allow(user, "hold", name)
        found = self._lockable(name, key, wanted, change=True)
        found.hold, found.spoken = on, True

    # Multipart: the lock asked for is fixed when the upload is created

    def create_upload(self, user: str, name: str, key: str, upload: str, asked: Asked) -> None:
        self._allow_put(user, name, asked)
        bucket = self._bucket(name)
        self._check_asked(bucket, asked)
        bucket.uploads[upload] = Upload(key, asked)

    def _upload(self, user: str, name: str, key: str, upload: str) -> Upload:
        self._allow(user, "put", name)
        found = self._bucket(name).uploads.get(upload)
        if found is None or found.key != key:
            raise Refused("no_such_upload")
        return found

    def part(self, user: str, name: str, key: str, upload: str, number: int, seq: int) -> None:
        if not 1 <= number <= 10_000:
            self._allow(user, "put", name)
            raise Refused("invalid_argument")
        self._upload(user, name, key, upload).parts[number] = seq

    def complete(self, user: str, name: str, key: str, upload: str, parts: list[tuple[int, int]]) -> None:
        found = self._upload(user, name, key, upload)
        numbers = [number for number, _ in parts]
        if not numbers:
            raise Refused("malformed_xml")
        if numbers != sorted(set(numbers)):
            raise Refused("invalid_part_order")
        if any(found.parts.get(number) != seq for number, seq in parts):
            raise Refused("invalid_part")
        self._make(name, key, found.asked, if_none_match=False, if_match="")
        del self.buckets[name].uploads[upload]

    def abort(self, user: str, name: str, key: str, upload: str) -> None:
        self._upload(user, name, key, upload)
        del self.buckets[name].uploads[upload]
