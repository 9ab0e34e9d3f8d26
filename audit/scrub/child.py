"""The beginning of the process that verifies: it steps back behind all others, and ends with the server.

    python -m audit.scrub.child DIR --json …

Its standard input is a pipe from the server, which nobody writes to: its end is the server's, however that came.

Not handled here: verifying (``audit.verify``), of which nothing here is known but its command.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from audit.verify.command import main

_LAST: Final = 19
#: Of all processes the first to go when memory is short (proc_pid_oom_score_adj(5)).
_FIRST_TO_GO: Final = "1000"


def _end_with_the_server() -> None:
    os.read(0, 1)
    os._exit(2)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    os.nice(_LAST)
    with suppress(OSError):  # a system that has no such thing
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_GO, "ascii")
    sys.exit(main(sys.argv[1:]))
