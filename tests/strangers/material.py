"""What every stranger stores: bodies of each size that is kept differently, and keys that have broken other servers."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Final

#: Kept in the commit log; kept as a blob; sent in parts by every transfer manager.
SMALL: Final = b"a record of a trade\n"
LARGE: Final = random.Random(1).randbytes(300_000)
PARTS: Final = random.Random(2).randbytes(11 * 1024 * 1024 + 7)

#: Dots and slashes that must not be resolved; everything that is escaped otherwise in one place than in another;
#: the longest key there is, by bytes and not by characters.
ODD_KEYS: Final = ("//x/../y", "a b/\u00fc+&=%25", "\u20ac" + "k" * 1021)

#: In the far future, in whole seconds.
UNTIL: Final = (datetime.now(UTC) + timedelta(days=3650)).replace(microsecond=0)
