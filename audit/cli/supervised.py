"""A worker as the server starts it: the same command, which ends with the server, however that ends.

python -m audit.cli.supervised run relay --data DIR
"""

from __future__ import annotations

import os
import signal
from threading import Thread

from audit.cli import main


def _end_with_the_server() -> None:
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    Thread(target=_end_with_the_server, name="server's end", daemon=True).start()
    main()
