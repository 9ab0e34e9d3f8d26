"""What an unfinished production remembers in its directory, so that whoever has the directory can go on with it.

``.unfinished.json`` is the first file there and the last one to go: while it is there the production is not complete,
whatever else is. It is no part of the bag.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

import msgspec

from audit.production.bag import ProductionFailed
from audit.production.question import Question
from vault import durable
from vault.errors import DurabilityError, Unavailable
from vault.record import Actor

if TYPE_CHECKING:
    from pathlib import Path

#: Its name.
NAME: Final = ".unfinished.json"
#: Why one stands still.
CANCELLED: Final = "cancelled"
FAILED: Final = "failed"
_LOGS: Final = "data/logs"


class Made(msgspec.Struct, frozen=True):
    """A bag that is sealed: ``digest`` is the SHA-256 of its last manifest."""

    id: str
    versions: int
    natives: int
    failed: int
    bytes: int
    digest: str


class Packed(msgspec.Struct, frozen=True):
    """What the ZIP of it comes to: bytes, and SHA-256."""

    size: int
    sha256: str


class State(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a production is.

    Attributes:
        id: Its id.
        asked: What for.
        by: Who asked first.
        snapshot: Position of the record that says so; the production is of what was before.
        made: The bag, once it is sealed.
        packed: Its ZIP, once it was packed for the first time.
        stopped: :data:`CANCELLED` or :data:`FAILED`; empty where it goes on, or its process ended.
        problem: Why it failed.
    """

    id: str
    asked: Question
    by: Actor
    snapshot: int
    made: Made | None = None
    packed: Packed | None = None
    stopped: str = ""
    problem: str = ""


def load(root: Path) -> State | None:
    """What is remembered in a directory; None where nothing is.

    Raises:
        ProductionFailed: It cannot be read.
    """
    try:
        return msgspec.json.decode((root / NAME).read_bytes(), type=State)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise ProductionFailed(f"{root} is no directory; give another one") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ProductionFailed(f"{root / NAME} is damaged; give a new directory") from error
    except OSError as error:
        raise ProductionFailed(f"{root} cannot be read: {error.strerror}") from error


def usable(root: Path, asked: Question) -> State | None:
    """Whether a production can be made in a directory; nothing is changed.

    Args:
        root: Of the caller's choice.
        asked: What it is to be of, judged.

    Returns:
        What an attempt with the same question left; None where the directory is absent or empty.

    Raises:
        ProductionFailed: It holds something else.
    """
    state = load(root)
    if state is not None and state.asked != asked:
        raise ProductionFailed(f"{root} holds an unfinished production of another question; give a new one")
    try:
        if state is None and root.exists() and any(root.iterdir()):
            raise ProductionFailed(f"{root} is not empty; give a new directory")
    except OSError as error:
        raise ProductionFailed(f"{root} cannot be read: {error.strerror}") from error
    return state


def save(root: Path, state: State) -> None:
    """Remember how far it is. Durable on return.

    A directory is the caller's: that it cannot be written is his problem, and not the vault's, whose errors end it.

    Raises:
        ProductionFailed: The directory cannot be written.
    """
    try:
        durable.make_dirs(root)
        durable.sweep_temps(root, NAME)
        durable.replace(root / NAME, msgspec.json.encode(state))
    except (DurabilityError, Unavailable) as error:
        raise ProductionFailed(f"{root} cannot be written: {error}") from error


def clear(root: Path) -> None:
    """Take away what would be left wrong of an attempt that was cut short: edge tiles have names of the log's size.

    Raises:
        ProductionFailed: The directory cannot be written.
    """
    try:
        shutil.rmtree(root / _LOGS)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ProductionFailed(f"{root} cannot be written: {error.strerror}") from error


def forget(root: Path) -> None:
    """The production is complete: it is a bag from here on, and nothing else. Durable on return.

    Raises:
        ProductionFailed: The directory cannot be written.
    """
    try:
        durable.remove(root / NAME)
    except DurabilityError as error:
        raise ProductionFailed(f"{root} cannot be written: {error}") from error
