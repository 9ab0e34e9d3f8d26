"""Records of the server's own: committed, and waited for. Not for the event loop (``vault.service.commit``)."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING

from vault.errors import VaultError
from vault.ports import Intent
from vault.record import encode_tail

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vault.errors import S3Error
    from vault.ports import Committed, Journal
    from vault.record import Tail


def commit_all(
    journal: Journal, tails: Sequence[Tail], seconds: float | None = None, refused: S3Error | None = None
) -> list[Committed]:
    """Commit records, and wait until all are durable: together, where they fit into one group.

    Args:
        journal: Takes them.
        tails: In order.
        seconds: How long each may take before it counts as failed; None waits as long as it takes.
        refused: Why all of them are refused, whatever the committer would say.

    Raises:
        S3Error: One was refused; the refusal is recorded, and the others are done.
        Unavailable: One was not written.
        OutcomeUnknown: The writer failed.
        TimeoutError: One took too long; its outcome is not known.
    """
    answers: list[Future[Committed | VaultError]] = [Future() for _ in tails]
    journal.submit(
        [Intent(tail, encode_tail(tail), refused=refused) for tail in tails], [answer.set_result for answer in answers]
    )
    done = []
    for answer in answers:
        result = answer.result(seconds)
        if isinstance(result, VaultError):
            raise result
        if result.error is not None:
            raise result.error
        done.append(result)
    return done
