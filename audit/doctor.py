"""What an operator should do about a vault, one advice at a time. Pure.

Not handled here: whether the evidence is good (``strongroom verify``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from audit.settle import room_mib
from vault.times import DAY_NS, parse_rfc3339, rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audit.config import Settings
    from audit.keys import KeyStanding
    from audit.status import NodeStatus
    from audit.survey import Survey
    from vault.state.other_rows import TokenRow
    from vault.state.rows import PrincipalRow

PROBLEM: Final = "problem"
ADVICE: Final = "advice"
STATE: Final = "state"
#: Free space is short when it is below this many times the reserve: time enough to do something about it.
_HEADROOM: Final = 4
#: Records that may wait for their checkpoint before somebody should look.
_UNSEALED: Final = 1_000_000
#: Records that the view of records may have before it: more take longer than a question waits.
_UNREAD: Final = 200_000
#: After so many days without a backup of the data directory one is due.
BACKUP_DAYS: Final = 7
#: How long before its end a token is to be replaced, in days.
RENEW_DAYS: Final = 14


class Finding(NamedTuple):
    """One thing to do; ``kind`` is :data:`PROBLEM` where the vault does not work, else :data:`ADVICE`."""

    kind: str
    text: str


def examine(
    status: NodeStatus,
    principals: Sequence[PrincipalRow],
    settings: Settings,
    problems: Sequence[str] = (),
    advice: Sequence[str] = (),
    *,
    survey: Survey | None = None,
    tokens: Sequence[TokenRow] = (),
    now: int = 0,
) -> list[Finding]:
    """Look at a vault.

    Args:
        status: How it stands.
        principals: Everybody.
        settings: Its configuration, for the disk reserve and the length of segments.
        problems: Already found elsewhere: in files that the next start needs.
        advice: The same, which can wait.
        survey: How it is set up.
        tokens: All tokens there ever were.
        now: The wall clock, in ns since the epoch, by which they and backups count.

    Returns:
        Findings, problems first; none where all is as it should be.
    """
    found = [Finding(PROBLEM, text) for text in (*status.problems, *problems)]
    advice = list(dict.fromkeys((*status.warnings, *advice)))  # a running server may have told it already
    advice += _of_principals(principals)
    if survey is not None:
        found += [Finding(PROBLEM, text) for text in survey.troubles]
        advice += _of_survey(survey)
    advice += _of_tokens(tokens, principals, now)
    reserve = settings.disk.reserve_mib << 20
    if status.disk_free < reserve:
        found.append(
            Finding(PROBLEM, f"{status.disk_free >> 20} MiB of disk are free, less than the reserve: free some")
        )
    elif status.disk_free < _HEADROOM * reserve:
        advice.append(f"{status.disk_free >> 20} MiB of disk are free; reads stop at {reserve >> 20} MiB")
    segment = settings.ledger.segment_mib
    needed = -(-room_mib(segment) * 3 // 2)  # writes stop at two thirds of the reserve
    if settings.disk.reserve_mib < needed:
        advice.append(
            f"disk.reserve_mib = {settings.disk.reserve_mib} is little beside ledger.segment_mib = {segment}: on a "
            f"full disk settling may not find the {room_mib(segment)} MiB that it takes before it gives any back; "
            f"set it to {needed} or more"
        )
    advice += _of_backups(status.keys) + _of_directory_backup(status.backup, now)
    if not settings.scrub.interval_hours:
        advice.append(
            "scrub.interval_hours = 0: the vault does not verify itself; have `strongroom scrub` run each day"
        )
    if status.durable - status.sealed > _UNSEALED:
        advice.append(f"{status.durable - status.sealed} records wait for a checkpoint: look at the anchor")
    return found + [Finding(ADVICE, text) for text in advice]


def _of_principals(principals: Sequence[PrincipalRow]) -> list[str]:
    enabled = [principal for principal in principals if principal.enabled]
    roots = [principal.access_key for principal in enabled if "root" in principal.roles]
    if not enabled:
        return ["nobody may act: add a principal with `strongroom principal add`"]
    return [
        f"the root principal {root} is enabled: add principals for each duty, "
        f"then disable it with `strongroom principal disable {root}`"
        for root in roots[:1]
    ]


def _of_survey(survey: Survey) -> list[str]:
    """What the way a vault is set up, or its host's clock, asks for."""
    advice = [
        f"the principals {', '.join(keys)} have the same secret, so one of them can act as the other: "
        f"add a principal with a secret of its own for each, then disable these with `strongroom principal disable`"
        for keys in survey.sharing
    ]
    if not survey.synchronised:
        advice.append(
            "the host's clock is not synchronised, or the kernel does not tell: run an NTP or PTP daemon (chrony), "
            "or times in records are only as good as this clock"
        )
    if survey.unread is not None and survey.unread > _UNREAD:
        advice.append(
            f"the view of records has {survey.unread} records to read, and questions wait for it: it reads on by "
            f"itself; where this number does not fall, the server's log says why; with the server stopped "
            f"`views/query` can be removed, and is made anew"
        )
    return advice


def _of_tokens(tokens: Sequence[TokenRow], principals: Sequence[PrincipalRow], now: int) -> list[str]:
    """Tokens that end soon, and those left over from principals that were disabled."""
    people = {principal.id: principal for principal in principals}
    advice = []
    for row in sorted(tokens, key=lambda row: (row.expires, row.id)):
        holder = people.get(row.principal)
        if row.revoked or row.expires <= now or holder is None:
            continue
        if not holder.enabled:
            advice.append(
                f"token {row.id} is of {holder.access_key}, who is disabled: "
                f"revoke it with `strongroom token revoke {row.id}`"
            )
        elif row.expires <= now + RENEW_DAYS * DAY_NS:
            source = f" --source {row.source} --format {row.format}" if row.source else ""
            advice.append(
                f"token {row.id} of {holder.access_key} expires on {rfc3339(row.expires)[:10]}: where it is still "
                f"needed, make another one with `strongroom token add {holder.access_key}{source}`"
            )
    return advice


def _of_backups(keys: KeyStanding) -> list[str]:
    """What would be lost with ``DIR/keys``, because no backup has it."""
    if not keys.backed_up:
        text = "no backup of the keys was recorded, and without them nothing can be read again: make one with "
        return [f"{text}`strongroom key backup FILE`, and keep it elsewhere"]
    counts = {
        "domain keys made": keys.domains,
        "principals added": keys.principals,
        "streams begun": keys.streams,
        "rotations of the key-encryption key": keys.rotations,
    }
    since = ", ".join(f"{what}: {count}" for what, count in counts.items() if count)
    when = f"since the last backup of the keys ({keys.backed_up[:19]}Z)"
    return [f"{when} {since}; make another one with `strongroom key backup FILE`"] if since else []


def _of_directory_backup(made: str, now: int) -> list[str]:
    """A backup that was never made, or is old: all records since then are in one place."""
    how = "make one with `strongroom backup TARGET --data DIR`, TARGET on another disk"
    if not made:
        return [f"no backup of the data directory was recorded: {how}, and have it made each day"]
    days = (now - parse_rfc3339(made)) // DAY_NS
    return [f"the last backup of the data directory was made {days} days ago ({made[:19]}Z): {how}"] * (
        days >= BACKUP_DAYS
    )
