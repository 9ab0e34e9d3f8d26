"""What other packages look at for ``strongroom doctor``: entry points of the group ``strongroom.doctor``.

Each is an :class:`Examiner`. Nothing of them is imported here; one that cannot be loaded is a finding, and the others
are asked all the same.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from audit.doctor import PROBLEM, Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit.config import Settings
    from audit.control import Control

GROUP: Final = "strongroom.doctor"


class Shown(NamedTuple):
    """How something stands that needs nobody.

    Attributes:
        text: One line.
        details: The same for programs.
    """

    text: str
    details: Mapping[str, str | int]


class Examined(NamedTuple):
    """What an examiner saw: what to do, and how the rest stands."""

    findings: list[Finding]
    shown: list[Shown]


class Examiner(Protocol):
    """Looks at something outside the vault that belongs to it."""

    def __call__(self, control: Control, settings: Settings) -> Examined:
        """Look, with patience that ends: what does not answer is a finding.

        Args:
            control: The vault, whose server may or may not run.
            settings: Of whoever asks.

        Raises:
            ConfigInvalid: The settings cannot be used.
        """


def examine_all(control: Control, settings: Settings) -> Examined:
    """Ask every examiner that is installed.

    Raises:
        ConfigInvalid: The settings cannot be used.
    """
    found = Examined([], [])
    for point in sorted(entry_points(group=GROUP)):
        try:
            examiner: Examiner = point.load()
        except (ImportError, AttributeError) as error:
            found.findings.append(Finding(PROBLEM, f"{point.name} could not be looked at: {error}; install it again"))
            continue
        findings, shown = examiner(control, settings)
        found.findings.extend(findings)
        found.shown.extend(shown)
    return found
