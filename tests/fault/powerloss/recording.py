"""Records a real server at work: made, loaded, killed in the middle, started again, stopped."""

from __future__ import annotations

import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import httpx

from tests.fault.load import Client, Load
from tests.fault.powerloss import image, replay, trace
from tests.integration.served import STRONGROOM, Server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fault.load import Outcome
    from tests.fault.powerloss.trace import Event
