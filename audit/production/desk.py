"""Where productions are asked for, watched, cancelled, gone on with and handed out: every call is a record first.

A record tells of a call before anything is done or shown, also where it is refused, and where nobody can say now how a
production stands. Nothing is looked for on behalf of somebody who may not know.

Not handled here: how they are made (``jobs``), and HTTP (``audit.api.productions``).
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from audit.errors import AuditError
from audit.matters import IdempotencyKeyReused
from audit.production import question, standing
from audit.production import state as states
from audit.production.create import ask
from audit.production.jobs import Jobs
from audit.production.state import State
from audit.query.records import may
from vault.errors import S3Error
from vault.record import ProductionRef, Request, Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from audit.node import Node
    from audit.production.keep import Asker, Kept
    from audit.production.question import Question
    from audit.production.standing import Standing


class ProductionNotFound(AuditError):
    """There is no such production."""

    code = "production-not-found"
    status = 404


class ProductionNotStopped(AuditError):
    """It is being made, or is kept: there is nothing to go on with, or to cancel."""

    code = "production-not-stopped"
    status = 409


class ProductionNotKept(AuditError):
    """It is not complete: there is no archive yet."""

    code = "production-not-kept"
    status = 409


class Listed(NamedTuple):
    """Productions, the newest first; ``next`` goes on after the last one, 0 where there are no more."""

    productions: list[Standing]
    next: int


class Desk:
    """Of one node. Thread-safe; not for the event loop.

    Every method that takes an asker raises S3Error where it is refused, which is recorded (AccessDenied for want of a
    role), and Unavailable where it could not be recorded; then nothing was done or shown.

    Args:
        node: Open for as long as a job runs; :meth:`stop` comes before its end.
        report: Gets an error that means the node must stop.
    """

    def __init__(self, node: Node, report: Callable[[Exception], None]) -> None:
        self._node = node
        self._jobs = Jobs(node, report)

    def begin(self, asker: Asker, asked: Question, root: Path | None = None, once: str = "") -> Standing:
        """Begin a production.

        Args:
            asker: Who asks.
            asked: What for.
            root: An absent or empty directory, or one that an attempt with the same question left; one of the
                server's where there is none.
            once: The request's Idempotency-Key. Sent again by the same principal it begins nothing.

        Raises:
            QueryInvalid: It cannot be asked like this; nothing was recorded.
            ProductionFailed: The directory cannot be used.
            IdempotencyKeyReused: ``once`` came before with another question.
            Busy: One is under way.
        """
        asked = question.judged(asked)
        digest = sha256(f"production\0{asker.actor.id}\0{once}".encode()).digest() if once else os.urandom(8)
        state = State(digest[:8].hex(), asked, asker.actor, -1)
        with self._jobs.lock:
            if root is not None:
                return self._jobs.start(asker, states.usable(root, asked) or state, root, ours=False)
            if once and self._jobs.known(state.id):
                return self._again(asker, state)
            return self._jobs.start(asker, state, self._jobs.places.of(state.id), ours=True)

    def resume(self, asker: Asker, production: str) -> Standing:
        """Go on with one that was interrupted, cancelled, or failed; with the question that it remembers.

        Raises:
            ProductionNotFound: There is none in a directory of the server's.
            ProductionNotStopped: It is being made, or kept.
            Busy: Another one is under way.
            ViewBehind: The view of records is being built; ask again.
        """
        with self._jobs.lock:
            # One that is kept, and died before its directory was removed, has none any more once it was looked for.
            found = self._looked(asker, "production.create", production)
            state = self._jobs.places.state(production)
            if state is None or self._jobs.running(production) is not None:
                raise self._refused(asker, "production.create", production, found)
            return self._jobs.start(asker, state, self._jobs.places.of(production), ours=True)

    def cancel(self, asker: Asker, production: str, *, discard: bool = False) -> Standing:
        """Tell one to stop. What is there of it stays, and can be gone on with.

        Args:
            asker: Who asks.
            production: Its id.
            discard: Nothing of it is to stay, but for what is in a directory of the command's caller.

        Raises:
            ProductionNotFound: There is none.
            ProductionNotStopped: It is kept.
            ViewBehind: The view of records is being built; ask again.
        """
        with self._jobs.lock:
            found = self._looked(asker, "production.cancel", production)
            running, state = self._jobs.running(production), self._jobs.places.state(production)
            if found is None or found.kept is not None or (running is None and state is None):
                raise self._refused(asker, "production.cancel", production, found)
            self._record(asker, "production.cancel", production)
            if running is not None:
                running.discard = running.discard or (discard and running.ours)
                running.progress.stop.set()
                return self._jobs.standing(running)
            if discard:
                self._jobs.discard(asker, production)
            else:
                self._jobs.remember(production, self._jobs.places.of(production), states.CANCELLED)
        how = standing.DISCARDED if discard else standing.CANCELLED
        return msgspec.structs.replace(found, state=how, problem="")

    def list(self, asker: Asker, limit: int = 1 << 30, after: int = 0) -> Listed:
        """List them, the newest first.

        Args:
            asker: Who looks.
            limit: Of a page.
            after: ``next`` of the page before.

        Raises:
            ViewBehind: The view of records is being built; ask again.
        """
        self._node.asking.fresh(self._record(asker, "production.list", ""))
        found, following = standing.listed(self._node, after, limit)
        at_hand = (one if one.state == standing.KEPT else self._jobs.at_hand(one.id) or one for one in found)
        return Listed([*at_hand], following)

    def get(self, asker: Asker, production: str) -> Standing:
        """How one stands.

        Raises:
            ProductionNotFound: There is none.
            ViewBehind: The view of records is being built; ask again.
        """
        found = self._looked(asker, "production.get", production)
        if found is None:
            raise self._refused(asker, "production.get", production, found)
        self._record(asker, "production.get", production)
        return found

    def kept(self, asker: Asker, production: str) -> Kept:
        """The archive of one, for somebody who is to be handed it.

        Raises:
            ProductionNotFound: There is none.
            ProductionNotKept: It is not kept yet.
            ViewBehind: The view of records is being built; ask again.
        """
        found = self._looked(asker, "production.read", production)
        if found is None or found.kept is None:
            raise self._refused(asker, "production.read", production, found)
        self._record(asker, "production.read", production)
        return found.kept

    def status(self, production: str) -> Standing:
        """How one stands that was begun in this process, for whoever began it; no record.

        Raises:
            ProductionNotFound: None of this id was begun here.
        """
        job = self._jobs.begun(production)
        if job is None:
            raise ProductionNotFound("there is no such production here; the server may have been started again since")
        return self._jobs.standing(job)

    def stop(self) -> None:
        """Tell those under way to stop, and wait for them; they can be gone on with."""
        self._jobs.stop()

    def _again(self, asker: Asker, state: State) -> Standing:
        """The same request once more, or another one under its key."""
        refused = S3Error("InvalidArgument", reason="exists")
        with _recorded(refused):
            ask(self._node, asker, state, self._jobs.places.of(state.id), refused)
        found = self._look(state.id)
        if found is None or found.asked != state.asked:
            raise IdempotencyKeyReused("this Idempotency-Key came with another question before; take a new one")
        return found

    def _looked(self, asker: Asker, op: str, production: str) -> Standing | None:
        """How one stands, for a call that is recorded once that is known; as a failure where it cannot be known."""
        if not may(asker.actor, op):
            self._record(asker, op, production)  # refused there
        with ExitStack() as failing:
            failing.callback(self._fail, asker, op, production, S3Error("ServiceUnavailable"))
            found = self._look(production)
            failing.pop_all()
        return found

    def _look(self, production: str) -> Standing | None:
        """How one stands, whoever knows: it may end, and its directory go, while it is looked for."""
        found, state = self._jobs.at_hand(production), self._jobs.places.state(production)
        if found is not None and (found.state == standing.RUNNING or state is None or state.packed is None):
            return found
        self._node.asking.fresh(self._node.stores.strands[-1].end)
        told = standing.recorded(self._node, production)
        kept = told is not None and told.state == standing.KEPT
        if state is not None and kept:
            self._jobs.places.remove(production)
        return told if kept or found is None else found

    def _record(self, asker: Asker, op: str, production: str, refused: S3Error | None = None) -> int:
        """Record a call; the position of its record."""
        named = ProductionRef(production) if production else None
        asked = Request(http=asker.http) if asker.http else None
        tail = Tail(op=op, actor=asker.actor, origin=asker.origin, request=asked, production=named)
        return self._node.asking.record(tail, refused).position

    def _fail(self, asker: Asker, op: str, production: str, refused: S3Error) -> None:
        """Record a call that comes to nothing."""
        with _recorded(refused):
            self._record(asker, op, production, refused)

    def _refused(self, asker: Asker, op: str, production: str, found: Standing | None) -> AuditError:
        """Record that something cannot be done with a production as it stands; the error that says so."""
        error: AuditError = ProductionNotFound("there is no such production")
        if found is not None and op == "production.read":
            error = ProductionNotKept(f"it is {found.state}, and not kept: there is no archive yet")
        elif found is not None and found.state in {standing.RUNNING, standing.KEPT}:
            error = ProductionNotStopped(f"it is {found.state if found.kept is None else standing.KEPT}")
        elif found is not None:
            error = ProductionNotFound(f"it is {found.state}, and not in a directory of the server's")
        self._fail(asker, op, production, S3Error("InvalidArgument", reason=error.code.replace("-", "_")))
        return error


@contextmanager
def _recorded(refused: S3Error) -> Iterator[None]:
    """That a refusal is raised again says that it is recorded; another one goes on."""
    try:
        yield
    except S3Error as error:
        if error is not refused:
            raise
