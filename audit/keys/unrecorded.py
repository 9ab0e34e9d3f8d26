"""What was done to the keys and no record tells yet: ``keys/unrecorded.json``, a list, no view and no secret.

It is durable before the change, and removed after the record. A crash in between makes the next start tell it, a
rotation once and a restore perhaps twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from audit.errors import ConfigInvalid
from vault import durable
from vault.record import Actor, KeysRef

if TYPE_CHECKING:
    from audit.identity import Layout

_MAX_BYTES: Final = 64 * 1024


class Change(msgspec.Struct, frozen=True):
    """A record to be written: its operation, who did it, and to which keys."""

    op: Literal["key.backup", "key.restore", "key.rotate"]
    actor: Actor
    keys: KeysRef


_changes: Final = msgspec.json.Decoder(list[Change])


def read(layout: Layout) -> list[Change]:
    """What waits for its record, oldest first.

    Raises:
        ConfigInvalid: The file is damaged.
    """
    try:
        with layout.unrecorded.open("rb") as file:
            return _changes.decode(file.read(_MAX_BYTES))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigInvalid(f"{layout.unrecorded} cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(
            f"{layout.unrecorded} is damaged: it says which change of the keys is still to be recorded; note down what "
            "was done to them, and remove it"
        ) from error


def add(layout: Layout, change: Change) -> None:
    """Have a change recorded, whatever happens from here on. Durable on return."""
    durable.replace(layout.unrecorded, msgspec.json.encode([*read(layout), change]))


def clear(layout: Layout) -> None:
    """All of it is recorded, or did not take place. Durable on return."""
    durable.remove(layout.unrecorded)
