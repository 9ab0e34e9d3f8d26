"""Decisions about principals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault import policy
from vault.errors import S3Error
from vault.state import lookup, rows
from vault.state.decision import Decision
from vault.state.rows import PrincipalRow

if TYPE_CHECKING:
    from vault.state.decision import Case


def add(case: Case) -> Decision:
    """A new principal: ids and access keys are used once, and duties stay separate."""
    wanted = case.tail.principal
    if wanted is None:
        raise S3Error("InvalidRequest")
    problem = policy.check_roles(wanted.roles)
    if problem:
        raise S3Error("InvalidArgument", problem, reason="roles")
    if not wanted.id or wanted.id == policy.SYSTEM or not wanted.access_key:
        raise S3Error("InvalidArgument", "This id or access key cannot be a principal's.", reason="reserved")
    taken = case.state.get(rows.access_key_key(wanted.access_key)) is not None
    if taken or lookup.principal(case.state, wanted.id) is not None:
        raise S3Error("InvalidArgument", "This access key is in use already; choose another one.", reason="exists")
    row = PrincipalRow(wanted.id, wanted.name, wanted.access_key, wanted.roles)
    return Decision(row=row)


def disable(case: Case) -> Decision:
    """A principal that may do nothing from here on; its records keep naming it."""
    wanted = case.tail.principal
    found = lookup.principal(case.state, wanted.id) if wanted is not None else None
    if found is None:
        raise S3Error("InvalidArgument", "There is no such principal.", reason="no_such_principal")
    return Decision(row=found)
