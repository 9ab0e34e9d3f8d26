"""Productions under way in one process, each in a thread. One is made at a time: it takes what the disk gives.

The command names a directory of its own, which stays. One that the audit port began is made in a directory of the
server's (``places``); that goes once the archive is kept and recorded, or when it is discarded, and until then it can
be gone on with, after a restart too.

Not handled here: who may ask for what (``desk``).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final

import msgspec

from audit.errors import AuditError
from audit.production import standing
from audit.production import state as states
from audit.production.bag import Cancelled, ProductionFailed
from audit.production.contents import Progress
from audit.production.create import ask, make
from audit.production.keep import BUCKET, abandon, key_of
from audit.production.places import Places
from vault.errors import DurabilityError, OutcomeUnknown, S3Error, VaultError
from vault.state import lookup

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit.node import Node
    from audit.production.create import Finished
    from audit.production.keep import Asker
    from audit.production.standing import Standing
    from audit.production.state import State

#: How long a stop waits for one, in seconds: between two pieces of a file it is heard at once.
STOP_SECONDS: Final = 15
_log: Final = logging.getLogger(__name__)


class Busy(AuditError):
    """Another production is under way."""

    code = "production-busy"
    status = 503
    retryable = True


@dataclass
class Job:
    """One that was begun in this process; ``ours`` is whether its directory is the server's."""

    state: State
    root: Path
    ours: bool
    progress: Progress = field(default_factory=Progress)
    how: str = standing.RUNNING
    problem: str = ""
    discard: bool = False
    finished: Finished | None = None
    thread: Thread | None = None


class Jobs:
    """Those of one node. Thread-safe; not for the event loop.

    Args:
        node: Open for as long as a job runs; :meth:`stop` comes before its end.
        report: Gets an error that means the node must stop.

    Attributes:
        lock: Whoever begins, goes on or discards has it, so that there is one of these at a time.
        places: The server's own directories.
    """

    def __init__(self, node: Node, report: Callable[[Exception], None]) -> None:
        self._node = node
        self._report = report
        self._jobs: dict[str, Job] = {}
        self._stopping = False
        self.lock = Lock()
        self.places = Places(node, node.layout.productions)
        self.places.sweep()

    def start(self, asker: Asker, state: State, root: Path, *, ours: bool) -> Standing:
        """Record that somebody asks for a production, or goes on with it, and make it.

        Args:
            asker: Who asks.
            state: What for.
            root: Its directory.
            ours: It is the server's.

        Raises:
            S3Error: AccessDenied; recorded.
            Unavailable: It could not be recorded.
            Busy: Another one is under way; recorded.
            ProductionFailed: The directory cannot be written.
        """
        busy = any(job.how == standing.RUNNING for job in self._jobs.values())
        refused = S3Error("ServiceUnavailable", reason="busy") if busy else None
        try:
            state = ask(self._node, asker, state, root, refused)
        except S3Error as error:
            if error is refused:
                raise Busy("another production is being made: wait for it, or cancel it") from error
            raise
        job = self._jobs[state.id] = Job(state, root, ours)
        job.thread = Thread(target=self._run, args=(job, asker), name="production", daemon=True)
        job.thread.start()
        return self.standing(job)

    def begun(self, production: str) -> Job | None:
        """The last job of a production in this process."""
        return self._jobs.get(production)

    def running(self, production: str) -> Job | None:
        """The job of a production, while it runs."""
        job = self._jobs.get(production)
        return job if job is not None and job.how == standing.RUNNING else None

    def known(self, production: str) -> bool:
        """Whether an id is taken: by a job, a directory, or an archive."""
        if production in self._jobs or self.places.state(production) is not None:
            return True
        return lookup.key_row(self._node.stores.index, BUCKET, key_of(production)) is not None

    def at_hand(self, production: str) -> Standing | None:
        """How one stands that is under way, or in a directory of the server's."""
        job = self.running(production)
        if job is not None:
            return self.standing(job)
        state = self.places.state(production)
        return standing.remembered(self._node, state, state.stopped or standing.INTERRUPTED) if state else None

    def standing(self, job: Job) -> Standing:
        """How one stands that was begun here."""
        progress, done = job.progress, job.finished
        state = job.state if done is None else msgspec.structs.replace(job.state, made=done.made)
        found = standing.remembered(self._node, state, job.how)
        if done is None:
            found = msgspec.structs.replace(
                found, versions=progress.versions, done=progress.done, bytes=progress.bytes, problem=job.problem
            )
        return msgspec.structs.replace(found, stage=progress.stage, kept=done.kept if done is not None else None)

    def discard(self, asker: Asker, production: str) -> None:
        """Remove what there is of one: its directory last, so that whoever is told of an error can ask for it again.

        Raises:
            VaultError: An upload of it could not be given up.
        """
        abandon(self._node, asker, production)
        self.places.remove(production)
        self._jobs.pop(production, None)

    def remember(self, production: str, root: Path, stopped: str, problem: str = "") -> None:
        """Have the directory say why it stands still; where it cannot, it counts as interrupted."""
        try:
            state = states.load(root)
            if state is not None:
                states.save(root, msgspec.structs.replace(state, stopped=stopped, problem=problem))
        except ProductionFailed as error:
            _log.warning("production %s %s, and its directory does not say so: %s", production, stopped, error)

    def stop(self) -> None:
        """Tell all to stop, and wait for them, but not for ever; they can be gone on with."""
        self._stopping = True
        for job in list(self._jobs.values()):
            job.progress.stop.set()
            if job.thread is not None:
                job.thread.join(STOP_SECONDS)
                if job.thread.is_alive():
                    _log.warning("production %s hangs and is left behind; it can be gone on with", job.state.id)

    def _run(self, job: Job, asker: Asker) -> None:
        production = job.state.id
        try:
            self._make(job, asker)
        except (AuditError, VaultError) as error:
            problem = error.message if isinstance(error, S3Error) else str(error)
            _log.warning("production %s failed: %s", production, problem)
            self.remember(production, job.root, states.FAILED, problem)
            job.problem, job.how = problem, standing.FAILED
            if isinstance(error, DurabilityError | OutcomeUnknown):  # what is damaged ends only what has to read it
                self._report(error)
        except Exception as error:  # noqa: BLE001 - the loop that owns it: nobody is to wait for ever
            _log.exception("a production failed")
            job.problem = f"internal error: {type(error).__name__}; see the server's log"
            self.remember(production, job.root, states.FAILED, job.problem)
            job.how = standing.FAILED

    def _make(self, job: Job, asker: Asker) -> None:
        """Make it, or give it up where it was cancelled."""
        production = job.state.id
        try:
            job.finished = make(self._node, asker, job.state, job.root, job.progress)
        except Cancelled as error:
            if job.discard:
                self.discard(asker, production)
            elif not self._stopping:
                self.remember(production, job.root, states.CANCELLED)
            job.problem, job.how = str(error), standing.CANCELLED
            return
        if job.ours:
            self.places.remove(production)
        job.how = standing.KEPT
