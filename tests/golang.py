"""How programs in Go are compiled that are only tested, not measured: in two thirds of the processor time."""

from __future__ import annotations

import os
from typing import Final

_QUICKLY: Final = "'-gcflags=all=-N -l -dwarf=false' '-ldflags=-s -w'"
#: The environment; ``go.mod`` and ``go.sum`` say what is compiled, the compiler is the one that is there.
GO: Final = {
    **os.environ,
    "GOFLAGS": f"-mod=readonly -buildvcs=false {_QUICKLY}",
    "GOTOOLCHAIN": "local",
    "CGO_ENABLED": "0",
}
