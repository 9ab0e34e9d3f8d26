"""Proofs that a record is in the log, in the form that strangers read: C2SP tlog-proof v1.

    c2sp.org/tlog-proof@v1
    index 812
    <one base64 hash a line: RFC 6962 §2.1.1>

    <the checkpoint, a signed note>

Pure but for the tiles it reads. Not handled here: the record itself; a verifier hashes its exact bytes.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Final

from audit.checkpoint import Checkpoint
from audit.errors import AuditError
from audit.note import parse_note
from audit.tiles import tree_node
from vault.merkle import inclusion_proof

if TYPE_CHECKING:
    from audit.tiles import ReadTile

_HEADER: Final = b"c2sp.org/tlog-proof@v1\n"


class NotSealedYet(AuditError):
    """No published checkpoint covers the record yet; there is one each second, as long as the anchor answers."""

    code = "not-sealed-yet"
    status = 503
    retryable = True


def tlog_proof(index: int, note: bytes | None, read: ReadTile) -> bytes:
    """Prove that record ``index`` of a stream is under its published checkpoint.

    Args:
        index: The record's seq.
        note: The published checkpoint; None where there is none yet.
        read: Reads a hash tile of the stream.

    Raises:
        NotSealedYet: The checkpoint does not cover it.
        LedgerCorrupt: A tile is missing.
    """
    size = Checkpoint.parse(parse_note(note).text).size if note is not None else 0
    if note is None or index >= size:
        raise NotSealedYet(f"the published checkpoint covers {size} records, not yet record {index}: ask again")
    hashes = inclusion_proof(index, size, tree_node(size, read))
    lines = b"".join(b64encode(hash_) + b"\n" for hash_ in hashes)
    return b"%bindex %d\n%b\n%b" % (_HEADER, index, lines, note)
