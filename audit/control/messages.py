r"""The control socket's protocol: a JSON line each way, and for records and keys bytes after the reply's line.

    → {"op":"entries","stream":"site-a.node-1","index":3,"width":256}\n
    ← {"payload":91235}\n ‖ 91,235 bytes
    → {"op":"principal.disable","access_key":"…"}\n
    ← {"error":{"code":"InvalidArgument","message":"There is no such principal."}}\n

One request at a time on a connection, as many as one likes. Both ends are of one version, on one machine.

Pure. Not handled here: sockets, and what a request does.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from audit.control.stream_messages import (
    MAX_FOLLOWED_BYTES,
    MAX_NAME,
    AssignStream,
    Entries,
    Follow,
    ListAssignments,
    RecordRewind,
    TellRelay,
)
from audit.errors import ControlFailed
from audit.matters import Wanted
from audit.production.places import ID
from audit.production.question import Question as Asked
from audit.tiles import WIDTH
from vault.crypto.backup_file import MAX_FILE_BYTES
from vault.crypto.secrets import MAX_SECRET_BYTES
from vault.policy import ROLES
from vault.record import MAX_RECORD_BYTES, BackupRef, KeysRef
from vault.state.matters import MAX_REASON
from vault.state.tokens import MAX_DAYS, MAX_NOTE

#: One request's line, in bytes.
MAX_REQUEST_BYTES: Final = 64 * 1024
#: One reply's line, in bytes: a list of many thousand principals, or a page of the longest records.
MAX_REPLY_BYTES: Final = 64 * 1024 * 1024
#: What follows a reply's line, in bytes: one bundle of the longest records, or all keys.
MAX_PAYLOAD_BYTES: Final = max(WIDTH * (MAX_RECORD_BYTES + 2), MAX_FILE_BYTES, MAX_FOLLOWED_BYTES)
#: A KEK as text, in characters.
MAX_KEK_TEXT: Final = 64


class Status(msgspec.Struct, frozen=True, tag_field="op", tag="status"):
    """Asks how the vault stands."""


class TakeSurvey(msgspec.Struct, frozen=True, tag_field="op", tag="survey"):
    """Asks how the vault is set up (``audit.survey``)."""


class ListPrincipals(msgspec.Struct, frozen=True, tag_field="op", tag="principal.list"):
    """Asks for all principals."""


class AddPrincipal(msgspec.Struct, frozen=True, tag_field="op", tag="principal.add"):
    """Adds a principal. Its ``repr`` hides the secret, so that no message can show it."""

    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    roles: Annotated[tuple[str, ...], Meta(max_length=len(ROLES))]
    access_key: Annotated[str, Meta(pattern="^([A-Za-z0-9]{3,128})?\\Z")]
    secret: Annotated[str, Meta(max_length=MAX_SECRET_BYTES)]

    def __repr__(self) -> str:
        return f"AddPrincipal({self.name!r}, {self.roles!r}, {self.access_key!r})"


class DisablePrincipal(msgspec.Struct, frozen=True, tag_field="op", tag="principal.disable"):
    """Disables whoever has an access key."""

    access_key: Annotated[str, Meta(min_length=1, max_length=128)]


class ListTokens(msgspec.Struct, frozen=True, tag_field="op", tag="token.list"):
    """Asks for all tokens."""


class AddToken(msgspec.Struct, frozen=True, tag_field="op", tag="token.add"):
    """Makes a token of the audit port."""

    access_key: Annotated[str, Meta(min_length=1, max_length=128)]
    roles: Annotated[tuple[str, ...], Meta(max_length=len(ROLES))]
    days: Annotated[int, Meta(ge=1, le=MAX_DAYS)]
    note: Annotated[str, Meta(max_length=MAX_NOTE)] = ""
    source: Annotated[str, Meta(max_length=MAX_NAME)] = ""
    format: Annotated[str, Meta(max_length=MAX_NAME)] = ""


class RevokeToken(msgspec.Struct, frozen=True, tag_field="op", tag="token.revoke"):
    """Has a token count no more."""

    token: Annotated[str, Meta(min_length=1, max_length=64)]


class OpenMatter(msgspec.Struct, frozen=True, tag_field="op", tag="matter.open"):
    """Opens a matter (``audit.matters``)."""

    wanted: Wanted


class ReleaseMatter(msgspec.Struct, frozen=True, tag_field="op", tag="matter.close"):
    """Releases a matter."""

    matter: Annotated[str, Meta(min_length=1, max_length=64)]
    reason: Annotated[str, Meta(max_length=MAX_REASON)]


class ListMatters(msgspec.Struct, frozen=True, tag_field="op", tag="matter.list"):
    """Asks for all matters, or those of one state."""

    state: Annotated[str, Meta(max_length=16)] = ""


class ShowMatter(msgspec.Struct, frozen=True, tag_field="op", tag="matter.get"):
    """Asks for a matter, and how many versions it holds."""

    matter: Annotated[str, Meta(min_length=1, max_length=64)]


class Ask(msgspec.Struct, frozen=True, tag_field="op", tag="record.query"):
    """Asks for records (``audit.query.records.Question``)."""

    filters: tuple[tuple[str, str], ...]
    text: str
    limit: int
    order: str
    cursor: str = ""
    total: bool = False


class BeginProduction(msgspec.Struct, frozen=True, tag_field="op", tag="production.begin"):
    """Begins a production in a directory of this host."""

    question: Asked
    directory: Annotated[str, Meta(pattern="^/", max_length=4096)]


class WatchProduction(msgspec.Struct, frozen=True, tag_field="op", tag="production.watch"):
    """Asks how a production stands that was begun in the server's process."""

    production: Annotated[str, Meta(pattern=ID)]


class CancelProduction(msgspec.Struct, frozen=True, tag_field="op", tag="production.cancel"):
    """Tells a production to stop."""

    production: Annotated[str, Meta(pattern=ID)]


class ListProductions(msgspec.Struct, frozen=True, tag_field="op", tag="production.list"):
    """Asks for all productions."""


class ShowProduction(msgspec.Struct, frozen=True, tag_field="op", tag="production.show"):
    """Asks how a production stands."""

    production: Annotated[str, Meta(pattern=ID)]


class OpenArchive(msgspec.Struct, frozen=True, tag_field="op", tag="production.open"):
    """Asks for the archive of a production, whose bytes are to be read."""

    production: Annotated[str, Meta(pattern=ID)]


class ReadArchive(msgspec.Struct, frozen=True, tag_field="op", tag="production.read"):
    """Asks for bytes of an archive from one on; they come as the payload."""

    production: Annotated[str, Meta(pattern=ID)]
    version_id: Annotated[str, Meta(max_length=64)]
    first: Annotated[int, Meta(ge=0, lt=2**62)]


class BeginScrub(msgspec.Struct, frozen=True, tag_field="op", tag="scrub.begin"):
    """Has the vault verify itself."""

    whole: bool


class TakeKeys(msgspec.Struct, frozen=True, tag_field="op", tag="key.take"):
    """Asks for all that a key backup holds; it comes as the payload."""


class RecordBackup(msgspec.Struct, frozen=True, tag_field="op", tag="key.backup"):
    """Has a key backup recorded."""

    keys: KeysRef


class RotateKek(msgspec.Struct, frozen=True, tag_field="op", tag="key.rotate"):
    """Puts the keyring under another KEK. Its ``repr`` hides it."""

    new: Annotated[str, Meta(max_length=MAX_KEK_TEXT)]

    def __repr__(self) -> str:
        return "RotateKek()"


class HoldBackup(msgspec.Struct, frozen=True, tag_field="op", tag="backup.hold"):
    """Holds recycling and erasing off for a backup."""


class CutBackup(msgspec.Struct, frozen=True, tag_field="op", tag="backup.cut"):
    """Asks where the commit logs stand at one instant."""

    hold: int


class KeepBackup(msgspec.Struct, frozen=True, tag_field="op", tag="backup.keep"):
    """Goes on holding erasing off, and recycling where it says so."""

    hold: int
    recycling: bool


class ReleaseBackup(msgspec.Struct, frozen=True, tag_field="op", tag="backup.release"):
    """Holds no longer."""

    hold: int


class RecordDirectoryBackup(msgspec.Struct, frozen=True, tag_field="op", tag="ledger.backup"):
    """Has a backup of the data directory recorded."""

    backup: BackupRef


Request = (
    Status
    | TakeSurvey
    | ListPrincipals
    | AddPrincipal
    | DisablePrincipal
    | ListTokens
    | AddToken
    | RevokeToken
    | OpenMatter
    | ReleaseMatter
    | ListMatters
    | ShowMatter
    | Ask
    | Entries
    | Follow
    | ListAssignments
    | AssignStream
    | RecordRewind
    | TellRelay
    | BeginProduction
    | WatchProduction
    | CancelProduction
    | ListProductions
    | ShowProduction
    | OpenArchive
    | ReadArchive
    | BeginScrub
    | TakeKeys
    | RecordBackup
    | RotateKek
    | HoldBackup
    | CutBackup
    | KeepBackup
    | ReleaseBackup
    | RecordDirectoryBackup
)


class Problem(msgspec.Struct, frozen=True):
    """Why a request was not done: an error's code and message."""

    code: str
    message: str


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """The line that answers: a result or an error, and how many bytes follow."""

    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Problem | None = None
    payload: Annotated[int, Meta(ge=0, le=MAX_PAYLOAD_BYTES)] = 0


_requests: Final = msgspec.json.Decoder(Request)
_replies: Final = msgspec.json.Decoder(Reply)


def encode(message: Request | Reply) -> bytes:
    """Write a message as its line.

    Raises:
        ControlFailed: It has a text that is not UTF-8: a shell may pass on any bytes.
    """
    try:
        return msgspec.json.encode(message) + b"\n"
    except UnicodeEncodeError as error:
        raise ControlFailed("one of the arguments is not UTF-8") from error


def decode_request(line: bytes) -> Request:
    """Read a request.

    Raises:
        ControlFailed: It is none; the message does not repeat what it said.
    """
    try:
        request: Request = _requests.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ControlFailed("this is no request of the control socket's protocol") from error
    return request


def decode_reply(line: bytes) -> Reply:
    """Read the line of a reply.

    Raises:
        ControlFailed: It is none.
    """
    try:
        return _replies.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ControlFailed("the server's answer is not of the control socket's protocol") from error
