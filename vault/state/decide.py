"""What happens to an operation at its point of order: allowed or refused, and with which effect.

Pure: a tail, the state as sequenced so far, and the record's own two clocks go in; a :class:`Decision` comes out.
Nothing else decides. A record alone holds all a decision looked at (apart from the parts a completion lists, which
are in its body), so the ledger can be replayed against this very function.

The room for each kind: here access and dispatch; :mod:`vault.state.buckets`, :mod:`vault.state.objects`,
:mod:`vault.state.multipart`, :mod:`vault.state.principals`, :mod:`vault.state.tokens`,
:mod:`vault.state.custody`, :mod:`vault.state.ingest`, :mod:`vault.state.matters`, :mod:`vault.state.verified`,
:mod:`vault.state.backups`, :mod:`vault.state.relaying` the rest; the lock gate is :mod:`vault.retention`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vault import policy
from vault.errors import S3Error
from vault.state import (
    backups,
    buckets,
    custody,
    ingest,
    lookup,
    matters,
    multipart,
    objects,
    principals,
    relaying,
    rows,
    tokens,
    verified,
)
from vault.state.decision import Case, Decision
from vault.state.rows import BucketRow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vault.ports import State
    from vault.record import Tail
    from vault.times import Now

_RULES: Final[dict[str, Callable[[Case], Decision]]] = {
    "bucket.create": buckets.create,
    "bucket.delete": buckets.delete,
    "bucket.head": buckets.look,
    "bucket.location": buckets.look,
    "bucket.versioning.get": buckets.look,
    "bucket.versioning.put": buckets.put_versioning,
    "bucket.lock.get": buckets.get_lock,
    "bucket.lock.put": buckets.put_lock,
    "object.put": objects.put,
    "object.get": objects.read,
    "object.head": objects.read,
    "object.delete": objects.delete,
    "object.list": buckets.look,
    "object.versions": buckets.look,
    "object.retention.get": objects.get_retention,
    "object.retention.put": objects.put_retention,
    "object.hold.get": objects.get_hold,
    "object.hold.put": objects.put_hold,
    "multipart.create": multipart.create,
    "multipart.part": multipart.part,
    "multipart.list": buckets.look,
    "multipart.parts": multipart.listed,
    "multipart.complete": multipart.complete,
    "multipart.abort": multipart.abort,
    "principal.add": principals.add,
    "principal.disable": principals.disable,
    "token.add": tokens.add,
    "token.revoke": tokens.revoke,
    "ingest.batch": ingest.admit,
    "ledger.backup": backups.told,
    "ledger.verified": verified.told,
    "relay.assign": relaying.assign,
    "relay.rewind": relaying.rewind,
    "matter.open": matters.open_,
    "matter.close": matters.close,
    "key.backup": custody.told,
    "key.restore": custody.told,
    "key.rotate": custody.told,
}
_OWN: Final = f"Buckets named {policy.OWN_BUCKETS}... are the server's own: the audit port shows what is in them."
#: What only the server itself writes, and reads of no one bucket.
_ALWAYS: Final = frozenset(
    {
        "bucket.list", "matter.list", "matter.get", "record.query", "record.get", "record.tile",
        "production.create", "production.complete", "production.list", "production.get", "production.cancel",
        "production.read",
        "object.read.failed", "object.erased", "request.refused", "auth.window.open",
        "auth.window.close", "ledger.open", "ledger.start", "ledger.stop", "ledger.recover", "ledger.pruned",
        "server.reload", "clock.status",
    }
)  # fmt: skip


def decide(tail: Tail, state: State, now: Now, parts: Sequence[tuple[int, int]] = ()) -> Decision:
    """Decide one operation.

    Args:
        tail: The front end's half of the record.
        state: Everything sequenced before.
        now: The clocks of the record that will hold the outcome.
        parts: For ``multipart.complete``: (number, seq of the part's record).

    Returns:
        The outcome; a refusal is an outcome (``Decision.error``), never an exception.
    """
    case = Case(tail, state, now, parts)
    try:
        admit(case)
        rule = _RULES.get(tail.op)
        if rule is None:
            if tail.op not in _ALWAYS:
                raise S3Error("NotImplemented")
            return Decision()
        return rule(case)
    except S3Error as error:
        return Decision(version=case.version, lock=case.lock, error=error)


def admit(case: Case) -> None:
    """Is the actor who it says, enabled, and in a role that may do this?

    Raises:
        S3Error: AccessDenied.
    """
    actor = case.tail.actor
    if actor.id == policy.SYSTEM:
        return
    principal = lookup.principal(case.state, actor.id)
    if principal is None or not principal.enabled:
        raise S3Error("AccessDenied", reason="principal")
    owns = False
    if case.tail.object is not None:
        found = case.state.get(rows.bucket_key(case.tail.object.bucket))
        # A bucket that does not exist is nobody's: an owner is told so, as S3 tells everybody.
        owns = not isinstance(found, BucketRow) or found.owner == principal.id
    asked = case.asked
    for op in policy.needed(case.tail.op, asked):
        if not policy.allowed(principal.roles, op, owns=owns):
            raise S3Error("AccessDenied", reason="policy")
    if case.tail.object is not None and policy.own(case.tail.op, case.tail.object.bucket):
        raise S3Error("AccessDenied", _OWN, reason="policy")
    case.bypass = asked.bypass and policy.may_bypass(principal.roles, owns=owns)
