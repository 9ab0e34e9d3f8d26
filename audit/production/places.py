"""The server's own directories of productions, ``views/productions/ID``: for its user alone, and gone once not needed.

What one holds is in the clear. Therefore a start removes what was left of those that are kept, or that nobody can go on
with: a directory that remembers nothing, and all but the memory where the archive is there and its last record is not.
"""

from __future__ import annotations

import logging
import re
import shutil
from typing import TYPE_CHECKING, Final

from audit.errors import AuditError
from audit.production import state as states
from audit.production.bag import ProductionFailed
from audit.production.keep import there
from vault.errors import VaultError

if TYPE_CHECKING:
    from pathlib import Path

    from audit.node import Node
    from audit.production.state import State

#: A production's id.
ID: Final = "^[0-9a-f]{16}$"
_ID: Final = re.compile(ID)
_log: Final = logging.getLogger(__name__)


class Places:
    """Those of one node. For one caller at a time.

    Args:
        node: Its stores and keyring are open.
        root: ``views/productions``; made with the first one.
    """

    def __init__(self, node: Node, root: Path) -> None:
        self._node = node
        self._root = root

    def of(self, production: str) -> Path:
        """The directory of a production."""
        return self._root / production

    def state(self, production: str) -> State | None:
        """What the directory of a production remembers; None where there is none, or it cannot be used any more."""
        try:
            return states.load(self.of(production))
        except ProductionFailed as error:
            _log.warning("a production cannot be gone on with: %s", error)
            return None

    def all(self) -> list[str]:
        """Ids of the productions that have one."""
        try:
            return sorted(path.name for path in self._root.iterdir() if _ID.fullmatch(path.name))
        except FileNotFoundError:
            return []

    def remove(self, production: str) -> None:
        """Remove one: first what it remembers, so that a start takes away what is left after a crash."""
        try:
            states.forget(self.of(production))
            shutil.rmtree(self.of(production))
        except (ProductionFailed, OSError) as error:
            _log.warning("a production's directory is left, and the next start removes it: %s", error)

    def sweep(self) -> None:
        """Remove what nobody needs. What cannot be removed, or judged, is left: it keeps no vault from starting."""
        for production in self.all():
            try:
                self._sweep(self.of(production), states.load(self.of(production)))
            except (AuditError, VaultError, OSError) as error:
                _log.warning("a production's directory is left: %s", error)

    def _sweep(self, place: Path, state: State | None) -> None:
        if state is None:
            shutil.rmtree(place)
        elif state.packed is not None and there(self._node, state.id, state.packed) is not None:
            for path in place.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != states.NAME:
                    path.unlink()
