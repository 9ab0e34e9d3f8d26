"""Who may do what: roles and operations, one table (DESIGN §2; GB/T 22239 8.1.5.1-3 separation of duties).

Pure. The front end may ask early; only the committer's answer allows.

Not handled here: what a lock forbids (``vault.retention``).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from vault.record import Request

#: Duties of which nobody may have two, by role; an examiner is an auditor for a time.
DUTIES: Final = {"operator": "operator", "security": "security", "auditor": "auditor", "examiner": "auditor"}
ROLES: Final = frozenset(
    {"root", "operator", "security", "compliance", "auditor", "examiner", "owner", "writer", "reader"}
)
#: The server's own actor: clock, recovery, eraser.
SYSTEM: Final = "system"
#: Begins the names of buckets that the server makes and fills for itself, and nobody else. What stands in them tells
#: what records tell: it is read at the audit port alone, which asks for the roles that records need.
OWN_BUCKETS: Final = "strongroom-"

_LOOK: Final = frozenset({"bucket.head", "bucket.list", "bucket.location"})
_SETTINGS: Final = frozenset({"bucket.versioning.get", "bucket.lock.get"})
_LISTS: Final = frozenset({"object.list", "object.versions"})
_LOCKS_SEEN: Final = frozenset({"object.retention.get", "object.hold.get"})
_READER: Final = _LOOK | _SETTINGS | _LISTS | _LOCKS_SEEN | {"object.get", "object.head"}
_WRITER: Final = _LOOK | frozenset(
    {
        "object.put", "object.head", "object.list", "object.retention.put", "multipart.create", "multipart.part",
        "multipart.list", "multipart.parts", "multipart.complete", "multipart.abort",
    }
)  # fmt: skip
_COMPLIANCE: Final = (
    _LOOK | _SETTINGS | _LISTS | _LOCKS_SEEN | {"object.head", "object.retention.put", "object.hold.put"}
)
_OWNER: Final = (
    _READER
    | _WRITER
    | {
        "bucket.create", "bucket.delete", "bucket.versioning.put", "bucket.lock.put", "object.delete",
        "object.hold.put",
    }
)  # fmt: skip
_MAKES: Final = frozenset({"object.put", "multipart.create"})
_OWN: Final = _MAKES | {"bucket.create", "multipart.part", "multipart.complete", "multipart.abort", "object.get"}
_SECURITY: Final = frozenset(
    {
        "principal.add", "principal.disable", "token.add", "token.revoke", "key.backup", "key.restore", "key.rotate",
    }
)  # fmt: skip
#: Placing and releasing holds; seeing them is also for who reads records (DESIGN §2).
_MATTERS: Final = frozenset({"matter.open", "matter.close"})
_MATTERS_SEEN: Final = frozenset({"matter.list", "matter.get"})
#: Reading records: never an operator's, and not root's, who may make an auditor but is none (GB/T 22239 8.1.5.2).
_RECORDS: Final = frozenset({"record.query", "record.get", "record.tile"})
#: Making productions and handing them out; seeing which there are is also for who reads records.
_PRODUCTIONS: Final = frozenset({"production.create", "production.complete", "production.cancel", "production.read"})
_PRODUCTIONS_SEEN: Final = frozenset({"production.list", "production.get"})
#: Bringing another system's events: a writer's, as bringing objects is. Not root's or an owner's: what a source holds
#: lies on another machine, and must be good for as little as possible.
_INGEST: Final = frozenset({"ingest.event", "ingest.batch"})

#: What a role may do in every bucket. ``owner`` stands apart: only in the buckets it created.
_ANYWHERE: Final[dict[str, frozenset[str]]] = {
    "root": _OWNER | _SECURITY,
    "operator": frozenset(),
    "security": _SECURITY,
    "compliance": _COMPLIANCE | _RECORDS | _PRODUCTIONS | _PRODUCTIONS_SEEN | _MATTERS | _MATTERS_SEEN,
    "auditor": _RECORDS | _PRODUCTIONS_SEEN | _MATTERS_SEEN,
    "examiner": _RECORDS | _PRODUCTIONS_SEEN | _MATTERS_SEEN,
    "owner": frozenset({"bucket.create", "bucket.list"}),
    "writer": _WRITER | _INGEST,
    "reader": _READER,
}


@lru_cache(maxsize=1024)  # few roles in few combinations, asked several times for each request
def allowed(roles: tuple[str, ...], op: str, *, owns: bool) -> bool:
    """Whether somebody with these roles may do ``op``.

    Args:
        roles: As of this point of the sequence.
        op: An operation of the record's enumeration.
        owns: The caller created the bucket concerned.
    """
    return any(op in _ANYWHERE.get(role, ()) or (role == "owner" and owns and op in _OWNER) for role in roles)


def own(op: str, bucket: str) -> bool:
    """Whether only the server itself does ``op`` in a bucket of this name, whatever anybody's roles are."""
    return bucket.startswith(OWN_BUCKETS) and op in _OWN


def needed(op: str, asked: Request) -> list[str]:
    """What somebody must be allowed who sends this request.

    A lock that comes with an object needs what setting it afterwards would need, as in S3 (PutObject, *Permissions*).
    """
    ops = [op]
    if op in _MAKES:
        ops += ["object.retention.put"] * bool(asked.mode) + ["object.hold.put"] * (asked.hold is not None)
    return ops


def may_bypass(roles: tuple[str, ...], *, owns: bool) -> bool:
    """Whether a GOVERNANCE bypass counts when they ask for it."""
    return "root" in roles or ("owner" in roles and owns)


def check_roles(roles: tuple[str, ...]) -> str:
    """Why nobody may hold exactly these roles, or an empty string."""
    unknown = sorted(set(roles) - ROLES)
    if unknown:
        return f"unknown role {unknown[0]}; roles are {', '.join(sorted(ROLES))}"
    if not roles:
        return "a principal needs at least one role"
    duties = {DUTIES[role] for role in roles if role in DUTIES}
    if len(duties) > 1 or ("root" in roles and duties - {"security"}):
        return (
            "nobody holds two of operator, security and auditor (or examiner), and root is neither operator nor auditor"
        )
    return ""
