"""Decisions about bearer tokens of the audit port: who may have one, with which roles, and for how long."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from vault.errors import S3Error
from vault.state import lookup, rows
from vault.state.decision import Decision
from vault.state.rows import TokenRow
from vault.times import DAY_NS, parse_rfc3339

if TYPE_CHECKING:
    from vault.ports import State
    from vault.record import Head, Tail, TokenRef
    from vault.state.decision import Case
    from vault.state.rows import Row

#: How long a token may count, in days; an examiner's less, because examiners come for a time (DESIGN §2).
MAX_DAYS: Final = 366
MAX_EXAMINER_DAYS: Final = 92
#: Length of a token's note, in characters.
MAX_NOTE: Final = 128

#: The name of a source of foreign events.
SOURCE: Final = re.compile(r"[a-z][a-z0-9.-]{0,63}", re.ASCII)
#: What a source's events can be (``audit.ingest.formats``).
FORMATS: Final = frozenset({"json", "minio", "rustfs", "ceph-rgw", "kubernetes", "ocsf"})
#: The role that brings them.
BRINGS: Final = "writer"

_ID: Final = re.compile(r"[0-9a-f]{16}", re.ASCII)
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def add(case: Case) -> Decision:
    """A new token: for somebody who may act, with some of their roles, for a time."""
    wanted = case.tail.token
    if wanted is None or not _ID.fullmatch(wanted.id) or not _DIGEST.fullmatch(wanted.digest):
        raise S3Error("InvalidRequest")
    if case.state.get(rows.token_key(wanted.id)) is not None:
        raise S3Error("InvalidArgument", "There is a token of this id already.", reason="exists")
    principal = lookup.principal(case.state, wanted.principal)
    if principal is None or not principal.enabled:
        raise S3Error("InvalidArgument", "There is no such principal, or it is disabled.", reason="no_such_principal")
    excess = sorted(set(wanted.roles) - set(principal.roles))
    if excess or not wanted.roles:
        problem = f"The principal has no role {excess[0]}." if excess else "A token needs at least one role."
        raise S3Error("InvalidArgument", problem, reason="roles")
    if len(wanted.note) > MAX_NOTE:
        raise S3Error("InvalidArgument", f"A note has at most {MAX_NOTE} characters.", reason="note")
    try:
        expires = parse_rfc3339(wanted.expires)
    except ValueError as error:
        raise S3Error("InvalidArgument", "The token's expiry is no time.", reason="expiry") from error
    _check_source(wanted)
    days = MAX_EXAMINER_DAYS if "examiner" in wanted.roles else MAX_DAYS
    if not case.now.wall < expires <= case.now.wall + days * DAY_NS:
        problem = f"Such a token expires within {days} days, and not in the past."
        raise S3Error("InvalidArgument", problem, reason="expiry")
    row = TokenRow(
        wanted.id,
        principal.id,
        wanted.digest,
        wanted.roles,
        expires,
        wanted.note,
        source=wanted.source,
        format=wanted.format,
    )
    return Decision(row=row)


def _check_source(wanted: TokenRef) -> None:
    """A source's token brings events of one format, and so needs the role that may, and no other."""
    if not wanted.source and not wanted.format:
        return
    if not SOURCE.fullmatch(wanted.source):
        problem = "A source's name is 1 to 64 lowercase letters, digits, dots and hyphens, beginning with a letter."
        raise S3Error("InvalidArgument", problem, reason="source")
    if wanted.format not in FORMATS:
        raise S3Error("InvalidArgument", f"Formats are {', '.join(sorted(FORMATS))}.", reason="format")
    if wanted.roles != (BRINGS,):
        problem = f"A source's token carries the role {BRINGS}, which its principal must have, and no other."
        raise S3Error("InvalidArgument", problem, reason="roles")


def revoke(case: Case) -> Decision:
    """A token that counts no more; recorded again where it did not already."""
    found = case.state.get(rows.token_key(case.tail.token.id)) if case.tail.token is not None else None
    if not isinstance(found, TokenRow):
        raise S3Error("InvalidArgument", "There is no such token.", reason="no_such_token")
    return Decision(row=found)


def added(_head: Head, tail: Tail, _state: State) -> list[tuple[bytes, Row | None]]:
    """What a token's record changes (``vault.state.apply``)."""
    if tail.token is None:
        return []
    token = tail.token
    expires = parse_rfc3339(token.expires)
    row = TokenRow(token.id, token.principal, token.digest, token.roles, expires, token.note)
    if token.source:
        row = msgspec.structs.replace(row, source=token.source, format=token.format)
    return [(rows.token_key(row.id), row)]


def revoked(_head: Head, tail: Tail, state: State) -> list[tuple[bytes, Row | None]]:
    """What the record of a token's end changes."""
    found = state.get(rows.token_key(tail.token.id)) if tail.token is not None else None
    if not isinstance(found, TokenRow):
        return []
    return [(rows.token_key(found.id), msgspec.structs.replace(found, revoked=True))]
