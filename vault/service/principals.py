"""Who an access key belongs to, for the check of signatures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault.state import rows
from vault.state.rows import PrincipalRow

if TYPE_CHECKING:
    from vault.crypto.secrets import SecretStore
    from vault.ports import State


class Principals:
    """Principals by access key. Secrets are read once and then kept in memory; they never change.

    Args:
        state: The durable view.
        secrets: Principals' secrets.
    """

    def __init__(self, state: State, secrets: SecretStore) -> None:
        self._state = state
        self._secrets = secrets
        self._known: dict[str, bytes] = {}

    def lookup(self, access_key: str) -> tuple[PrincipalRow, bytes] | None:
        """Find an enabled principal and its secret. Reads one small file at the principal's first request.

        Raises:
            KeyringError: The secret is missing or damaged.
        """
        row = self._state.get(rows.access_key_key(access_key))
        if not isinstance(row, PrincipalRow) or not row.enabled:
            return None
        secret = self._known.get(row.id)
        if secret is None:
            secret = self._known[row.id] = self._secrets.get(row.id).encode()
        return row, secret
