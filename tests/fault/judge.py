"""Whether a data directory holds everything that clients were told, once, and nothing else that matters is wrong.

The last word has ``audit.verify``, which shares no code with the server. Beside it: records against what clients were
told, contents by decrypting them, and the index against one built anew from the ledger.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from audit.config import load as load_settings
from audit.errors import AuditError
from audit.node import Node
from audit.replay import replay
from audit.verify.command import main as verify
from tests.fault.load import BUCKET, payload
from vault.errors import VaultError
from vault.merkle import leaf_hash
from vault.service.documents import Documents
from vault.service.plaintext import Plaintext
from vault.state import lookup
from vault.state.rows import MetaRow
from vault.storage.index import Index

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fault.load import Outcome
    from vault.state.rows import Row

#: Segments as the servers that were struck had them, and no disk reserve: images stand in memory.
ENVIRONMENT: Final = {"STRONGROOM_LEDGER__SEGMENT_MIB": "1", "STRONGROOM_DISK__RESERVE_MIB": "0"}
SETTINGS: Final = load_settings(None, ENVIRONMENT)


def verified(data: Path, *checkpoints: Path) -> str:
    """What is bad about a directory in the eyes of the independent verifier; empty where it exits 0."""
    said = io.StringIO()
    options = [word for path in checkpoints for word in ("--checkpoint", str(path))]
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # it then works in this process: starting others takes longer than the work
    try:
        with contextlib.redirect_stdout(said):
            code = verify([str(data), *options])
    finally:
        os.sched_setaffinity(0, cores)
    return "" if code == 0 else f"verify exits {code}: {said.getvalue()}"


def problems(data: Path, outcomes: Sequence[Outcome], *checkpoints: Path) -> list[str]:
    """Start a vault, look at everything, stop it, and verify it.

    Args:
        data: A directory that a crash left.
        outcomes: What clients were told before it.
        checkpoints: Files with checkpoints that somebody saw before it.

    Returns:
        What is wrong; nothing where all promises were kept.
    """
    try:
        with Node.open(data, SETTINGS) as node:
            node._background.stop()  # what is looked at below stays as it is
            found = [*_records(node, outcomes), *_contents(node, outcomes), *_secrets(node), *_index(node)]
            found += node.status().problems
    except (AuditError, VaultError) as error:
        return [f"it does not start: {type(error).__name__}: {error}"]
    bad = verified(data, *checkpoints)
    return [*found, bad] if bad else found


def _records(node: Node, outcomes: Sequence[Outcome]) -> list[str]:
    """What was acknowledged stands once, under its seq, with its leaf; what is unknown at most once; the rest never."""
    stands = defaultdict(list)
    for strand in node.stores.strands:
        for seq, data in node.records(strand.name, 0, strand.log.durable_end):
            agent = json.loads(data)["origin"].get("agent", "")
            stands[agent].append(f"{strand.name}/{seq}/{leaf_hash(data).hex()}")
    found = []
    for outcome in outcomes:
        records = stands[outcome.agent]
        wanted = [outcome.record] if outcome.record else records[:1] if outcome.unknown else []
        if records != wanted:
            found.append(f"{outcome} stands in the ledger as {records}")
    return found


def _contents(node: Node, outcomes: Sequence[Outcome]) -> list[str]:
    """Every key that must hold something holds just that."""
    index = node.stores.index
    plaintext = Plaintext(Documents(node.stores, node.keyring), node.stores.blobs, index)
    found = []
    for outcome in outcomes:
        if outcome.kept < 0:
            continue
        try:
            row = lookup.resolve(index, BUCKET, outcome.key, "")
            data = b"".join(plaintext.pieces(row, 0, row.size - 1))
        except VaultError as error:
            found.append(f"{outcome.key} cannot be read: {error}")
            continue
        if data != payload(outcome.key, outcome.kept):
            found.append(f"{outcome.key} holds other bytes than were stored")
    return found


def _secrets(node: Node) -> list[str]:
    """Whoever the ledger knows can still prove it."""
    found = []
    for principal in node.principals.all():
        try:
            node.secrets.get(principal.id)
        except VaultError as error:
            found.append(str(error))
    return found


def _index(node: Node) -> list[str]:
    """The index is what the ledger makes."""
    with tempfile.TemporaryDirectory() as directory:
        fresh = Index(Path(directory) / "index")
        for strand in node.stores.strands:
            replay(fresh, strand.settled, strand.log, strand.base)
        same = _rows(fresh) == _rows(node.stores.index)
        fresh.close()
    return [] if same else ["the index differs from one that is built anew from the ledger"]


def _rows(index: Index) -> list[tuple[bytes, Row]]:
    """All rows but the one that says how far the file has come."""
    return [(key, row) for key, row in index.scan(b"", b"\xff") if not isinstance(row, MetaRow)]
