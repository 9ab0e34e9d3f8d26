"""The index: ordered rows over LMDB, with memory overlays for what the file does not hold yet.

Three layers, newest first: rows of groups not yet durable (*pending*, the committer's alone), rows that are durable
in the ledger but not yet in the file (*recent*, and *frozen* while a sync writes them), and the file. The file is
synced at intervals in one LMDB transaction together with the number of records it has applied; a start replays the
ledger from there (DESIGN §6). An index that was never synced between could be torn by an OS crash, so it never is.

Looking up one row takes no lock: LMDB gives up the interpreter at every call, and two threads that hand it to each
other for every row do little else. It rests on the order of a sync's steps, see :meth:`Index.get`.

Rows of long keys that have one head (``vault.storage.long_keys``) are sorted when they are read.

Not handled here: what rows mean (``vault.state``).
"""

from __future__ import annotations

from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Final

import lmdb

from vault import durable
from vault.errors import CorruptError
from vault.state.rows import MetaRow, decode_row, encode_row
from vault.storage.long_keys import HEAD, logical, physical, stored
from vault.storage.overlay import Overlay, decoded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from vault.state.rows import Row

#: How large the index file may grow, in bytes: an address range, not memory.
MAP_BYTES: Final = 1 << 40
#: Rows that one lock interval of a scan takes.
_CHUNK: Final = 256
#: Rows of the file kept in memory, a count; one takes about 1 KiB.
_READ_ROWS: Final = 8192
#: Rows in memory at which a sync is due whatever its interval; one takes about 1 KiB, and as many come while it writes.
SYNC_ROWS: Final = 100_000
#: Under which the file says how many records it has applied.
APPLIED: Final = b"mapplied"
#: What rows say of the records they come from: counted up when a row is new, or gets a field, that no older index has.
LAYOUT: Final = 2
#: Says that a layer knows nothing of a key; None says that there is no row.
_UNKNOWN: Final = MetaRow(-1)


class Index:
    """The durable view; a :class:`~vault.ports.State` for any thread.

    Thread-safety: reads from any thread; ``add`` by the committer alone; ``sync`` by one thread at a time.

    Args:
        path: Directory of the LMDB environment.

    Raises:
        CorruptError: The file is damaged; reads may raise it later too.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._env = durable.open_index(path, map_size=MAP_BYTES, readahead=False)
        self._lock = Lock()
        self._recent = Overlay()
        self._frozen = Overlay()
        self._read: dict[bytes, Row | None] = {}  # what lookups found in the file since its last change
        self._frozen_applied = 0
        applied = self.get(APPLIED)
        self._applied = applied.value if isinstance(applied, MetaRow) else 0
        self._synced = self._applied
        self._layout = applied.layout if isinstance(applied, MetaRow) else LAYOUT

    @property
    def applied(self) -> int:
        """Number of records whose effects are here (= seq of the next)."""
        return self._applied

    @property
    def synced(self) -> int:
        """Number of records whose effects are in the file."""
        return self._synced

    @property
    def unsynced_rows(self) -> int:
        """Rows that only memory holds."""
        return len(self._recent) + len(self._frozen)

    def renew(self) -> bool:
        """Empty an index of another layout, before anything is added to it: the ledger is replayed from its beginning.

        To be called once it is known that the ledger has all that this index has seen. A crash leaves the old index, or
        an empty one.

        Returns:
            Whether it was of another layout.

        Raises:
            Unavailable: There is no room.
            DurabilityError: The index could not be written; the process must stop.
            CorruptError: It is damaged.
        """
        if self._layout == LAYOUT:
            return False
        try:
            txn = self._env.begin(write=True)
            txn.drop(self._env.open_db(txn=txn), delete=False)
            txn.put(APPLIED, encode_row(MetaRow(0, LAYOUT)))
        except lmdb.Error as error:
            raise self._damaged(error) from error
        durable.commit_index(txn, self._path)
        self._read = {}
        self._applied = self._synced = 0
        self._layout = LAYOUT
        return True

    def get(self, key: bytes) -> Row | None:
        """The row under exactly this key, as of the call or later.

        Layers are looked at from the newest to the oldest, and a sync moves rows the same way: what leaves *recent* is
        in *frozen* before; what leaves *frozen* is in the file, and what was read of the file before that is forgotten.
        A row that one layer has not is therefore in the next, or was nowhere.
        """
        row: Row | bytes | None = self._recent.get(key, _UNKNOWN)
        if row is _UNKNOWN:
            row = self._frozen.get(key, _UNKNOWN)
        if row is _UNKNOWN:
            read = self._read  # a row that was found before a sync ended is kept where nobody looks after it
            row = read.get(key, _UNKNOWN)
            if row is _UNKNOWN:
                row = self._from_file(key)
                if len(read) >= _READ_ROWS:
                    self._read = {}
                read[key] = row
        return decoded(key, row)

    def look(self, keys: Sequence[bytes], found: dict[bytes, Row | None]) -> None:
        """As :meth:`get`, for many keys at once: layers in the same order, and the file with one transaction.

        Args:
            keys: Those that are looked for.
            found: Takes the rows that there are.
        """
        wanted = self._recent.take(keys, found)
        wanted = self._frozen.take(wanted, found)  # looked up after the one before is done, and not with it
        if not wanted:
            return
        names = {physical(key): key for key in wanted}
        try:
            with self._env.begin() as txn, txn.cursor() as cursor:
                there = cursor.getmulti(sorted(names))
            found.update((names[place], decode_row(*logical(names[place], data))) for place, data in there)
        except (lmdb.Error, ValueError) as error:
            raise self._damaged(error) from error

    def _from_file(self, key: bytes) -> Row | None:
        try:
            with self._env.begin() as txn:
                found = txn.get(physical(key))
            return decode_row(*logical(key, found)) if found is not None else None
        except (lmdb.Error, ValueError) as error:
            raise self._damaged(error) from error

    def _decode(self, key: bytes, row: bytes | Row) -> Row:
        try:
            return decode_row(key, row) if isinstance(row, bytes) else row
        except ValueError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> CorruptError:
        """What to say, and what to do; the file is no loss."""
        return CorruptError(
            f"{self._path}: the index cannot be read: {error}; delete this directory, and the next start makes it anew"
        )

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, Row]]:
        """Rows with ``start <= key < end`` in order; each at most once, as of the call or later."""
        while True:
            chunk, reached = self._chunk(start, end)
            for key, value in chunk:
                yield key, self._decode(key, value)
            if reached is None:
                return
            start = reached

    def _chunk(self, start: bytes, end: bytes) -> tuple[list[tuple[bytes, bytes | Row]], bytes | None]:
        """Some rows from ``start`` on, all as of one instant, and where to go on (None: at the end)."""
        with self._lock:
            try:
                found, reached = self._chunk_of_file(start, end)
            except (lmdb.Error, ValueError) as error:
                raise self._damaged(error) from error
            stop = end if reached is None else reached
            merged: dict[bytes, bytes | Row | None] = dict(found)
            for layer in (self._frozen, self._recent):
                keys = list(islice(layer.between(start, stop), _CHUNK + 1))
                if len(keys) > _CHUNK:
                    stop = reached = keys.pop()
                merged.update((key, layer[key]) for key in keys)
        return [(key, value) for key, value in sorted(merged.items()) if key < stop and value is not None], reached

    def _chunk_of_file(self, start: bytes, end: bytes) -> tuple[list[tuple[bytes, bytes]], bytes | None]:
        found: list[tuple[bytes, bytes]] = []
        with self._env.begin() as txn, txn.cursor() as cursor:
            good = cursor.set_range(start[:HEAD])
            while good:
                place, value = cursor.item()
                if place[:HEAD] > end[:HEAD] or (len(end) <= HEAD and place >= end):
                    return found, None
                if len(found) >= _CHUNK and (len(place) <= HEAD or place[:HEAD] != found[-1][0][:HEAD]):
                    return found, place[:HEAD]
                key, data = logical(place, value)
                if start <= key < end:
                    found.append((key, data))
                good = cursor.next()
        return found, None

    def add(self, changes: Iterable[tuple[bytes, Row | bytes | None]], applied: int) -> None:
        """Apply the effects of durable records.

        Args:
            changes: Rows to set or (None) remove, in order.
            applied: Number of records applied after this.
        """
        with self._lock:
            self._recent.update(changes)
            self._applied = applied

    def sync(self) -> int:
        """Write what is in memory to the file, in one transaction. Durable on return.

        Returns:
            The number of records applied in the file.

        Raises:
            Unavailable: There is no room; a later call goes on.
            DurabilityError: The index could not be written; the process must stop.
            CorruptError: It is damaged.
        """
        with self._lock:
            if not self._frozen:  # else an earlier sync failed, and what it froze says how far it goes
                self._frozen = self._recent
                self._recent = Overlay()
                self._frozen_applied = self._applied
            frozen, applied = self._frozen, self._frozen_applied
        if not frozen and applied == self._synced:
            return applied
        try:
            txn = self._fill(frozen, applied)
        except lmdb.Error as error:
            raise self._damaged(error) from error
        durable.commit_index(txn, self._path)
        with self._lock:
            self._read = {}
            self._frozen = Overlay()
            self._synced = applied
        return applied

    def _fill(self, frozen: Overlay, applied: int) -> lmdb.Transaction:
        """Everything of one sync, to be committed."""
        txn = self._env.begin(write=True)
        rows: list[tuple[bytes, bytes]] = []
        for key, row in frozen.items():
            if row is not None:
                rows.append(stored(key, row if isinstance(row, bytes) else encode_row(row)))
            else:
                txn.delete(physical(key))
        rows.sort()  # LMDB takes ordered keys for half the price
        with txn.cursor() as cursor:
            cursor.putmulti(rows)
        txn.put(APPLIED, encode_row(MetaRow(applied, LAYOUT)))
        return txn

    def close(self) -> None:
        """Close the file; memory that was not synced is replayed by the next start."""
        self._env.close()


class Sequenced:
    """Everything decided so far, durable or not: the committer's view. Not thread-safe.

    Rows of a group wait here until the group is durable; then :meth:`settle` hands them to the index.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._pending = Overlay()

    def get(self, key: bytes) -> Row | None:
        """The row under exactly this key."""
        row = self._pending.get(key, _UNKNOWN)
        return decoded(key, row) if row is not _UNKNOWN else self._index.get(key)

    def look(self, keys: Sequence[bytes]) -> dict[bytes, Row | None]:
        """The rows under these keys, as :meth:`get` finds them, for less; of one that is not in it there is none."""
        found: dict[bytes, Row | None] = {}
        self._index.look(self._pending.take(keys, found), found)
        return found

    def scan(self, start: bytes, end: bytes) -> Iterator[tuple[bytes, Row]]:
        """Rows with ``start <= key < end`` in order."""
        pending = list(self._pending.between(start, end))
        position = 0
        for key, row in self._index.scan(start, end):
            while position < len(pending) and pending[position] <= key:
                newer = decoded(pending[position], self._pending[pending[position]])
                if newer is not None:
                    yield pending[position], newer
                position += 1
            if key not in self._pending:
                yield key, row
        for left in pending[position:]:
            newer = decoded(left, self._pending[left])
            if newer is not None:
                yield left, newer

    def add(self, changes: Iterable[tuple[bytes, Row | bytes | None]]) -> None:
        """Sequence the effects of one decision; of rows that come encoded, the bytes that the file will have."""
        self._pending.update(changes)

    def settle(self, applied: int) -> None:
        """The group is durable: its rows become visible to readers."""
        self._index.add(self._pending.items(), applied)
        self._pending = Overlay()
