"""Principals of an open vault: who may act, added and disabled by records.

Not handled here: what they may do (``vault.policy``), and secrets at rest (``vault.crypto.secrets``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from audit.credentials import first_of, make_up, new_access_key, new_secret
from vault.policy import SYSTEM
from vault.record import Actor, Origin, PrincipalRef, Tail
from vault.state import rows
from vault.state.rows import PrincipalRow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audit.identity import Layout
    from vault.crypto.secrets import SecretStore
    from vault.ports import Committed, State


class Principals:
    """All principals of one node. Thread-safe; not for the event loop.

    Args:
        commit: Commits one record (``audit.node.Node.commit``).
        state: The durable view.
        secrets: Their secrets.
    """

    def __init__(self, commit: Callable[[Tail], Committed], state: State, secrets: SecretStore) -> None:
        self._commit = commit
        self._state = state
        self._secrets = secrets

    def add(
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
        self._secrets.add(principal.id, secret)
        self._commit(Tail(op="principal.add", actor=actor, origin=Origin("cli"), principal=principal))
        return principal.id, principal.access_key, secret

    def disable(self, actor: Actor, access_key: str) -> None:
        """Disable whoever has this access key.

        Raises:
            S3Error: Nobody has it.
        """
        found = self._state.get(rows.access_key_key(access_key))
        who = PrincipalRef(found.id if isinstance(found, PrincipalRow) else "", "", access_key[:128], ())
        self._commit(Tail(op="principal.disable", actor=actor, origin=Origin("cli"), principal=who))

    def all(self) -> list[PrincipalRow]:
        """Everybody, disabled or not."""
        return [row for _, row in self._state.scan(b"i", b"j") if isinstance(row, PrincipalRow)]

    def ensure_first(self, layout: Layout, environ: Mapping[str, str]) -> str:
        """Add the root principal to a vault that has nobody yet; see :mod:`audit.credentials` for its keys.

        Returns:
            Its access key; empty where there is somebody already, and nothing was done.

        Raises:
            ConfigInvalid: Its keys cannot be used.
        """
        if self.all():
            return ""
        first = first_of(layout.credentials, environ) or make_up(layout.credentials)
        self.add(Actor(SYSTEM), "root", ("root",), first.access_key, first.secret)
        return first.access_key
