"""What a record holds of an event of another system: its bytes, their digest, and the event's own words (DESIGN §3).

Foreign bytes are evidence like our own: they are kept exactly as they came, and everything beside them is taken out of
them for those who search. Nobody decides by it but for repeats and gaps.

Not handled here: which words of which format (``audit.ingest.formats``), repeats and gaps (``vault.state.ingest``).
"""

from __future__ import annotations

import msgspec


class IngestRef(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What an ``ingest.*`` record says of another system's events.

    ``ingest.event``: one event. ``digest`` is the SHA-256 (lowercase hex) of its bytes and ``size`` their number. The
    bytes themselves are ``event`` where they are UTF-8, ``base64`` (RFC 4648 §4) where they are not; where a record
    would not hold them they are the version ``manifest`` of the record's ``object``. ``id``, ``sequence``, ``time``,
    ``who``, ``action`` and ``what`` are the event's own words, as far as its ``format`` has them; ``raw`` is the format
    of an event that is not what its source should send.

    ``ingest.gap``: events numbered ``missing`` (first, last) did not come before a later one did.

    ``ingest.batch``: what a request brought beside events that have a record of their own: of its ``members``, how many
    were ``duplicates``; ``sequence`` is the source's highest since.
    """

    source: str
    format: str = ""
    id: str = ""
    sequence: int = -1
    time: str = ""
    who: str = ""
    action: str = ""
    what: str = ""
    size: int = -1
    digest: str = ""
    event: str = ""
    base64: str = ""
    manifest: str = ""
    missing: tuple[int, int] | None = None
    members: int = 0
    duplicates: int = 0
