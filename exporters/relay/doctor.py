"""The relay's part of ``strongroom doctor``: the entry point, which loads no client where there is no Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

from audit.examiners import Examined

if TYPE_CHECKING:
    from audit.config import Settings
    from audit.control import Control


def examine(control: Control, settings: Settings) -> Examined:
    """Look at the copies in Kafka, where there is one. An :class:`audit.examiners.Examiner`.

    Args:
        control: The vault.
        settings: Where ``kafka.bootstrap`` is not set, nothing is looked at.

    Raises:
        ConfigInvalid: The settings cannot be used.
    """
    if not settings.kafka.bootstrap:
        return Examined([], [])
    from exporters.relay.examination import examine_copies  # noqa: PLC0415 - see the module

    return examine_copies(control, settings)
