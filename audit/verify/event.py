"""What one successful operation did, as the fields of its record say it: what the replays of :mod:`audit.verify` take.

Not handled here: which records are events, and whether they are well formed (``records``, ``schema``).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from audit.verify.schema import AFTER_PREV


class Event(NamedTuple):
    """What one successful operation did.

    ``at`` is the earlier of its two clocks, by which an expiry is judged, and ``late`` the later one, from which a
    retention starts (DESIGN §5). The other fields are groups of
    ``schema.AFTER_PREV`` in their order, empty where absent: names of buckets, keys and the like with their quotes.
    """

    seq: int
    at: bytes
    late: bytes
    ordinal: bytes
    version_id: bytes
    manifest: bytes
    prev_manifest: bytes
    marker: bytes
    null: bytes
    replaced: bytes
    mode: bytes
    until: bytes
    hold: bytes
    matters: bytes
    more: bytes
    op: bytes
    actor: bytes
    bucket: bytes
    key: bytes
    named: bytes
    upload: bytes
    part: bytes
    size: bytes
    suite: bytes
    kind: bytes
    sealed: bytes
    chunk: bytes
    length: bytes
    root: bytes
    blob: bytes
    asked_mode: bytes
    asked_until: bytes
    asked_hold: bytes
    bypass: bytes
    strict: bytes
    default_mode: bytes
    days: bytes
    years: bytes
    principal: bytes
    matter: bytes
    of_bucket: bytes
    of_vault: bytes
    of_prefix: bytes
    since: bytes
    before: bytes
    of_actor: bytes
    vault: bytes
    profile: bytes
    quarantined: bytes
    digest: bytes
    cut: bytes
    cut_in: bytes
    taken: bytes
    held: bytes
    held_root: bytes
    known: bytes
    known_root: bytes
    base: bytes
    pruned_stream: bytes
    pruned_first: bytes
    pruned_end: bytes
    pruned_count: bytes
    pruned_digest: bytes
    ref: bytes


# Groups of the pattern that make an event, in three runs: in between stand those of which only the digest is wanted.
_RUNS: Final = tuple(
    slice(AFTER_PREV.groupindex[first] - 1, AFTER_PREV.groupindex[last])
    for first, last in (("ordinal", "replaced"), ("mode", "size"), ("suite", "ref"))
)


def event_of(seq: int, stamp: bytes, clock: bytes, found: tuple[bytes, ...]) -> Event:
    """Make an event.

    Args:
        seq: Of the record.
        stamp: Its wall clock.
        clock: Its compliance clock.
        found: All groups of ``schema.AFTER_PREV``, empty where absent.
    """
    version, operation, others = _RUNS
    times = min(stamp, clock), max(stamp, clock)
    return Event._make((seq, *times, *found[version], *found[operation], *found[others]))
