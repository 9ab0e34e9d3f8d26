"""The server's log: one line for each thing that happened, on standard error; JSON for machines, text at a terminal.

A line says what happened to which request, and never what the request was about. It holds no secret, no signature, no
name of an object and nothing of a record: those who run a vault need not be those who may read it (DESIGN §2, roles).
So of an exception that is not one of ours, or the system's, only kind and place are told: a ``KeyError`` is worded with
the key that was not there. Nor are the words of a refusal, which are for the client who sent what they quote.

Fields, those that are known: ``time`` (RFC 3339, UTC, ms), ``level``, ``logger``, ``message``, ``request_id`` as in the
answer, ``code`` of an error, ``op``, ``status``, ``seconds``, ``received_bytes``, ``sent_bytes``, ``exception``.

Not handled here: which events have a line, and at which level; that is said where they happen.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from audit.errors import AuditError
from vault.errors import S3Error, VaultError

if TYPE_CHECKING:
    from types import TracebackType

    #: As logging has it.
    Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]

#: Id of the request of the audit port that this task answers; empty outside of one.
request_id: Final[ContextVar[str]] = ContextVar("request_id", default="")

#: Loggers of one line for each request; what each says is in its module.
ACCESS: Final = ("vault.s3.access", "audit.api.access")
#: Members of a line beside the first four, in order.
_MEMBERS: Final = ("request_id", "code", "op", "status", "seconds", "received_bytes", "sent_bytes")
#: Exceptions whose words name types, files or our own things, never what was stored.
_TOLD: Final = (VaultError, AuditError, OSError, TypeError, AttributeError)
_HELD: Final = re.compile(r"[(\n]")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_log: Final = logging.getLogger(__name__)


class LogSection(msgspec.Struct, frozen=True, kw_only=True):
    """What ``serve`` writes to standard error.

    Attributes:
        format: ``json``, ``text``, or ``auto``: text at a terminal, else JSON.
        level: From which level on.
        access: A line for each request, too.
    """

    format: Literal["auto", "json", "text"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"
    access: bool = False


class JsonLines(logging.Formatter):
    """One JSON object a line, ASCII only."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a line, without its end."""
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
            **_members(record),
        }
        if record.exc_info:
            line["exception"] = exception_text(record.exc_info)
        return json.dumps(line)


class TextLines(logging.Formatter):
    """For people: a line, and below it where an exception came from."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a line; control characters, which a terminal would obey, are escaped."""
        message = _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", _message(record))
        told = "".join(f" {name}={value}" for name, value in _members(record).items())
        text = f"{_time(record)} {record.levelname} {record.name}: {message}{told}"
        return f"{text}\n{exception_text(record.exc_info).rstrip()}" if record.exc_info else text


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    # What asyncio goes on with is what its callbacks and tasks hold, an exception with all its words among it.
    return _HELD.split(text, 1)[0] if record.name == "asyncio" else text


def _members(record: logging.LogRecord) -> dict[str, object]:
    found = {name: value for name in _MEMBERS if (value := getattr(record, name, None)) is not None}
    if not found.get("request_id"):
        found |= {"request_id": request_id.get()}
    return {name: found[name] for name in _MEMBERS if found.get(name) not in {None, ""}}


def exception_text(raised: Raised) -> str:
    """Where an exception came from, each one with those that led to it, and what of its words may be told."""
    error = raised[1]
    if error is None:
        return ""
    chain: list[str] = []
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        words = f": {error.s3_code if isinstance(error, S3Error) else error}" if isinstance(error, _TOLD) else ""
        chain.append(f"{''.join(traceback.format_tb(error.__traceback__))}{type(error).__name__}{words}\n")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "caused:\n".join(reversed(chain))


def write_lines(settings: LogSection) -> bool:
    """Have everything that is logged written to standard error, warnings and faults that nobody catches included.

    Returns:
        Whether as JSON.
    """
    as_json = settings.format == "json" or (settings.format == "auto" and not os.isatty(2))
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else TextLines())
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    for name in ACCESS:
        logging.getLogger(name).setLevel(logging.INFO if settings.access else logging.CRITICAL)
    # Anybody who reaches the port can cause uvicorn's warnings, as many as he likes.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    logging.captureWarnings(capture=True)
    sys.excepthook = lambda *raised: _log.critical("unexpected error", exc_info=raised)
    threading.excepthook = lambda told: _log.critical(
        "unexpected error in thread %s",
        told.thread.name if told.thread is not None else "?",
        exc_info=told.exc_value,
    )
    return as_json
