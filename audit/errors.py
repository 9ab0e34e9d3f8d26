"""Errors of the ledger: one root, typed like ``vault.errors``, turned into the wire form at the edge only.

``retryable`` means that the same call may succeed later, ``fatal`` that the process must
stop so that the next start decides. Every message says what happened and what to do.

Not handled here: errors of the vault, which pass through unchanged, and problem documents (``audit.api``).
"""

from __future__ import annotations

from typing import ClassVar


class AuditError(Exception):
    """Root of every error this package raises on purpose.

    Attributes:
        code: Stable machine-readable name, the last part of the problem type (RFC 9457).
        status: HTTP status the audit port answers with.
        retryable: The same call may succeed later.
        fatal: The process must not go on serving.
    """

    code: ClassVar[str] = "internal-error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    fatal: ClassVar[bool] = False


class ConfigInvalid(AuditError):
    """A setting cannot be used; the message names the setting's value and what is supported."""

    code = "config-invalid"
    fatal = True


class NotInitialised(AuditError):
    """The directory holds no vault; ``strongroom init`` makes one."""

    code = "not-initialised"
    fatal = True


class AlreadyInitialised(AuditError):
    """The directory cannot be made a vault: it is one, or holds something else."""

    code = "already-initialised"
    status = 409


class AlreadyRunning(AuditError):
    """Another process is this stream's writer."""

    code = "already-running"
    status = 409
    fatal = True


class NoteInvalid(AuditError):
    """A signed note, verifier key or checkpoint does not parse or does not verify."""

    code = "note-invalid"
    status = 400


class TilePathInvalid(AuditError):
    """A path is not one that C2SP tlog-tiles defines."""

    code = "tile-path-invalid"
    status = 404


class LedgerCorrupt(AuditError):
    """The ledger on disk is not what was written there.

    Args:
        place: File and, where known, offset or sequence number.
        problem: What is wrong with it.
    """

    code = "ledger-corrupt"
    fatal = True

    def __init__(self, place: str, problem: str) -> None:
        super().__init__(f"{place}: {problem}")
        self.place = place


class RecordPruned(AuditError):
    """The record's time was over, and its bytes are destroyed; its leaf hash, and that this was done, stay."""

    code = "record-pruned"
    status = 410

    def __init__(self, seq: int) -> None:
        super().__init__(f"record {seq} was pruned; its hash is in the log, and a ledger.pruned record says when")


class RecoverRequired(AuditError):
    """Ledger and anchor disagree: going on would sign a second history (DESIGN §4).

    Args:
        problem: How they disagree.
        first: What to look at before anything else; ends so that the rest may follow.
    """

    code = "recover-required"
    fatal = True

    def __init__(self, problem: str, first: str = "") -> None:
        super().__init__(
            f"{problem}; {first}nothing more is signed in this stream: restore the newest data directory, "
            "or open a new stream with `strongroom recover`"
        )
        self.problem = problem


class AnchorUnavailable(AuditError):
    """The anchor was not reached or refused to work; nothing was changed there."""

    code = "anchor-unavailable"
    status = 503
    retryable = True


class AnchorUnknown(AuditError):
    """The anchor may or may not have taken the new checkpoint, now or a little later."""

    code = "anchor-unknown"
    status = 503
    retryable = True


class AnchorConflict(AuditError):
    """The anchor holds another value than expected, and the swap changed nothing.

    Args:
        origin: The log whose checkpoint was to be swapped.
        current: What the anchor holds, ``None`` when it holds nothing.
    """

    code = "anchor-conflict"
    fatal = True

    def __init__(self, origin: str, current: bytes | None) -> None:
        super().__init__(f"the anchor holds another checkpoint of {origin} than this process left there")
        self.origin = origin
        self.current = current


class ControlFailed(AuditError):
    """The other end of the control socket could not do it, or is not there any more; says what and why."""

    code = "control-failed"
