"""The server's end of the control socket."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec

from audit.control.direct import NodeControl, host_user
from audit.control.messages import (
    MAX_REQUEST_BYTES,
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
    Problem,
    ReadArchive,
    RecordBackup,
    RecordDirectoryBackup,
    ReleaseBackup,
    ReleaseMatter,
    Reply,
    Request,
    RevokeToken,
    RotateKek,
    ShowMatter,
    ShowProduction,
    Status,
    TakeKeys,
    TakeSurvey,
    WatchProduction,
    decode_request,
    encode,
)
from audit.control.place import reachable
from audit.control.stream_messages import (
    AssignStream,
    Entries,
    Follow,
    ListAssignments,
    RecordRewind,
    TellRelay,
)
from audit.errors import AuditError, ControlFailed
from audit.query.records import Question
from audit.tiles import WIDTH, entry_bundle
from audit.tokens import Source
from vault.errors import S3Error, VaultError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit.control import Served
    from audit.node import Node

#: How long a peer may think before its next request, in seconds.
IDLE_SECONDS: Final = 60
#: Peers at one time.
MAX_PEERS: Final = 16
#: struct ucred: pid, uid, gid (unix(7)).
_UCRED: Final = struct.Struct("3i")

_log: Final = logging.getLogger(__name__)


def answer(control: Served, line: bytes) -> bytes:
    """Do what one line asks. Blocks; whatever the line holds, the result is one whole reply.

    Args:
        control: The vault, on behalf of the peer.
        line: As received.

    Returns:
        The reply's line, and its payload if it has one.
    """
    try:
        result, payload = _do(control, decode_request(line))
    except (AuditError, VaultError) as error:
        code = error.s3_code if isinstance(error, S3Error) else error.code
        return encode(Reply(error=Problem(code, str(error))))
    return encode(Reply(msgspec.Raw(msgspec.json.encode(result)), payload=len(payload))) + payload


def _do(control: Served, request: Request) -> tuple[object, bytes]:
    if isinstance(request, Entries):
        start = request.index * WIDTH
        return None, entry_bundle(control.records(request.stream, start, start + request.width))
    if isinstance(request, Follow):
        told, run = control.follow(request.stream, request.first, request.sealed)
        return told, run.encode()
    if isinstance(request, TakeKeys):
        return None, msgspec.json.encode(control.key_material())
    if isinstance(request, ReadArchive):
        return None, control.read_archive(request.production, request.version_id, request.first)
    return _ANSWERS[type(request)](control, request), b""


_ANSWERS: Final[dict[type, Callable[[Served, Any], object]]] = {
    Status: lambda control, _: control.status(),
    TakeSurvey: lambda control, _: control.survey(),
    ListPrincipals: lambda control, _: control.principals(),
    AddPrincipal: lambda control, it: control.add_principal(it.name, it.roles, it.access_key, it.secret),
    DisablePrincipal: lambda control, it: control.disable_principal(it.access_key),
    ListTokens: lambda control, _: control.tokens(),
    AddToken: lambda control, it: control.add_token(
        it.access_key, it.roles, it.days, it.note, Source(it.source, it.format)
    ),
    RevokeToken: lambda control, it: control.revoke_token(it.token),
    Ask: lambda control, it: control.ask(Question(*msgspec.structs.astuple(it))),
    BeginProduction: lambda control, it: control.begin_production(it.question, it.directory),
    WatchProduction: lambda control, it: control.watch_production(it.production),
    CancelProduction: lambda control, it: control.cancel_production(it.production),
    ListProductions: lambda control, _: control.productions(),
    ShowProduction: lambda control, it: control.production(it.production),
    OpenArchive: lambda control, it: control.open_archive(it.production),
    BeginScrub: lambda control, it: control.begin_scrub(whole=it.whole),
    RecordBackup: lambda control, it: control.record_key_backup(it.keys),
    RotateKek: lambda control, it: control.rotate_kek(it.new),
    OpenMatter: lambda control, it: control.open_matter(it.wanted),
    ReleaseMatter: lambda control, it: control.release_matter(it.matter, it.reason),
    ListMatters: lambda control, it: control.matters(it.state),
    ShowMatter: lambda control, it: control.matter(it.matter),
    HoldBackup: lambda control, _: control.hold_backup(),
    CutBackup: lambda control, it: control.cut_backup(it.hold),
    KeepBackup: lambda control, it: control.keep_backup(it.hold, recycling=it.recycling),
    ReleaseBackup: lambda control, it: control.release_backup(it.hold),
    ListAssignments: lambda control, _: control.assignments(),
    AssignStream: lambda control, it: control.assign_stream(it.relay),
    RecordRewind: lambda control, it: control.record_rewind(it.relay),
    TellRelay: lambda control, it: control.tell_relay(it.standing),
    RecordDirectoryBackup: lambda control, it: control.record_directory_backup(it.backup),
}


class ControlServer:
    """Answers the CLI beside the running server. One event loop's own.

    Args:
        node: Open for as long as this serves.
        path: The socket; its directory is the server's user's alone, and whoever serves holds the writer's lock.
    """

    def __init__(self, node: Node, path: Path) -> None:
        self._node = node
        self._path = path
        self._peers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._stopping = False
        self._pool = ThreadPoolExecutor(MAX_PEERS, "control")  # a follower waits in its thread

    async def start(self) -> None:
        """Begin to answer.

        Raises:
            ControlFailed: The socket cannot be made.
        """
        self._path.unlink(missing_ok=True)  # of a process that died: we hold the lock, so nobody serves there
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with reachable(self._path) as place:
                bound.bind(place)
            self._path.chmod(0o600)  # nobody connects before: it does not listen yet
            self._server = await asyncio.start_unix_server(self._accept, sock=bound, limit=MAX_REQUEST_BYTES)
        except OSError as error:
            bound.close()
            raise ControlFailed(f"the control socket {self._path} cannot be made: {error.strerror}") from error

    async def stop(self) -> None:
        """Take no more requests; those being done are finished and answered."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
            for peer in self._peers:
                peer.cancel()
            await asyncio.gather(*self._peers, return_exceptions=True)
        self._pool.shutdown(wait=False)

    def _refusal(self, uid: int) -> str:
        """Why a peer may not ask at all, or an empty string."""
        if uid not in (0, os.getuid()):
            _log.warning("user id %d was refused at the control socket", uid)
            return "only the server's own user and root may use the control socket"
        if len(self._peers) > MAX_PEERS:
            return "too many commands are using the control socket; try again"
        return ""

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._stopping:  # it was on its way in when we closed
            writer.close()
            return
        peer = asyncio.create_task(self._converse(reader, writer))
        self._peers.add(peer)
        peer.add_done_callback(self._peers.discard)
        peer.add_done_callback(lambda _: writer.close())  # not at the task's end: it may be cancelled before it begins

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        uid = _peer_uid(writer)
        refusal = self._refusal(uid)
        control = NodeControl(self._node, host_user(uid))
        while line := await _line(reader):
            if refusal:  # not before something was asked: who is still sending does not read
                writer.write(encode(Reply(error=Problem(ControlFailed.code, refusal))))
                return
            working = asyncio.get_running_loop().run_in_executor(self._pool, answer, control, line)
            try:
                writer.write(await asyncio.shield(working))
            except asyncio.CancelledError:
                writer.write(await working)  # what was begun is finished and told, also while we stop
                raise
            with suppress(ConnectionError):
                await writer.drain()


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The next request; empty where the peer went to sleep, away, or beyond :data:`MAX_REQUEST_BYTES`."""
    try:
        line = await asyncio.wait_for(reader.readline(), IDLE_SECONDS)
    except (TimeoutError, ConnectionError, ValueError):  # asyncio's own words for these three
        return b""
    return line if line.endswith(b"\n") else b""


def _peer_uid(writer: asyncio.StreamWriter) -> int:
    peer: socket.socket = writer.get_extra_info("socket")
    return int(_UCRED.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))[1])
