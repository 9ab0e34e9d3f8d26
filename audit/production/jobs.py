"""Productions under way in one process: begun, watched, cancelled. One at a time: each takes what the disk gives."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final

import msgspec

from audit.errors import AuditError
from audit.production.create import Cancelled, Made, Progress, create
from vault.errors import S3Error, VaultError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from audit.node import Node
    from audit.production.question import Question
    from vault.record import Actor, Origin

RUNNING: Final = "running"
DONE: Final = "done"
CANCELLED: Final = "cancelled"
FAILED: Final = "failed"

_log: Final = logging.getLogger(__name__)


class Busy(AuditError):
    """Another production is under way."""

    code = "production-busy"
    status = 503
    retryable = True


class JobNotFound(AuditError):
    """No production of this number was begun here."""

    code = "production-not-found"
    status = 404


class JobStatus(msgspec.Struct, frozen=True):
    """How a production stands: ``done`` of ``versions`` are written; ``problem`` says why one failed."""

    job: int
    state: str
    stage: str
    production: str
    versions: int
    done: int
    bytes: int
    natives: int = 0
    failed: int = 0
    digest: str = ""
    problem: str = ""


@dataclass
class _Job:
    number: int
    progress: Progress = field(default_factory=Progress)
    state: str = RUNNING
    made: Made | None = None
    problem: str = ""
    thread: Thread | None = None


class Jobs:
    """The productions of one node. Thread-safe.

    Args:
        node: Open for as long as a job runs; :meth:`stop` comes before its end.
        report: Gets an error that means the node must stop.
    """

    def __init__(self, node: Node, report: Callable[[Exception], None]) -> None:
        self._node = node
        self._report = report
        self._jobs: list[_Job] = []
        self._lock = Lock()

    def begin(self, actor: Actor, origin: Origin, asked: Question, root: Path) -> int:
        """Begin a production in a directory; its number here.

        Raises:
            Busy: One is under way.
        """
        with self._lock:
            if any(job.state == RUNNING for job in self._jobs):
                raise Busy("another production is being made: wait for it, or cancel it")
            job = _Job(len(self._jobs))
            self._jobs.append(job)
        arguments = (job, actor, origin, asked, root)
        job.thread = Thread(target=self._run, args=arguments, name="production", daemon=True)
        job.thread.start()
        return job.number

    def status(self, number: int) -> JobStatus:
        """How one stands.

        Raises:
            JobNotFound: There is none of this number.
        """
        job = self._job(number)
        progress, made = job.progress, job.made
        return JobStatus(
            job=number,
            state=job.state,
            stage=progress.stage,
            production=progress.id,
            versions=progress.versions,
            done=progress.done,
            bytes=made.bytes if made is not None else progress.bytes,
            natives=made.natives if made is not None else 0,
            failed=made.failed if made is not None else 0,
            digest=made.digest if made is not None else "",
            problem=job.problem,
        )

    def cancel(self, number: int) -> None:
        """Tell one to stop; what is there of it stays, and can be gone on with.

        Raises:
            JobNotFound: There is none of this number.
        """
        self._job(number).progress.stop.set()

    def stop(self) -> None:
        """Tell all to stop, and wait for them."""
        for job in list(self._jobs):
            job.progress.stop.set()
            if job.thread is not None:
                job.thread.join()

    def _job(self, number: int) -> _Job:
        if not 0 <= number < len(self._jobs):
            raise JobNotFound("there is no such production here; the server may have been started again since")
        return self._jobs[number]

    def _run(self, job: _Job, actor: Actor, origin: Origin, asked: Question, root: Path) -> None:
        try:
            job.made = create(self._node, actor, origin, asked, root=root, progress=job.progress)
            job.state = DONE
        except Cancelled as error:
            job.problem, job.state = str(error), CANCELLED
        except (AuditError, VaultError) as error:
            job.problem = error.message if isinstance(error, S3Error) else str(error)
            job.state = FAILED
            if error.fatal:
                self._report(error)
        except Exception as error:  # noqa: BLE001 - the loop that owns it: nobody is to wait for ever
            _log.exception("a production failed")
            job.problem, job.state = f"internal error: {type(error).__name__}; see the server's log", FAILED
