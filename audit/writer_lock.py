"""One writer a data directory (DESIGN §4): whoever has the lock may write, until the process ends or lets go."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from audit.errors import AlreadyRunning, ConfigInvalid
from vault import durable

if TYPE_CHECKING:
    from audit.identity import Layout


def require_owner(layout: Layout) -> None:
    """Let nobody write who would leave files that the vault's own user, the server, cannot use: root is meant.

    Raises:
        ConfigInvalid: The data directory belongs to another user.
    """
    place = layout.identity if layout.identity.exists() else layout.root  # it is what a restore of keys may put back
    owner = place.stat().st_uid
    if owner != os.geteuid():
        raise ConfigInvalid(f"{layout.root} belongs to user id {owner}: run this as that user (sudo -u '#{owner}' …)")


def take_lock(layout: Layout) -> int:
    """Become the writer, at once or not at all.

    Returns:
        A descriptor; closing it lets go.

    Raises:
        AlreadyRunning: Somebody else is.
    """
    try:
        return durable.lock_file(layout.lock)
    except durable.LockHeld as error:
        raise AlreadyRunning(f"{layout.root} is open in another process: stop it, or let it do the work") from error
