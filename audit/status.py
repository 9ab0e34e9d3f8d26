"""How a node stands: what the readiness check, the metrics and ``doctor`` tell."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audit.identity import Layout
    from audit.stores import Stores
    from vault.times import Now


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What ``/readyz``, ``/metrics`` and ``doctor`` tell. Sizes are numbers of records unless they say bytes."""

    ready: bool
    problems: list[str]
    warnings: list[str]
    durable: int
    sealed: int
    lag_ns: int
    settle_debt_bytes: int
    disk_free: int
    incarnation: int


def status_of(
    stores: Stores,
    layout: Layout,
    *,
    now: Now,
    sealed: int,
    local_anchor: bool,
    problems: list[str],
    warnings: list[str],
) -> NodeStatus:
    """Gather a node's status.

    Args:
        stores: Its stores.
        layout: Its directory.
        now: Its clocks.
        sealed: Records under the last published checkpoint.
        local_anchor: The anchor is the default one.
        problems: What keeps it from being ready.
        warnings: What somebody should look at; more are added here.
    """
    if local_anchor:
        warnings.append("anchor=local: the anchor lies beside the data directory, not outside this host's control")
    if layout.credentials.exists():
        warnings.append(f"{layout.credentials.name} still holds the first principal's secret")
    space = os.statvfs(layout.root)
    return NodeStatus(
        ready=not problems,
        problems=problems,
        warnings=warnings,
        durable=stores.log.durable_end,
        sealed=sealed,
        lag_ns=now.wall - now.clock,
        settle_debt_bytes=sum(item.header.length for strand in stores.strands for item in strand.log.closed()),
        disk_free=space.f_bavail * space.f_frsize,
        incarnation=stores.log.incarnation,
    )
