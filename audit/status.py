"""How a node stands: what the readiness check, the metrics and ``doctor`` tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from audit.anchor.place import local_warning
from audit.journal import tiers
from audit.keys import KeyStanding
from audit.scrub.standing import ScrubStanding
from vault.state import backups
from vault.storage.room import free_bytes
from vault.times import NS, rfc3339

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from audit.identity import Layout
    from audit.stores import Stores
    from vault.times import Now


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What ``/readyz``, ``/metrics`` and ``doctor`` tell. Sizes are numbers of records unless they say bytes.

    ``backup`` is when the last backup of the data directory was recorded (RFC 3339), empty where none ever was.
    """

    ready: bool
    problems: list[str]
    warnings: list[str]
    durable: int
    sealed: int
    lag_ns: int
    settle_debt_bytes: int
    disk_free: int
    incarnation: int
    keys: KeyStanding = field(default_factory=KeyStanding)
    backup: str = ""
    scrub: ScrubStanding = field(default_factory=ScrubStanding)


@dataclass(frozen=True, slots=True)
class Work:
    """What a node's jobs have done since its start, and what is left for them. Times are in seconds.

    Attributes:
        failures: By job, how often it failed and was to be tried again.
        failing: Jobs whose last try failed.
        anchor_failures: How often the anchor kept a checkpoint from being published.
        unsealed_s: Since all records were last under a published checkpoint.
        unsynced_s: Since the index was last synced.
        recycled: Commit log segments given back.
        erasable: Bodies that were removed and not erased yet.
        erased: Bodies that were.
        kept: Bodies that the index calls garbage, and that the gate or the ledger keeps (``audit.eraser``).
        pruned: Records whose bytes were destroyed (``audit.pruning``).
    """

    failures: Mapping[str, int]
    failing: Collection[str]
    anchor_failures: int
    unsealed_s: float
    unsynced_s: float
    recycled: int
    erasable: int
    erased: int
    kept: int
    pruned: int


def status_of(
    stores: Stores,
    layout: Layout,
    *,
    now: Now,
    sealed: int,
    anchor: str,
    reserve: int,
    problems: list[str],
    warnings: list[str],
    keys: KeyStanding,
    scrub: ScrubStanding,
) -> NodeStatus:
    """Gather a node's status.

    Args:
        stores: Its stores.
        layout: Its directory.
        now: Its clocks.
        sealed: Records under the last published checkpoint.
        anchor: Its anchor's URL.
        reserve: Bytes of disk kept free, see ``audit.journal.tiers``.
        problems: What keeps it from being ready; a disk too full to write is added here.
        warnings: What somebody should look at; more are added here.
        keys: Whether they are backed up.
        scrub: What its own verification found.
    """
    local = local_warning(anchor, layout)
    if local:
        warnings.append(local)
    if layout.credentials.exists():
        warnings.append(f"{layout.credentials.name} still holds the first principal's secret")
    lag, backed_up = now.wall - now.clock, backups.found(stores.index).made
    free = free_bytes(layout.root)
    refused = tiers.refused(free, reserve)
    if refused:
        text = f"{free >> 20} MiB of disk are free: {refused} are refused until some is freed (disk.reserve_mib)"
        (problems if free < reserve * 2 // 3 else warnings).append(text)
    if stores.log.full:
        problems.append(f"{free >> 20} MiB of disk are free: the ledger has no room for more than deletes and holds")
    return NodeStatus(
        ready=not problems,
        problems=problems,
        warnings=warnings,
        durable=stores.log.durable_end,
        sealed=sealed,
        lag_ns=lag if abs(lag) >= NS else max(lag, 0),  # less is the grain of the two clocks
        settle_debt_bytes=sum(item.header.length for strand in stores.strands for item in strand.log.closed()),
        disk_free=free,
        incarnation=stores.log.incarnation,
        keys=keys,
        backup=rfc3339(backed_up) if backed_up else "",
        scrub=scrub,
    )
