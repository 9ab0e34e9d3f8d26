"""Bearer tokens of an open vault: made, revoked and recognised.

    strongroom_<token id: 16 hex>_<256 random bits, base64url>

A token is shown once, when it is made. What is kept is its SHA-256, in the record that adds it: nobody turns that back
into 256 random bits, so the ledger alone rebuilds who may ask, and there is no file of tokens to protect.

Not handled here: what its roles may do (``vault.policy``), and the request it came with (``audit.api.access``).
"""

from __future__ import annotations

import hmac
import os
import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from vault.record import Actor, Origin, Tail, TokenRef
from vault.state import lookup, rows
from vault.state.rows import PrincipalRow, TokenRow
from vault.state.tokens import BRINGS
from vault.times import DAY_NS, NS, rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from vault.ports import Committed, State

#: How long a token counts where nobody says, in days.
DEFAULT_DAYS: Final = 90

_FORM: Final = re.compile(r"strongroom_([0-9a-f]{16})_[A-Za-z0-9_-]{43}", re.ASCII)
_SECRET_BYTES: Final = 32


class NewToken(NamedTuple):
    """A token that was just made; ``token`` is shown this once."""

    id: str
    token: str
    expires: str


class Source(NamedTuple):
    """A source of foreign events and the format of these (``audit.ingest``); empty for none."""

    name: str = ""
    format: str = ""


#: Of a token that is for people and their programs.
NO_SOURCE: Final = Source()


class Bearer(NamedTuple):
    """Whoever a token stands for.

    Where ``source`` is not empty it brings that source's events, of ``format``, and is good for nothing else.
    """

    token_id: str
    principal: PrincipalRow
    roles: tuple[str, ...]
    source: str = ""
    format: str = ""

    def actor(self) -> Actor:
        """As records name them."""
        return Actor(self.principal.id, roles=self.roles)


class Tokens:
    """All tokens of one node. Thread-safe; what changes something is not for the event loop.

    Args:
        commit: Commits one record (``audit.node.Node.commit``).
        state: The durable view.
        wall: Wall clock, ns since the epoch.
    """

    def __init__(self, commit: Callable[[Tail], Committed], state: State, wall: Callable[[], int]) -> None:
        self._commit = commit
        self._state = state
        self._wall = wall

    def add(
        self,
        actor: Actor,
        access_key: str,
        roles: tuple[str, ...],
        days: int,
        note: str = "",
        *,
        source: Source = NO_SOURCE,
    ) -> NewToken:
        """Make a token.

        Args:
            actor: Who makes it.
            access_key: Of the principal it is for.
            roles: Some of the principal's; empty for all.
            days: How long it counts, in days.
            note: For people: what it is for.
            source: Whose events it brings, where it is for that.

        Returns:
            The token.

        Raises:
            S3Error: It was refused; the refusal is recorded.
        """
        found = self._state.get(rows.access_key_key(access_key))
        who = found if isinstance(found, PrincipalRow) else None
        token_id = os.urandom(8).hex()
        token = f"strongroom_{token_id}_{urlsafe_b64encode(os.urandom(_SECRET_BYTES)).rstrip(b'=').decode()}"
        wall = self._wall()
        ref = TokenRef(
            id=token_id,
            principal=who.id if who is not None else "",
            digest=_digest(token),
            roles=roles or ((BRINGS,) if source.name else who.roles if who is not None else ()),
            expires=rfc3339((wall // NS) * NS + days * DAY_NS),
            note=note,
            source=source.name,
            format=source.format,
        )
        self._commit(Tail(op="token.add", actor=actor, origin=Origin("cli"), token=ref))
        return NewToken(token_id, token, ref.expires)

    def revoke(self, actor: Actor, token_id: str) -> None:
        """Have a token count no more, at once and for good.

        Raises:
            S3Error: There is no such token.
        """
        self._commit(Tail(op="token.revoke", actor=actor, origin=Origin("cli"), token=TokenRef(token_id[:64])))

    def all(self) -> list[TokenRow]:
        """Every token there ever was."""
        return [row for _, row in self._state.scan(b"t", b"u") if isinstance(row, TokenRow)]

    def recognise(self, token: str) -> Bearer | str:
        """Say whom a token stands for. Never blocks.

        Args:
            token: As a client sent it.

        Returns:
            The bearer; or why it counts for nothing, from a closed list of reasons.
        """
        match = _FORM.fullmatch(token)
        row = self._state.get(rows.token_key(match[1])) if match is not None else None
        if not isinstance(row, TokenRow) or not hmac.compare_digest(row.digest, _digest(token)):
            return "unknown_token"
        principal = lookup.principal(self._state, row.principal)
        if row.revoked or principal is None or not principal.enabled:
            return "revoked_token"
        if row.expires <= self._wall():
            return "expired_token"
        return Bearer(row.id, principal, row.roles, row.source, row.format)


def _digest(token: str) -> str:
    return sha256(token.encode()).hexdigest()
