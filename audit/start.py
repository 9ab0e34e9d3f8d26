"""What a start records before anybody is answered: which stream begins, what was cut, that the writer is there. Pure.

Not handled here: committing, and what a recovery does (``audit.journal.recovery``, ``audit.takeover``).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from audit import __version__
from audit.production.keep import BUCKET
from vault.policy import SYSTEM
from vault.record import Actor, LedgerRef, ObjectRef, Origin, Tail
from vault.state import rows
from vault.state.rows import UploadRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from audit.feed import Feed
    from audit.identity import Identity
    from audit.journal.recovery import Recovered, Torn
    from vault.ports import State
    from vault.record import ClockState
    from vault.takeover import Takeover

_log: Final = logging.getLogger(__name__)
_SERVER: Final = Origin("server")
_ACTOR: Final = Actor(SYSTEM)


def own(op: str, ledger: LedgerRef, state: ClockState | None = None) -> Tail:
    """A record of the server's own."""
    return Tail(op=op, actor=_ACTOR, origin=_SERVER, ledger=ledger, clock_state=state)


def is_stop(record: bytes) -> bool:
    """Whether a record says that the writer stopped in order."""
    return b'"op":"ledger.stop"' in record


def tails(  # noqa: PLR0917 - all of a start
    identity: Identity,
    anchor: str,
    found: Recovered,
    state: ClockState,
    taken: Takeover | None,
    torn: Sequence[Torn],
) -> list[Tail]:
    """The records of one start, in order.

    Args:
        identity: Which vault.
        anchor: Its URL, or ``local``.
        found: What the recovery found.
        state: The clock's account.
        taken: Of a stream's first start: the stream that it takes over, if it does.
        torn: What is torn there. Named in one group with the first record: no later start looks for it again.
    """
    made = []
    if found.next_seq == 0:
        opened = LedgerRef(
            vault=identity.vault, anchor=anchor, profile=identity.profile, software=__version__, takes_over=taken
        )
        made.append(own("ledger.open", opened))
        if taken is not None:
            made += [own("ledger.recover", _cut(found, item, taken.stream)) for item in torn]
    made += [own("ledger.recover", _cut(found, item)) for item in found.torn]
    made.append(own("ledger.start", LedgerRef(found.incarnation, software=__version__, anchor=anchor), state))
    return made


def _cut(found: Recovered, torn: Torn, stream: str = "") -> LedgerRef:
    return LedgerRef(found.incarnation, quarantined=torn.file, digest=torn.digest, bytes=torn.length, stream=stream)


def tell(stream: str, found: Recovered, feed: Feed) -> None:
    """Say in the server's log what was found."""
    if found.next_seq and not is_stop(feed.record(found.next_seq - 1)):
        _log.warning("the last writer did not stop in order: what it left was recovered")
    _log.info("%s: %d records recovered, incarnation %d", stream, found.next_seq, found.incarnation)


def left_uploads(state: State, base: int) -> list[UploadRow]:
    """Uploads that nobody goes on with.

    Those in streams that were taken over, opened before position ``base``: an upload lives in one stream. And those of
    productions: who goes on with one begins another upload, and nobody but the server may abort one that is left.
    """
    own = rows.listing_prefix(b"u", BUCKET, "")
    first, end = (b"u", b"v") if base else (own, own + b"\xff")
    found = (row for _, row in state.scan(first, end) if isinstance(row, UploadRow))
    return [row for row in found if row.seq < base or row.bucket == BUCKET]


def aborts(uploads: Iterable[UploadRow]) -> list[Tail]:
    """The ends of uploads that nobody goes on with."""
    named = (ObjectRef(row.bucket, row.key, upload_id=row.upload_id) for row in uploads)
    return [Tail(op="multipart.abort", actor=_ACTOR, origin=_SERVER, object=name) for name in named]
