"""What a command may ask of an open vault, whichever process has it open.

There is one writer. Where a server is it, commands ask through its Unix socket (``client``, ``server``,
``messages``); where none is, the command opens the node and asks it directly (``direct``). :func:`open_control` finds
out which.

Who may ask is decided by the file system and the kernel: the socket is its owner's alone, and the peer's user id
must be the server's own or root's. The record names that user.

Not handled here: what S3 and audit clients may ask over the network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from audit.tokens import NO_SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from audit.backup.cut import Cut
    from audit.control.stream_messages import Assignment, Followed
    from audit.keys import KeyMaterial, Rotated
    from audit.matters import Held, Matter, Wanted
    from audit.production.keep import Kept
    from audit.production.question import Question as Asked
    from audit.production.standing import Standing
    from audit.query.records import Page, Question
    from audit.relaying.standing import RelayStanding
    from audit.runs import Run
    from audit.status import NodeStatus
    from audit.survey import Survey
    from audit.tokens import NewToken, Source
    from vault.record import BackupRef, KeysRef, RelayRef
    from vault.state.other_rows import TokenRow
    from vault.state.rows import PrincipalRow


class Credentials(NamedTuple):
    """Of a new principal. The secret is shown this once."""

    principal: str
    access_key: str
    secret_key: str


class KeyControl(Protocol):
    """An open vault's keys, for one command at a time (``audit.keys``). The promises of :class:`Control`."""

    def key_material(self) -> KeyMaterial:
        """All that a key backup holds, the KEK too where it is a file of ours. Records nothing.

        Raises:
            KeyringError: It cannot be read.
        """

    def record_key_backup(self, keys: KeysRef) -> str:
        """Record a backup that is durable where somebody wants it.

        Args:
            keys: As :meth:`key_material` gave it, with the digest of the file.

        Returns:
            The record, ``stream/seq``.
        """

    def rotate_kek(self, new: str) -> Rotated:
        """Put the keyring under another KEK.

        Args:
            new: The new KEK's text; made up where empty, unless the KEK comes from elsewhere.

        Raises:
            ConfigInvalid: Another new one is to be given.
            KeyringError: It is none; or something did not open under it, and the old one counts too.
        """


class BackupControl(Protocol):
    """An open vault, for who copies its directory (``audit.backup``). The promises of :class:`Control`."""

    def hold_backup(self) -> int:
        """Hold recycling and erasing off; the hold, which lasts while it is kept.

        Raises:
            BackupFailed: Too many backups are under way, or a step does not end.
        """

    def cut_backup(self, hold: int) -> list[Cut]:
        """Where each stream's commit log stands at one instant, oldest stream first.

        Raises:
            BackupLapsed: The hold had ended.
        """

    def keep_backup(self, hold: int, *, recycling: bool) -> None:
        """Go on holding erasing off, and recycling too.

        Raises:
            BackupLapsed: The hold had ended.
        """

    def release_backup(self, hold: int) -> None:
        """Hold no longer."""

    def record_directory_backup(self, backup: BackupRef) -> str:
        """Record a backup that is durable where somebody wants it; the record, ``stream/seq``."""


class WorkerControl(Protocol):
    """An open vault, for a worker: a process that carries records elsewhere."""

    def follow(self, stream: str, first: int, sealed: int) -> tuple[Followed, Run]:
        """Durable records of a stream from ``first`` on, exact bytes; waits up to half a second for one.

        Nobody checked that each follows the one before. A record that was pruned comes as no bytes.

        Args:
            stream: Its name.
            first: Seq of the first one wanted; past the end there are none.
            sealed: Size of the newest checkpoint that the worker has.

        Raises:
            ControlFailed: There is no such stream.
        """

    def assign_stream(self, relay: RelayRef) -> None:
        """Record where a stream goes in Kafka.

        Raises:
            S3Error: OperationAborted; it was assigned by somebody else meanwhile.
        """

    def record_rewind(self, relay: RelayRef) -> None:
        """Record that a topic and its cursor disagreed."""

    def tell_relay(self, standing: RelayStanding) -> None:
        """Tell how the relay stands. Records nothing."""


class Control(KeyControl, BackupControl, Protocol):
    """An open vault, for one command at a time.

    What changes something is durable when it returns, is recorded also where it is refused, and is tried once: after
    an :class:`~vault.errors.OutcomeUnknown` or a lost connection the ledger knows what became of it.
    """

    def status(self) -> NodeStatus:
        """How the vault stands."""

    def survey(self) -> Survey:
        """How the vault is set up, as numbers."""

    def principals(self) -> list[PrincipalRow]:
        """Everybody, disabled or not."""

    def add_principal(self, name: str, roles: Sequence[str], access_key: str, secret: str) -> Credentials:
        """Add somebody who may act; an empty key or secret is made up.

        Raises:
            S3Error: It was refused.
        """

    def disable_principal(self, access_key: str) -> None:
        """Let nobody act under this access key any more.

        Raises:
            S3Error: It was refused.
        """

    def tokens(self) -> list[TokenRow]:
        """Every token of the audit port there ever was."""

    def add_token(
        self, access_key: str, roles: Sequence[str], days: int, note: str, source: Source = NO_SOURCE
    ) -> NewToken:
        """Make a token for a principal, with some of its roles (none named: all), for some days.

        Where a source is named it brings that source's events, and nothing else.

        Raises:
            S3Error: It was refused.
        """

    def revoke_token(self, token_id: str) -> None:
        """Have a token count no more.

        Raises:
            S3Error: It was refused.
        """

    def open_matter(self, wanted: Wanted) -> Matter:
        """Open a matter.

        Raises:
            S3Error: It was refused.
            QueryInvalid: It is not written as it must be.
        """

    def release_matter(self, matter_id: str, reason: str) -> Matter:
        """Release a matter, for good.

        Raises:
            S3Error: It was refused.
        """

    def matters(self, state: str) -> list[Matter]:
        """Matters, the newest first: all, or those of one state. That they were looked at is recorded first."""

    def matter(self, matter_id: str) -> tuple[Matter, Held]:
        """A matter, and how many versions it holds now. Recorded first.

        Raises:
            S3Error: There is none.
        """

    def ask(self, question: Question) -> Page:
        """Find records. That they were looked at is recorded first.

        Raises:
            QueryInvalid: It cannot be asked like this.
            ViewBehind: The view of records is being built; ask again.
        """

    def begin_production(self, question: Asked, directory: str) -> Standing:
        """Begin a production in a directory of this host, or go on with it. Recorded first.

        Raises:
            QueryInvalid: It cannot be asked like this.
            ProductionFailed: The directory cannot be used.
            Busy: Another one is under way.
        """

    def watch_production(self, production: str) -> Standing:
        """How a production stands that was begun by whoever asks. Records nothing.

        Raises:
            ProductionNotFound: None of this id was begun here.
        """

    def cancel_production(self, production: str) -> None:
        """Tell a production to stop. Recorded first.

        Raises:
            ProductionNotFound: There is none under way.
        """

    def productions(self) -> list[Standing]:
        """Productions, the newest first. That they were looked at is recorded first.

        Raises:
            ViewBehind: The view of records is being built; ask again.
        """

    def production(self, production: str) -> Standing:
        """How a production stands. Recorded first.

        Raises:
            ProductionNotFound: There is none.
            ViewBehind: The view of records is being built; ask again.
        """

    def open_archive(self, production: str) -> Kept:
        """The archive of a production, for somebody who is to have it. Recorded first.

        Raises:
            ProductionNotFound: There is none.
            ProductionNotKept: It is not complete.
        """

    def read_archive(self, production: str, version_id: str, first: int) -> bytes:
        """Bytes of an archive from one on, some MiB of them; recorded first.

        Raises:
            S3Error: There are no such bytes, or it is not there any more.
            IntegrityError: What is stored does not authenticate.
        """

    def begin_scrub(self, *, whole: bool) -> int:
        """Have the vault verify itself, and record what came of it.

        Args:
            whole: All bodies, and not only the next share of them.

        Returns:
            How many verifications ended before it in the process that has the vault open: it has ended when
            :meth:`status` shows more.

        Raises:
            ScrubBusy: One is under way.
        """

    def assignments(self) -> list[Assignment]:
        """All streams, oldest first, how many records each has, and where it goes in Kafka."""

    def records(self, stream: str, start: int, end: int) -> Iterator[bytes]:
        """Exact bytes of a stream's durable records ``start`` to ``end`` (exclusive), in order.

        One that was pruned comes as no bytes.

        Raises:
            ControlFailed: One of them, or the stream, does not exist.
            LedgerCorrupt: One of them cannot be read.
        """


class Served(Control, WorkerControl, Protocol):
    """All that the server's end of the socket answers."""
