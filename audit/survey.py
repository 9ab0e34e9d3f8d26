"""How a vault is set up, as numbers: for the control table and ``doctor``. It reads no record and no object's name.

Not handled here: how the server stands (``audit.status``), what to make of it (``audit.doctor``, ``audit.controls``).
"""

from __future__ import annotations

import hmac
import os
from typing import TYPE_CHECKING

import msgspec

from vault.errors import KeyringError
from vault.retention import COMPLIANCE, GOVERNANCE
from vault.state.rows import BucketRow, PrincipalRow

if TYPE_CHECKING:
    from collections.abc import Callable

    from audit.discipline import Discipline
    from vault.ports import State


class Survey(msgspec.Struct, frozen=True, kw_only=True):
    """How a vault is set up, as of one moment.

    Attributes:
        buckets: How many there are.
        locking: Of them, those with Object Lock.
        compliance: Those whose default retention is COMPLIANCE; ``governance`` likewise.
        strict: Those that take no delete markers and no overwrites.
        unread: Records that the view of records has not read yet; None before it was opened.
        clock_source: Who tells of the host's clock; ``synchronised`` what it says; ``max_error`` in ns.
        sharing: Access keys of enabled principals that have one and the same secret, a list for each such secret.
        troubles: Secrets of enabled principals that cannot be read, and what to do.
    """

    buckets: int = 0
    locking: int = 0
    compliance: int = 0
    governance: int = 0
    strict: int = 0
    unread: int | None = None
    clock_source: str = "kernel"
    synchronised: bool = True
    max_error: int = 0
    sharing: list[list[str]] = []
    troubles: list[str] = []


def survey(state: State, secret: Callable[[str], str], kept: Discipline, unread: int | None) -> Survey:
    """Take a survey.

    Args:
        state: The durable view.
        secret: A principal's secret by id (``vault.crypto.secrets.SecretStore.get``).
        kept: How the host's clock is kept.
        unread: See :class:`Survey`.
    """
    buckets = [row for _, row in state.scan(b"b", b"c") if isinstance(row, BucketRow)]
    modes = [row.default.mode for row in buckets if row.default is not None]
    sharing, troubles = _sharing(state, secret)
    return Survey(
        buckets=len(buckets),
        locking=sum(row.lock for row in buckets),
        compliance=modes.count(COMPLIANCE),
        governance=modes.count(GOVERNANCE),
        strict=sum(row.strict for row in buckets),
        unread=unread,
        clock_source=kept.source,
        synchronised=kept.synchronised,
        max_error=kept.max_error,
        sharing=sharing,
        troubles=troubles,
    )


def _sharing(state: State, secret: Callable[[str], str]) -> tuple[list[list[str]], list[str]]:
    """Who shares a secret, and whose cannot be read.

    Secrets are compared by digests under a key of this call alone, so that nothing that lives longer tells of them.
    """
    key = os.urandom(32)
    holders: dict[bytes, list[str]] = {}
    troubles = []
    for _, row in state.scan(b"i", b"j"):
        if isinstance(row, PrincipalRow) and row.enabled:
            try:
                digest = hmac.digest(key, secret(row.id).encode(), "sha256")
            except KeyringError as error:
                troubles.append(f"{row.access_key} cannot sign in: {error}")
                continue
            holders.setdefault(digest, []).append(row.access_key)
    return [sorted(keys) for keys in holders.values() if len(keys) > 1], troubles
