"""Builds ``strongroom-verify.pyz``: the verifier as one file that needs only Python 3.11 or newer.

    python -m audit.verify.build dist/strongroom-verify.pyz

The same sources give the same bytes on every machine: sorted names, one date, no compression (whose output
differs between versions of zlib). Whoever has the sources can rebuild the file and compare.
"""

from __future__ import annotations

import sys
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Final

_SHEBANG: Final = b"#!/usr/bin/env python3\n"
_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can hold
_UNIX: Final = 3
_MODE: Final = 0o100644 << 16

# Written so that Python 2 and early 3 read it too, and can say what is missing.
_MAIN: Final = b"""import sys

if sys.version_info < (3, 11):
    sys.stderr.write("strongroom-verify needs Python 3.11 or newer\\n")
    sys.exit(2)

if __name__ == "__main__":
    from audit.verify.command import main

    sys.exit(main())
"""


def archive() -> bytes:
    """Make the file's bytes.

    Returns:
        A zip file that Python runs, with the line before it that lets a shell run it.
    """
    here = Path(__file__).parent
    files = {"__main__.py": _MAIN, "audit/__init__.py": b""}
    files |= {f"audit/verify/{path.name}": path.read_bytes() for path in here.glob("*.py") if path != Path(__file__)}
    packed = BytesIO()
    packed.write(_SHEBANG)
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as target:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _DATE)
            entry.create_system, entry.external_attr = _UNIX, _MODE
            target.writestr(entry, data)
    return packed.getvalue()


def main(argv: list[str]) -> int:
    """Write the file.

    Args:
        argv: Where to.

    Returns:
        Exit code.
    """
    if len(argv) != 1:
        sys.stderr.write("usage: python -m audit.verify.build FILE\n")
        return 2
    target = Path(argv[0])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(archive())
    target.chmod(0o755)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
