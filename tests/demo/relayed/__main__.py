"""``make demo-kafka``: a vault's records in a real Kafka, through an outage and a kill, and what can be proved of them.

Exit code 0 if every step went as it must, 1 if one did not. Needs Java 17 and Maven, for the broker.
"""

from __future__ import annotations

import argparse
import sys

from compose.lab import kafka
from tests.demo.relayed.story import Story
from tests.demo.stage import INTERRUPTED, play


def main() -> int:
    """Run the demo; its exit code."""
    argparse.ArgumentParser(prog="python -m tests.demo.relayed", description=__doc__).parse_args()
    try:
        kafka.install()
    except kafka.LabFailed as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    title = "A vault's records in Kafka: copied, read, verified, through an outage and a kill; forged, and deleted."
    if code := play(title, lambda home: Story(home).tell()):
        return code
    print("   .venv/bin/python -m compose.lab.kafka start     a broker that stays, on 127.0.0.1:19092")
    print("   STRONGROOM_KAFKA__BOOTSTRAP=127.0.0.1:19092 make run     a vault of your own, with its records there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
