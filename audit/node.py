"""One open data directory: recovered, writing, sealed in the background, closed in order.

The order of a start is the design's (§4): lock, keys, anchor, recovery, index, sealer's adoption, sweep, and only
then the committer. Whoever wants to read or write a vault goes through a :class:`Node`; two of them on one directory
are refused by the lock.

Not handled here: servers (``audit.app``), commands (``audit.cli``), making a vault (``audit.init``).
"""

from __future__ import annotations

import logging
import os
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Final, Self

from audit import start
from audit.anchor.place import anchor_url, require_outside
from audit.anchor.url import open_anchor
from audit.background import Background
from audit.blob_names import BlobNames, named_blobs
from audit.clock import ComplianceClock, HostSource
from audit.commit import commit_all
from audit.feed import furthest
from audit.identity import Layout, load_identity
from audit.ingest.window import recall
from audit.init import load_signer
from audit.journal.committer import Committer
from audit.keys.custody import Custody
from audit.keys.kek import open_keyring
from audit.matters import Matters
from audit.principals import Principals
from audit.production.desk import Desk
from audit.query.records import Asking
from audit.query.view import View
from audit.relaying.standing import Relaying
from audit.replay import clock_account, replay
from audit.scrub.scrubber import Scrubber
from audit.sealing import adopt, known, start_sealer
from audit.status import NodeStatus, Work, status_of
from audit.stores import Stores
from audit.strand import History
from audit.streams import open_streams
from audit.takeover import taken_over
from audit.tile_store import TileStore
from audit.tiles import Tile, root_at
from audit.tokens import Tokens
from audit.writer_lock import require_owner, take_lock
from vault import durable
from vault.crypto.secrets import SecretStore
from vault.errors import S3Error, Unavailable
from vault.record import LedgerRef
from vault.state import lookup
from vault.storage.blobs import BlobStore
from vault.storage.index import Index, Sequenced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from audit.clock import Source
    from audit.config import Settings
    from audit.identity import Identity
    from audit.streams import Opened
    from vault.crypto.keyring import Keyring
    from vault.ports import Committed
    from vault.record import Tail
    from vault.takeover import Takeover

_log: Final = logging.getLogger(__name__)

#: How long one commit of the node's own may take before it counts as failed, in seconds.
COMMIT_SECONDS: Final = 60


class Node:
    """See the module. Made by :meth:`open`; :meth:`close` exactly once, or use it as a context manager."""

    def __init__(
        self,
        *,
        identity: Identity,
        layout: Layout,
        settings: Settings,
        lock_fd: int,
        keyring: Keyring,
        stores: Stores,
        committer: Committer,
        clock: ComplianceClock,
        background: Background,
        view: View,
    ) -> None:
        self.identity = identity
        self.layout = layout
        self.settings = settings
        self.keyring = keyring
        self.secrets = SecretStore(layout.secrets, keyring)
        self.principals = Principals(self.commit, stores.index, self.secrets)
        self.tokens = Tokens(self.commit, stores.index, lambda: clock.now().wall)
        self.history = view.history
        self.asking = Asking(view, stores.strands, self.history, self.commit, keyring.derive("cursor"))
        self.custody = Custody(layout, identity, keyring, self.commit, stores.index, os.environ)
        self.matters = Matters(self.commit, stores.index, stores.strands)
        self.stores = stores
        self.scrub = Scrubber.of(self)
        self.productions = Desk(self, lambda error: self._stop_for(error))  # noqa: PLW0108 - as the node is then
        self.view, self.relaying = view, background.relaying
        self.committer = committer
        self.clock = clock
        self.on_fatal: Callable[[Exception], None] = lambda _: None
        self.notices: Callable[[], list[str]] = list  # what its server would have somebody look at
        self._lock_fd = lock_fd
        self._background = background
        self._fatal: Exception | None = None
        self._closed = Event()

    @classmethod
    def open(cls, root: Path, settings: Settings, source: Source | None = None) -> Self:
        """Open a vault for writing.

        Args:
            root: An initialised data directory.
            settings: Validated configuration.
            source: The host's clocks; another one in tests.

        Returns:
            A node whose committer runs and whose start is recorded.

        Raises:
            NotInitialised: There is no vault.
            AlreadyRunning: Another process holds it.
            LedgerCorrupt: The ledger is damaged; says where.
            RecoverRequired: SettledLedger and anchor disagree.
            AnchorUnavailable: The anchor does not answer.
            VaultError: Keys, index or disk fail.
        """
        layout = Layout(root)
        identity = load_identity(layout)
        require_owner(layout)
        for directory in layout.directories(identity.stream):
            durable.make_dirs(directory)
        lock_fd = take_lock(layout)
        try:
            return cls._open_locked(layout, identity, settings, source or HostSource(), lock_fd)
        except BaseException:
            os.close(lock_fd)
            raise

    @classmethod
    def _open_locked(cls, layout: Layout, identity: Identity, settings: Settings, source: Source, lock_fd: int) -> Self:
        keyring = open_keyring(layout, os.environ)
        signer = load_signer(layout, identity, keyring)
        home = layout.stream(identity.stream)
        place = anchor_url(settings, identity, layout)
        require_outside(place, layout.root)
        anchor = open_anchor(place, settings.anchor)
        published = home / "checkpoint"
        durable.sweep_temps(home, published.name)
        notes = [anchor.read(identity.origin), published.read_bytes() if published.exists() else None]
        anchored, local = known(signer.verifier, *notes)
        tiles, index, reserve = TileStore(home), Index(layout.index), settings.disk.reserve_mib << 20
        opened = open_streams(
            layout,
            identity,
            settings.ledger.segment_mib << 20,
            covered=lambda base: max(index.synced - base, furthest(layout.cursors, identity.stream)),
            decide=lambda size: adopt(anchored, local, size, partial(root_at, read=tiles.read), place=place),
        )
        found = opened.found
        if index.renew():
            _log.info("the index is of an older version: it is made anew from the ledger")
        stores = Stores(index, opened.strands, BlobStore(layout.root, reserve * 2 // 3))
        for strand in stores.strands:
            replay(index, strand.settled, strand.log, strand.base)
        sealer = start_sealer(
            signer=signer,
            anchor=anchor,
            tiles=tiles,
            publish=lambda note: durable.replace(published, note, 0o644),
            published=notes[1],
            durable_size=found.next_seq,
        )
        stores.blobs.sweep(BlobNames(named_blobs(stores.index)).__contains__)
        SecretStore(layout.secrets, keyring).sweep(lambda name: lookup.principal(stores.index, name) is not None)
        newest = clock_account(stores.strands)
        clock = ComplianceClock(source, *newest) if newest is not None else ComplianceClock(source)
        relaying = Relaying(settings, identity.stream, stores.current.feed, layout.cursors)
        committer = Committer(
            log=stores.log,
            state=Sequenced(stores.index),
            clock=clock,
            stream=identity.stream,
            next_seq=found.next_seq,
            prev=found.prev,
            base=stores.current.base,
            leases=stores.leases,
            reserve_bytes=reserve,
            seen=recall(stores.strands, stores.index),
            on_fatal=lambda error: node._stop_for(error),  # noqa: PLW0108 - the node is made below
            behind=lambda: relaying.behind,
        )
        view = View(layout.query, stores.strands, History(stores.strands))
        background = Background(
            sealer=sealer,
            stores=stores,
            committer=committer,
            clock=clock,
            settings=settings,
            keyring=keyring,
            layout=layout,
            view=view,
            relaying=relaying,
            on_fatal=lambda error: node._stop_for(error),  # noqa: PLW0108 - the node is made below
        )
        node = cls(
            identity=identity,
            layout=layout,
            settings=settings,
            lock_fd=lock_fd,
            keyring=keyring,
            stores=stores,
            committer=committer,
            clock=clock,
            background=background,
            view=view,
        )
        taken = taken_over(layout, identity, keyring, opened, anchor) if not found.next_seq else None
        committer.start()
        node._record_start(opened, settings.anchor.url or identity.anchor or "local", taken)
        node.custody.record_left()
        background.start()
        return node

    def _record_start(self, opened: Opened, anchor: str, taken: Takeover | None) -> None:
        state = self.clock.status()
        start.tell(self.identity.stream, opened.found, self.stores.current.feed)
        self.commit_all(start.tails(self.identity, anchor, opened.found, state, taken, opened.torn))
        self.clock.take(state)
        self.commit_all(start.aborts(start.left_uploads(self.stores.index, self.stores.current.base)))

    def commit(self, tail: Tail, refused: S3Error | None = None) -> Committed:
        """Commit one record of the server's own or of the CLI, and wait until it is durable. Not for the event loop.

        Args:
            tail: What it says.
            refused: Why it is refused whatever the committer would say; recorded.

        Raises:
            S3Error: It was refused; the refusal is recorded.
            Unavailable: Nothing was written.
            OutcomeUnknown: The writer failed.
        """
        return commit_all(self.committer, [tail], COMMIT_SECONDS, refused)[0]

    def commit_all(self, tails: Sequence[Tail]) -> list[Committed]:
        """The same for some records, which become durable together where they fit into one group.

        Raises:
            S3Error: One was refused; the refusal is recorded, and the others are done.
            Unavailable: One was not written.
            OutcomeUnknown: The writer failed.
        """
        return commit_all(self.committer, tails, COMMIT_SECONDS)

    def records(self, stream: str, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Durable records ``start`` to ``end`` (exclusive) of a stream, exact bytes, in order; none where pruned."""
        strand = next(strand for strand in self.stores.strands if strand.name == stream)
        for seq in range(start, min(end, strand.log.durable_end)):
            yield seq, strand.feed.bytes_of(seq)

    def checkpoint(self, stream: str) -> bytes | None:
        """The last published checkpoint of a stream."""
        path = self.layout.stream(stream) / "checkpoint"
        return path.read_bytes() if path.exists() else None

    def tile(self, stream: str, path: str) -> bytes:
        """A hash tile of a stream by its path (``tile/<L>/<N>[.p/<W>]``).

        Raises:
            TilePathInvalid: No such path.
            LedgerCorrupt: The tile is not there.
        """
        return TileStore(self.layout.stream(stream)).read(Tile.parse(path))

    def status(self) -> NodeStatus:
        """How it stands."""
        problems, warnings = self._background.report()
        if self._fatal is not None:
            problems.insert(0, str(self._fatal))
        return status_of(
            self.stores,
            self.layout,
            now=self.clock.now(),
            sealed=self._background.sealed,
            reserve=self.settings.disk.reserve_mib << 20,
            anchor=anchor_url(self.settings, self.identity, self.layout),
            problems=problems,
            warnings=[*self.scrub.warnings(), *warnings, *self.relaying.notices(), *self.notices()],
            keys=self.custody.standing(),
            scrub=self.scrub.standing(),
        )

    def work(self) -> Work:
        """What its jobs have done, and what is left for them."""
        return self._background.work()

    @property
    def failed(self) -> bool:
        """Whether it met a fatal error. One that is only not ready, for want of disk say, has not failed."""
        return self._fatal is not None

    def _stop_for(self, error: Exception) -> None:
        if self._fatal is None:
            self._fatal = error
            self.on_fatal(error)

    def close(self) -> None:
        """Record the stop, seal, sync and let go. After a fatal error only lets go."""
        if self._closed.is_set():
            return
        self._closed.set()
        for jobs in (self.scrub, self.productions, self._background):
            jobs.stop()
        try:
            if self._fatal is None:
                self._end()
        finally:
            self.view.close()
            self.stores.index.close()
            for strand in self.stores.strands:
                strand.log.close()
            os.close(self._lock_fd)

    def _end(self) -> None:
        try:
            self.commit(start.own("ledger.stop", LedgerRef(self.stores.log.incarnation), self.clock.status()))
        except Unavailable as error:  # no room: a stop without its record is what a start makes of a crash
            _log.warning("the stop is not recorded: %s", error)
        self.committer.stop()
        self._background.finish()
        _log.info("stopped: %d records, %d of them sealed", self.stores.log.durable_end, self._background.sealed)

    def __enter__(self) -> Self:
        """Use it until the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
