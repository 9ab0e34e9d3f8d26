"""What the configuration of one vault adds to a row of the control table. Pure.

Not handled here: judging it; ``strongroom doctor`` says what should be done.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from vault.policy import ROLES
from vault.times import NS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from audit.config import Settings
    from audit.controls.requirement import Requirement
    from audit.status import NodeStatus
    from audit.survey import Survey
    from vault.state.other_rows import TokenRow
    from vault.state.rows import PrincipalRow

_READERS: Final = ("auditor", "compliance", "examiner")
_MS: Final = 1_000_000


class Vault(NamedTuple):
    """What is known of a vault.

    Attributes:
        status: How it stands.
        survey: How it is set up.
        principals: Everybody.
        tokens: All of them; ``now`` is the wall clock in ns, by which they count.
        now: See ``tokens``.
        settings: The configuration.
        anchor: Its anchor's URL.
        local: Why the anchor guards against accidents only; empty where it is elsewhere.
        kek_here: Whether the KEK is a file in the data directory.
    """

    status: NodeStatus
    survey: Survey
    principals: Sequence[PrincipalRow]
    tokens: Sequence[TokenRow]
    now: int
    settings: Settings
    anchor: str
    local: str
    kek_here: bool


def describe(requirement: Requirement, vault: Vault) -> list[str]:
    """What belongs to a row in this vault, a line each."""
    return [_FACTS[name](vault) for name in requirement.live]


def _locks(vault: Vault) -> str:
    found = vault.survey
    return (
        f"buckets: {found.buckets}; with Object Lock: {found.locking}; default retention COMPLIANCE: "
        f"{found.compliance}, GOVERNANCE: {found.governance}; strict: {found.strict}"
    )


def _anchor(vault: Vault) -> str:
    return vault.local or f"anchor: {vault.anchor}"


def _roles(vault: Vault) -> str:
    held = Counter(role for who in vault.principals if who.enabled for role in who.roles)
    shown = ", ".join(f"{role} {held[role]}" for role in sorted(ROLES) if held[role])
    alone = "" if not held["root"] else "; root is enabled, and does what security and owner do"
    return f"enabled principals by role: {shown or 'none'}{alone}"


def _readers(vault: Vault) -> str:
    reading = sum(1 for who in vault.principals if who.enabled and not set(who.roles).isdisjoint(_READERS))
    enabled = {who.id for who in vault.principals if who.enabled}
    counting = [row for row in vault.tokens if not row.revoked and row.expires > vault.now and row.principal in enabled]
    tokens = sum(1 for row in counting if not set(row.roles).isdisjoint(_READERS))
    return f"principals who may read records: {reading}; tokens of theirs that count: {tokens}"


def _credentials(vault: Vault) -> str:
    shared = sum(map(len, vault.survey.sharing))
    return f"principals that share a secret with another one: {shared}"


def _tls(vault: Vault) -> str:
    settings = vault.settings
    shown = []
    for name, port in (("S3", settings.s3), ("audit", settings.audit)):
        mutual = ", client certificates required" if port.tls_client_ca_file else ""
        plain = "loopback only, no TLS" if port.address.loopback else "no TLS"
        shown.append(f"{name}: {f'TLS{mutual}' if port.tls else plain}")
    return "as configured here: " + "; ".join(shown)


def _keys(vault: Vault) -> str:
    keys = vault.status.keys
    if not keys.backed_up:
        return "no backup of the keys was recorded"
    behind = keys.domains + keys.principals + keys.streams + keys.rotations
    since = f"; made or changed since: {behind}" if behind else "; nothing is missing from it"
    return f"last backup of the keys: {keys.backed_up[:19]}Z{since}"


def _kek(vault: Vault) -> str:
    return f"the key-encryption key is {'in the data directory' if vault.kek_here else 'kept elsewhere'}"


def _clock(vault: Vault) -> str:
    found = vault.survey
    kept = f"synchronised, at most {found.max_error / _MS:.0f} ms off" if found.synchronised else "not synchronised"
    lag = max(vault.status.lag_ns // NS, 0)
    return f"host clock: {kept} (so says: {found.clock_source}); compliance clock behind it: {lag} s"


def _log(vault: Vault) -> str:
    status = vault.status
    return f"records: {status.durable}; under a signed checkpoint: {status.sealed}"


_FACTS: Final[dict[str, Callable[[Vault], str]]] = {
    "locks": _locks,
    "anchor": _anchor,
    "roles": _roles,
    "readers": _readers,
    "credentials": _credentials,
    "tls": _tls,
    "keys": _keys,
    "kek": _kek,
    "clock": _clock,
    "log": _log,
}
#: What a row may name.
FACTS: Final = frozenset(_FACTS)
