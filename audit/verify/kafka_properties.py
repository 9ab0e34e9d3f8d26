"""``--kafka-properties``: settings of a Kafka client, a line each, ``name=value``, by librdkafka's names.

Lines that are empty or begin with ``#`` say nothing. Not handled here: Java's escapes and continued lines, and what the
settings mean (``librdkafka``, ``kafka_python``).
"""

from __future__ import annotations

from typing import Final

from audit.verify.files import read_file
from audit.verify.librdkafka import FIXED
from audit.verify.report import Bad, Unchecked

_MAX_BYTES: Final = 64 * 1024
#: What the verifier sets itself: where it reads, and that it sees only what is committed.
_OURS: Final = frozenset(FIXED) | {"bootstrap.servers", "metadata.broker.list", "isolation.level"}


def load(path: str) -> dict[str, str]:
    """Read a file of settings.

    Args:
        path: The file.

    Returns:
        Values by name.

    Raises:
        Unchecked: It cannot be read, is none, or sets what is not to be set; names no value, of which some are secret.
    """
    try:
        data = read_file(path, _MAX_BYTES, path)
        lines = (data or b"").decode().splitlines()
    except (Bad, UnicodeDecodeError) as error:
        raise Unchecked(f"{path}: no file of settings") from error
    if data is None:
        raise Unchecked(f"{path}: no such file")
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, given, value = line.partition("=")
        if not given or not name.strip():
            raise Unchecked(f"{path}: line {number} is not name=value")
        if name.strip() in _OURS:
            raise Unchecked(f"{path}: line {number}: {name.strip()} is not to be set here")
        found[name.strip()] = value.strip()
    return found
