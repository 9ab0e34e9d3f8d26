"""One open data directory: recovered, writing, sealed in the background, closed in order.

The order of a start is the design's (§4): lock, keys, anchor, recovery, index, sealer's adoption, sweep, and only
then the committer. Whoever wants to read or write a vault goes through a :class:`Node`; two of them on one directory
are refused by the lock.

Not handled here: servers (``audit.app``), commands (``audit.cli``), making a vault (``audit.init``).
"""

from __future__ import annotations

import os
from concurrent.futures import Future
from threading import Event
from typing import TYPE_CHECKING, Final, Self

from audit import __version__
from audit.anchor.url import open_anchor
from audit.background import Background
from audit.checkpoint import open_checkpoint
from audit.clock import ComplianceClock, HostSource
from audit.errors import AlreadyRunning, ConfigInvalid
from audit.feed import furthest
from audit.identity import Layout, load_identity
from audit.init import ACCESS_KEY, SECRET_KEY, kek_provider, load_signer, new_access_key, new_secret, read_credentials
from audit.journal import recovery
from audit.journal.committer import Committer
from audit.journal.log import CommitLog
from audit.journal.segment import stream_hash
from audit.ledger import SettledLedger
from audit.replay import last_clock_state, named_blobs, replay
from audit.sealing import start_sealer
from audit.status import NodeStatus, status_of
from audit.stores import Stores
from audit.tile_store import TileStore
from audit.tiles import Tile
from vault import durable
from vault.crypto.keyring import Keyring
from vault.crypto.secrets import SecretStore
from vault.errors import VaultError
from vault.merkle import leaf_hash
from vault.policy import SYSTEM
from vault.ports import Committed, Intent
from vault.record import Actor, LedgerRef, Origin, PrincipalRef, Tail, encode_tail
from vault.state import lookup, rows
from vault.state.rows import PrincipalRow
from vault.storage.blobs import BlobStore
from vault.storage.index import Index, Sequenced
from vault.storage.packs import PackStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from audit.clock import Source
    from audit.config import Settings
    from audit.identity import Identity

#: How long one commit of the node's own may take before it counts as failed, in seconds.
COMMIT_SECONDS: Final = 60
_SERVER: Final = Origin("server")
_SYSTEM: Final = Actor(SYSTEM)


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
    ) -> None:
        self.identity = identity
        self.layout = layout
        self.settings = settings
        self.keyring = keyring
        self.secrets = SecretStore(layout.secrets, keyring)
        self.stores = stores
        self.committer = committer
        self.clock = clock
        self.on_fatal: Callable[[Exception], None] = lambda _: None
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
        for directory in layout.directories(identity.stream):
            durable.make_dirs(directory)
        try:
            lock_fd = durable.lock_file(layout.lock)
        except durable.LockHeld as error:
            raise AlreadyRunning(f"{root} is open in another process: stop it, or let it do the work") from error
        try:
            return cls._open_locked(layout, identity, settings, source or HostSource(), lock_fd)
        except BaseException:
            os.close(lock_fd)
            raise

    @classmethod
    def _open_locked(cls, layout: Layout, identity: Identity, settings: Settings, source: Source, lock_fd: int) -> Self:
        keyring = Keyring.open(layout.keys, kek_provider(layout, os.environ))
        signer = load_signer(layout, identity, keyring)
        home = layout.stream(identity.stream)
        anchor = open_anchor(settings.anchor.url or identity.anchor or str(layout.default_anchor))
        published = home / "checkpoint"
        durable.sweep_temps(home, published.name)
        notes = [anchor.read(identity.origin), published.read_bytes() if published.exists() else None]
        sealed = max(
            (open_checkpoint(note, identity.origin, [signer.verifier]).size for note in notes if note), default=0
        )
        settled = SettledLedger(home / "ledger")
        log = CommitLog(home / "commit", layout.spares, stream_hash(identity.origin), settings.ledger.segment_mib << 20)
        stores = Stores(
            Index(layout.index), log, settled, PackStore(layout.packs, identity.stream), BlobStore(layout.root)
        )
        found = recovery.recover(
            log,
            home / "quarantine",
            stream_hash(identity.origin),
            settled=(settled.end, leaf_hash(settled.record(settled.end - 1)) if settled.end else recovery.EMPTY_ROOT),
            covered=max(sealed, stores.index.synced, furthest(layout.cursors)),
        )
        replay(stores.index, settled, log)
        sealer = start_sealer(
            signer=signer,
            anchor=anchor,
            tiles=TileStore(home),
            publish=lambda note: durable.replace(published, note, 0o644),
            published=notes[1],
            durable_size=found.next_seq,
        )
        stores.blobs.sweep(named_blobs(stores.index).__contains__)
        SecretStore(layout.secrets, keyring).sweep(lambda name: lookup.principal(stores.index, name) is not None)
        newest = last_clock_state(settled, log)
        clock = ComplianceClock(source, *newest) if newest is not None else ComplianceClock(source)
        committer = Committer(
            log=log,
            state=Sequenced(stores.index),
            clock=clock,
            stream=identity.stream,
            next_seq=found.next_seq,
            prev=found.prev,
            leases=stores.leases,
            reserve_bytes=settings.disk.reserve_mib << 20,
            on_fatal=lambda error: node._stop_for(error),  # noqa: PLW0108 - the node is made below
        )
        background = Background(
            sealer=sealer,
            stores=stores,
            committer=committer,
            clock=clock,
            settings=settings,
            keyring=keyring,
            layout=layout,
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
        )
        committer.start()
        node._record_start(found, settings.anchor.url or identity.anchor or "local")
        background.start()
        return node

    def _record_start(self, found: recovery.Recovered, anchor: str) -> None:
        if found.next_seq == 0:
            ledger = LedgerRef(
                vault=self.identity.vault, anchor=anchor, profile=self.identity.profile, software=__version__
            )
            self.commit(Tail(op="ledger.open", actor=_SYSTEM, origin=_SERVER, ledger=ledger))
        for torn in found.torn:
            cut = LedgerRef(found.incarnation, quarantined=torn.file, digest=torn.digest, bytes=torn.length)
            self.commit(Tail(op="ledger.recover", actor=_SYSTEM, origin=_SERVER, ledger=cut))
        started = LedgerRef(found.incarnation, software=__version__, anchor=anchor)
        state = self.clock.status()
        self.commit(Tail(op="ledger.start", actor=_SYSTEM, origin=_SERVER, ledger=started, clock_state=state))
        self.clock.take(state)

    def commit(self, tail: Tail) -> Committed:
        """Commit one record of the server's own or of the CLI, and wait until it is durable. Not for the event loop.

        Raises:
            S3Error: It was refused; the refusal is recorded.
            Unavailable: Nothing was written.
            OutcomeUnknown: The writer failed.
        """
        answer: Future[Committed | VaultError] = Future()
        self.committer.submit([Intent(tail, encode_tail(tail))], [answer.set_result])
        result = answer.result(COMMIT_SECONDS)
        if isinstance(result, VaultError):
            raise result
        if result.error is not None:
            raise result.error
        return result

    def add_principal(
        self, actor: Actor, name: str, roles: tuple[str, ...], access_key: str = "", secret: str = ""
    ) -> tuple[str, str, str]:
        """Add somebody who may act. The secret is durable before the record that makes it count.

        Args:
            actor: Who adds.
            name: For people.
            roles: From ``vault.policy.ROLES``.
            access_key: Made up where empty.
            secret: Made up where empty.

        Returns:
            Principal id, access key, secret.

        Raises:
            S3Error: Roles that nobody may hold, or an access key in use.
        """
        principal = PrincipalRef("p" + os.urandom(8).hex(), name, access_key or new_access_key(), roles)
        secret = secret or new_secret()
        self.secrets.add(principal.id, secret)
        self.commit(Tail(op="principal.add", actor=actor, origin=Origin("cli"), principal=principal))
        return principal.id, principal.access_key, secret

    def disable_principal(self, actor: Actor, access_key: str) -> None:
        """Disable whoever has this access key.

        Raises:
            S3Error: Nobody has it.
        """
        found = self.stores.index.get(rows.access_key_key(access_key))
        who = PrincipalRef(found.id if isinstance(found, PrincipalRow) else "", "", access_key[:128], ())
        self.commit(Tail(op="principal.disable", actor=actor, origin=Origin("cli"), principal=who))

    def principals(self) -> list[PrincipalRow]:
        """Everybody, disabled or not."""
        return [row for _, row in self.stores.index.scan(b"i", b"j") if isinstance(row, PrincipalRow)]

    def ensure_first_principal(self, environ: Mapping[str, str]) -> bool:
        """Add the root principal to a vault that has nobody yet. Whether it did."""
        if self.principals():
            return False
        if self.layout.credentials.exists():
            access_key, secret = read_credentials(self.layout.credentials)
        elif ACCESS_KEY in environ and SECRET_KEY in environ:
            access_key, secret = environ[ACCESS_KEY], environ[SECRET_KEY]
        else:
            raise ConfigInvalid(f"this vault has no principal yet: set {ACCESS_KEY} and {SECRET_KEY}, and init again")
        self.add_principal(_SYSTEM, "root", ("root",), access_key, secret)
        return True

    def records(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Durable records ``start`` to ``end`` (exclusive), exact bytes, in order."""
        for seq in range(start, min(end, self.stores.log.durable_end)):
            data = self.stores.log.record(seq)
            yield seq, data if data is not None else self.stores.settled.record(seq)

    def checkpoint(self) -> bytes | None:
        """The last published checkpoint."""
        path = self.layout.stream(self.identity.stream) / "checkpoint"
        return path.read_bytes() if path.exists() else None

    def tile(self, path: str) -> bytes:
        """A hash tile by its path (``tile/<L>/<N>[.p/<W>]``).

        Raises:
            TilePathInvalid: No such path.
            LedgerCorrupt: The tile is not there.
        """
        return TileStore(self.layout.stream(self.identity.stream)).read(Tile.parse(path))

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
            local_anchor=not (self.settings.anchor.url or self.identity.anchor),
            problems=problems,
            warnings=warnings,
        )

    def _stop_for(self, error: Exception) -> None:
        if self._fatal is None:
            self._fatal = error
            self.on_fatal(error)

    def close(self) -> None:
        """Record the stop, seal, sync and let go. After a fatal error only lets go."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._background.stop()
        if self._fatal is None:
            state = self.clock.status()
            stopped = LedgerRef(self.stores.log.incarnation)
            self.commit(Tail(op="ledger.stop", actor=_SYSTEM, origin=_SERVER, ledger=stopped, clock_state=state))
            self.committer.stop()
            self._background.finish()
        self.stores.index.close()
        self.stores.log.close()
        os.close(self._lock_fd)

    def __enter__(self) -> Self:
        """Use it until the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
