"""``python -m audit.verify``."""

from __future__ import annotations

import sys

from audit.verify.command import main

if __name__ == "__main__":
    sys.exit(main())
