"""Which share of the bodies a verification reads, and when the next one is due. Pure.

Not handled here: how a share is made of bodies (``audit.verify.share``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vault.times import NS

if TYPE_CHECKING:
    from audit.config import ScrubSection
    from vault.state.other_rows import VerifiedRow

HOUR_S: Final = 3600
#: How long a server is left alone after its start, and after a verification that took longer than its interval.
REST_S: Final = 60
#: When one that could not be done is tried again, if it is not due before.
RETRY_S: Final = HOUR_S
#: Most shares; the verifier would take more.
MAX_SHARES: Final = 1000


def shares(settings: ScrubSection) -> int:
    """Into how many shares the bodies are cut, so that all had their turn within ``cycle_days``."""
    if not settings.interval_hours:
        return settings.cycle_days
    return max(1, min(MAX_SHARES, int(settings.cycle_days * 24 / settings.interval_hours)))


def next_share(row: VerifiedRow, count: int) -> int:
    """The share after the last one that was read, from 1; the first where the bodies were cut in another way.

    Args:
        row: What the ledger told last. One that could not be done, or was cut short, has not moved it.
        count: Shares in all.
    """
    return row.share % count + 1 if row.shares == count else 1


def first_wait(row: VerifiedRow, settings: ScrubSection, now: int) -> float:
    """Seconds from the start of a server to its first verification: what was missed meanwhile is caught up.

    Args:
        row: What the ledger told last.
        settings: With an interval that is not 0.
        now: The wall clock, in ns since the epoch.
    """
    interval = settings.interval_hours * HOUR_S
    since = max(0, now - row.done) / NS  # a clock that was set back puts it off by one interval at most
    return max(min(REST_S, interval), interval - since)


def next_wait(settings: ScrubSection, took: float, *, done: bool) -> float:
    """Seconds from the end of one verification to the next.

    Args:
        settings: With an interval that is not 0.
        took: How long that one took, in seconds.
        done: Whether it could be done.
    """
    interval = settings.interval_hours * HOUR_S
    return max(min(REST_S, interval), (interval if done else min(interval, RETRY_S)) - took)
