"""Principals of an open vault: who may act, added and disabled by records.

Not handled here: what they may do (``vault.policy``), and secrets at rest (``vault.crypto.secrets``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from audit.errors import ConfigInvalid
from audit.init import ACCESS_KEY, SECRET_KEY, new_access_key, new_secret, read_credentials
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

    def ensure_first(self, layout: Layout, environ: Mapping[str, str]) -> bool:
        """Add the root principal to a vault that has nobody yet. Whether it did.

        Raises:
            ConfigInvalid: Neither file nor environment names one.
        """
        if self.all():
            return False
        if layout.credentials.exists():
            access_key, secret = read_credentials(layout.credentials)
        elif ACCESS_KEY in environ and SECRET_KEY in environ:
            access_key, secret = environ[ACCESS_KEY], environ[SECRET_KEY]
        else:
            raise ConfigInvalid(f"this vault has no principal yet: set {ACCESS_KEY} and {SECRET_KEY}, and init again")
        self.add(Actor(SYSTEM), "root", ("root",), access_key, secret)
        return True
