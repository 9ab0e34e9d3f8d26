"""PUTs of one request, one after the other: what ``vault.state.decide`` and ``apply`` make of each, for less.

Who asks, the bucket, what is asked for and the clocks are the same in all of them, and no PUT changes what these are
judged by: that is judged once, by the same functions. What is left of a PUT that nothing can refuse, and that replaces
nothing, is a place in its key's chain: it is looked up once, and manifest and rows are forms that are filled in. Of all
others preconditions, strictness and the version that is replaced are judged one by one, by the general rules.

Not handled here: PUTs alone (``vault.state.objects``), records (``audit.journal.members``).
"""

from __future__ import annotations

from binascii import hexlify
from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec.structs import replace

from vault.errors import S3Error
from vault.manifest import manifest_form
from vault.ports import Intent
from vault.record import VersionRef
from vault.state import objects
from vault.state.apply import speaks_of_hold, version_row_of
from vault.state.decide import admit, decide
from vault.state.decision import Case, Decision
from vault.state.row_forms import encode_key_row, version_form
from vault.state.rows import ENABLED, KeyRow, version_id_of, version_key_beside
from vault.times import rfc3339

if TYPE_CHECKING:
    from vault.ports import Put, State
    from vault.record import LockRef, Tail
    from vault.retention import Lock
    from vault.state.rows import BucketRow, Row
    from vault.times import Now


#: A version that a PUT makes: ordinal, id, manifest, ``prev_manifest`` (empty for the first of its key), and which is
#: the key's null version; id and digests in hex. No class: one is made, and taken apart again, for every object.
Made = tuple[int, bytes, bytes, bytes, int]


def intent_of(put: Put, common: Tail) -> Intent:
    """A PUT that is one of many, as an operation like any other.

    Args:
        put: What it has for itself.
        common: What it has in common with the others; names a bucket and a storage.

    Raises:
        ValueError: It does not.
    """
    named, storage = common.object, common.storage
    if named is None or storage is None:
        raise ValueError("what PUTs have in common names no bucket, or no storage")
    named = replace(named, key=put.key, size=put.size, content=put.content.decode())
    storage = replace(
        storage, salt=put.salt.decode(), sealed=len(put.sealed), length=len(put.data), root=put.root.decode()
    )
    return Intent(replace(common, object=named, storage=storage), b"{" + put.encoded, (put.sealed, put.data))


class Puts:
    """Decides PUTs that are alike, where nothing but their key matters.

    Args:
        common: What they have in common; names a bucket and a storage.
        state: Everything sequenced before.
        now: The clocks of all their records.

    Raises:
        ValueError: There is no bucket, or no storage.

    Attributes:
        null: The versions they make are null versions.
        lock: Those of their records.
    """

    def __init__(self, common: Tail, state: State, now: Now) -> None:
        self.null = False
        self.lock: LockRef | None = None
        self._state, self._now = state, now
        self._new = self._next = False
        self._placed: tuple[Case, BucketRow, Lock] | None = None
        case = Case(common, state, now)
        try:
            admit(case)
            bucket, lock = objects.placed(case)
        except S3Error:
            return  # each is refused in a record of its own
        self._placed = case, bucket, lock
        self._new = objects.always_made(case, bucket, exists=False)
        self._next = objects.always_made(case, bucket, exists=True)
        self.null, self.lock = bucket.versioning != ENABLED, lock.ref()
        time = rfc3339(now.wall)
        self._first, self._chained = (
            manifest_form(bucket=bucket.name, time=time, lock=self.lock, null=self.null, chained=chained)
            for chained in (False, True)
        )
        version = VersionRef(0, "", "", null=self.null)
        held = speaks_of_hold(common)
        row = version_row_of(version, common, lock, seq=0, created=now.wall, clock=now.clock, held=held)
        self._row = version_form(row)

    def made(self, put: Put, found: Row | None) -> Made | None:
        """Decide the next one; as :func:`vault.state.decide.decide`.

        Args:
            put: It.
            found: The row of its key, as of everything sequenced before.

        Returns:
            What it makes; None where :meth:`decide` has to say.
        """
        if found is None:
            if not self._new:
                return None
            manifest = hexlify(sha256(self._first % (put.name, 1, put.content)).digest())
            return 1, version_id_of(1, manifest), manifest, b"", int(self.null)
        if not self._next or not isinstance(found, KeyRow):
            return None
        ordinal, previous = found.ordinal + 1, found.manifest.encode()
        manifest = hexlify(sha256(self._chained % (put.name, ordinal, put.content, previous)).digest())
        return ordinal, version_id_of(ordinal, manifest), manifest, previous, found.null

    def decide(self, tail: Tail, found: Row | None) -> Decision:
        """Decide one by all the rules there are for PUTs; as :func:`vault.state.decide.decide`.

        Args:
            tail: Its tail.
            found: As in :meth:`made`.
        """
        if self._placed is None or tail.object is None:
            return decide(tail, self._state, self._now)
        case, bucket, lock = self._placed
        case.tail, case.version, case.lock = tail, None, None
        try:
            key = found if isinstance(found, KeyRow) else None
            return objects.version_after(case, bucket, key, lock, tail.object.content)
        except S3Error as error:
            return Decision(version=case.version, lock=case.lock, error=error)

    def changes(self, put: Put, made: Made, where: bytes, position: int) -> tuple[tuple[bytes, bytes], ...]:
        """What one changes, encoded; as :func:`vault.state.apply.apply`.

        Args:
            put: It.
            made: From :meth:`made`.
            where: Where its key's row stands.
            position: Of its record.
        """
        ordinal, version_id, manifest, _, null = made
        row = self._row % (
            ordinal, version_id, position, put.size, manifest, put.content,
            put.salt, len(put.sealed), len(put.data), put.root,
        )  # fmt: skip
        return (version_key_beside(where, ordinal), row), (where, encode_key_row(ordinal, manifest, row, null))
