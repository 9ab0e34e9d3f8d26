"""A relay that kills itself inside ``commit_transaction``, at a moment that a seed decides.

    python -m tests.kafka.killed SEED --data DIR

Nothing of the relay is changed but that. What it was at when it died stands in ``DIR.killed``, a line each time.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path
from threading import Thread

from exporters.relay import command
from exporters.relay.session import Session


def main() -> None:
    """Run the relay with the trap set."""
    chance = random.Random(sys.argv.pop(1))
    data = Path(sys.argv[sys.argv.index("--data") + 1])
    real, commits, fatal = Session._commit, 0, chance.randrange(3, 30)
    inside = False

    def die() -> None:
        time.sleep(chance.random() * 0.02)
        with data.with_suffix(".killed").open("a") as told:
            told.write("inside\n" if inside else "after\n")
        os.kill(os.getpid(), signal.SIGKILL)

    def commit(self: Session) -> None:
        nonlocal commits, inside
        commits += 1
        inside = True
        if commits == fatal:
            Thread(target=die).start()
        real(self)
        inside = False

    setattr(Session, "_commit", commit)  # noqa: B010 - the trap
    command.relay()


if __name__ == "__main__":
    main()
