"""A command's end of the control socket."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self, TypeVar

import msgspec

from audit.backup.cut import Cut
from audit.control import Credentials
from audit.control.direct import NodeControl, host_user
from audit.control.messages import (
    MAX_REPLY_BYTES,
    AddPrincipal,
    AddToken,
    Ask,
    BeginProduction,
    BeginScrub,
    CancelProduction,
    CutBackup,
    DisablePrincipal,
    HoldBackup,
    KeepBackup,
    ListMatters,
    ListPrincipals,
    ListProductions,
    ListTokens,
    OpenArchive,
    OpenMatter,
    ReadArchive,
    RecordBackup,
    RecordDirectoryBackup,
    ReleaseBackup,
    ReleaseMatter,
    Request,
    RevokeToken,
    RotateKek,
    ShowMatter,
    ShowProduction,
    Status,
    TakeKeys,
    TakeSurvey,
    WatchProduction,
    decode_reply,
    encode,
)
from audit.control.place import reachable
from audit.control.stream_messages import Assignment, Entries, ListAssignments, split_entries
from audit.errors import AlreadyRunning, ControlFailed
from audit.identity import Layout, load_identity
from audit.keys import KeyMaterial, Rotated
from audit.matters import Held, Matter
from audit.node import Node
from audit.production.keep import Kept
from audit.production.standing import Standing
from audit.query.records import Page
from audit.status import NodeStatus
from audit.survey import Survey
from audit.tiles import WIDTH
from audit.tokens import NO_SOURCE, NewToken
from vault.errors import S3_ERRORS, S3Error
from vault.state.other_rows import TokenRow
from vault.state.rows import PrincipalRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from audit.config import Settings
    from audit.control import Control
    from audit.matters import Wanted
    from audit.production.question import Question as Asked
    from audit.query.records import Question
    from audit.tokens import Source
    from vault.record import BackupRef, KeysRef

#: How long the server may take for one request, in seconds; longer than a commit may.
REPLY_SECONDS: Final = 120

_T = TypeVar("_T")


@contextmanager
def open_control(root: Path, settings: Callable[[], Settings]) -> Iterator[Control]:
    """Ask the server that has a vault open, or open it here for as long as the block lasts.

    Args:
        root: The data directory.
        settings: Loads the configuration; called only where the vault is opened here.

    Raises:
        NotInitialised: There is no vault.
        AlreadyRunning: Another process has it open and does not answer (yet).
        ControlFailed: A server is there, but does not take our orders.
        AuditError: Of opening a node.
        VaultError: Of opening a node.
    """
    layout = Layout(root)
    load_identity(layout)
    client = Client.connect(layout.socket)
    if client is not None:
        with client:
            yield client
        return
    try:
        node = Node.open(root, settings())
    except AlreadyRunning as error:
        raise AlreadyRunning(f"{root} is open in a process that takes no orders (yet): try again") from error
    with node:
        yield NodeControl(node, host_user(os.getuid()))


class Client:
    """Implements :class:`audit.control.Control` over the socket. Made by :meth:`connect`; not thread-safe."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._answers = connection.makefile("rb")

    @classmethod
    def connect(cls, path: Path) -> Self | None:
        """Reach the server; None where none listens.

        Raises:
            ControlFailed: The socket is another user's.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with reachable(path) as place:
                connection.connect(place)
        except (FileNotFoundError, ConnectionRefusedError):
            connection.close()
            return None
        except OSError as error:
            connection.close()
            raise ControlFailed(f"the server's socket {path} cannot be used: {error.strerror}") from error
        connection.settimeout(REPLY_SECONDS)
        return cls(connection)

    def status(self) -> NodeStatus:
        """See :meth:`Control.status`."""
        return self._result(Status(), NodeStatus)

    def survey(self) -> Survey:
        """See :meth:`Control.survey`."""
        return self._result(TakeSurvey(), Survey)

    def principals(self) -> list[PrincipalRow]:
        """See :meth:`Control.principals`."""
        return self._result(ListPrincipals(), list[PrincipalRow])

    def add_principal(self, name: str, roles: Sequence[str], access_key: str, secret: str) -> Credentials:
        """See :meth:`Control.add_principal`."""
        return self._result(AddPrincipal(name, tuple(roles), access_key, secret), Credentials)

    def disable_principal(self, access_key: str) -> None:
        """See :meth:`Control.disable_principal`."""
        self._ask(DisablePrincipal(access_key))

    def tokens(self) -> list[TokenRow]:
        """See :meth:`Control.tokens`."""
        return self._result(ListTokens(), list[TokenRow])

    def add_token(
        self, access_key: str, roles: Sequence[str], days: int, note: str, source: Source = NO_SOURCE
    ) -> NewToken:
        """See :meth:`Control.add_token`."""
        return self._result(AddToken(access_key, tuple(roles), days, note, *source), NewToken)

    def revoke_token(self, token_id: str) -> None:
        """See :meth:`Control.revoke_token`."""
        self._ask(RevokeToken(token_id))

    def open_matter(self, wanted: Wanted) -> Matter:
        """See :meth:`Control.open_matter`."""
        return self._result(OpenMatter(wanted), Matter)

    def release_matter(self, matter_id: str, reason: str) -> Matter:
        """See :meth:`Control.release_matter`."""
        return self._result(ReleaseMatter(matter_id, reason), Matter)

    def matters(self, state: str) -> list[Matter]:
        """See :meth:`Control.matters`."""
        return self._result(ListMatters(state), list[Matter])

    def matter(self, matter_id: str) -> tuple[Matter, Held]:
        """See :meth:`Control.matter`."""
        return self._result(ShowMatter(matter_id), tuple[Matter, Held])

    def ask(self, question: Question) -> Page:
        """See :meth:`Control.ask`."""
        wanted = Ask(
            tuple(question.filters), question.text, question.limit, question.order, question.cursor, question.total
        )
        return self._result(wanted, Page)

    def begin_production(self, question: Asked, directory: str) -> Standing:
        """See :meth:`Control.begin_production`."""
        return self._result(BeginProduction(question, directory), Standing)

    def watch_production(self, production: str) -> Standing:
        """See :meth:`Control.watch_production`."""
        return self._result(WatchProduction(production), Standing)

    def cancel_production(self, production: str) -> None:
        """See :meth:`Control.cancel_production`."""
        self._ask(CancelProduction(production))

    def productions(self) -> list[Standing]:
        """See :meth:`Control.productions`."""
        return self._result(ListProductions(), list[Standing])

    def production(self, production: str) -> Standing:
        """See :meth:`Control.production`."""
        return self._result(ShowProduction(production), Standing)

    def open_archive(self, production: str) -> Kept:
        """See :meth:`Control.open_archive`."""
        return self._result(OpenArchive(production), Kept)

    def read_archive(self, production: str, version_id: str, first: int) -> bytes:
        """See :meth:`Control.read_archive`."""
        _, payload = self._ask(ReadArchive(production, version_id, first))
        return payload

    def begin_scrub(self, *, whole: bool) -> int:
        """See :meth:`Control.begin_scrub`."""
        return self._result(BeginScrub(whole), int)

    def assignments(self) -> list[Assignment]:
        """See :meth:`Control.assignments`."""
        return self._result(ListAssignments(), list[Assignment])

    def records(self, stream: str, start: int, end: int) -> Iterator[bytes]:
        """See :meth:`Control.records`."""
        for index in range(start // WIDTH, -(-end // WIDTH)):
            first = index * WIDTH
            width = min(WIDTH, end - first)
            _, bundle = self._ask(Entries(stream, index, width))
            yield from split_entries(bundle, width)[max(0, start - first) :]

    def key_material(self) -> KeyMaterial:
        """See :meth:`KeyControl.key_material`."""
        _, material = self._ask(TakeKeys())
        return _decoded(material, KeyMaterial)

    def record_key_backup(self, keys: KeysRef) -> str:
        """See :meth:`KeyControl.record_key_backup`."""
        return self._result(RecordBackup(keys), str)

    def rotate_kek(self, new: str) -> Rotated:
        """See :meth:`KeyControl.rotate_kek`."""
        return self._result(RotateKek(new), Rotated)

    def hold_backup(self) -> int:
        """See :meth:`BackupControl.hold_backup`."""
        return self._result(HoldBackup(), int)

    def cut_backup(self, hold: int) -> list[Cut]:
        """See :meth:`BackupControl.cut_backup`."""
        return self._result(CutBackup(hold), list[Cut])

    def keep_backup(self, hold: int, *, recycling: bool) -> None:
        """See :meth:`BackupControl.keep_backup`."""
        self._ask(KeepBackup(hold, recycling))

    def release_backup(self, hold: int) -> None:
        """See :meth:`BackupControl.release_backup`."""
        self._ask(ReleaseBackup(hold))

    def record_directory_backup(self, backup: BackupRef) -> str:
        """See :meth:`BackupControl.record_directory_backup`."""
        return self._result(RecordDirectoryBackup(backup), str)

    def _result(self, request: Request, kind: type[_T]) -> _T:
        result, _ = self._ask(request)
        return _decoded(result, kind)

    def _ask(self, request: Request) -> tuple[msgspec.Raw, bytes]:
        try:
            self._connection.sendall(encode(request))
            line = self._answers.readline(MAX_REPLY_BYTES)
            reply = decode_reply(line)
            payload = self._answers.read(reply.payload)
        except TimeoutError as error:
            raise ControlFailed(f"the server did not answer within {REPLY_SECONDS} s; the ledger knows") from error
        except OSError as error:
            raise ControlFailed(f"the server went away ({error.strerror}); the ledger knows") from error
        if len(payload) != reply.payload:
            raise ControlFailed("the server went away in the middle of its answer")
        problem = reply.error
        if problem is not None and problem.code in S3_ERRORS:
            raise S3Error(problem.code, problem.message)
        if problem is not None:
            raise ControlFailed(problem.message)
        return reply.result, payload

    def __enter__(self) -> Self:
        """Use it until the block ends."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go."""
        self.close()

    def close(self) -> None:
        """Let go."""
        self._answers.close()
        self._connection.close()


def _decoded(data: bytes | msgspec.Raw, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError:  # raised without the cause, whose message may quote a secret
        raise ControlFailed("the server answered something else than was asked") from None
