"""Root with every key rewrites history: from one record on, everything is chained, sealed, signed and anchored anew.

Written with the writer's own code, as the attacker would. What was forged stands up to every check that knows nothing
from outside the host; that is why something outside must hold a checkpoint (DESIGN §12).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.anchor.url import open_anchor
from audit.checkpoint import Checkpoint
from audit.config import AnchorSection
from audit.identity import Layout, load_identity
from audit.init import load_signer
from audit.journal import segment as format_
from audit.journal.segment import BLOCK
from audit.keys.kek import open_keyring
from audit.ledger import SettledLedger
from audit.ledger.segment import FRAME_RECORDS
from audit.note import sign_note
from audit.tile_store import TileStore
from audit.tiles import TileTree
from vault.merkle import EMPTY_ROOT, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass
class Forger:
    """Rewrites a stopped vault.

    Args:
        data: Its directory.
        forge: Gives a record other bytes, as many as it had, or the same; ``prev`` is put right afterwards.
    """

    data: Path
    forge: Callable[[bytes], bytes]

    def rewrite(self) -> int:
        """Rewrite it all; how many records there are."""
        self._layout = Layout(self.data)
        self._identity = load_identity(self._layout)
        self._home = self._layout.stream(self._identity.stream)
        self._forged: list[bytes] = []
        self._prev = EMPTY_ROOT
        settled = SettledLedger(self._home / "ledger")
        for _, record in settled.iterate(0):
            self._follow(record)
        for path in sorted((self._home / "commit").iterdir()):
            path.write_bytes(self._segment(path.read_bytes(), str(path)))
        self._settle()
        self._seal()
        return len(self._forged)

    def _follow(self, record: bytes) -> None:
        forged = self.forge(record)
        assert len(forged) == len(record)
        start = forged.index(b'"prev":"') + 8
        forged = forged[:start] + self._prev.hex().encode() + forged[start + 64 :]
        self._forged.append(forged)
        self._prev = leaf_hash(forged)

    def _segment(self, data: bytes, place: str) -> bytes:
        """A commit log segment with all its groups written anew."""
        header = format_.decode_segment_header(data[:BLOCK], place)
        assert header is not None
        made, offset = bytearray(data), BLOCK
        while (group := format_.read_group(data, offset, header)) is not None:
            entries: list[tuple[bytes, tuple[bytes]]] = []
            for seq, (start, length, body) in enumerate(format_.places(data, group, place), group.first_seq):
                if seq == len(self._forged):
                    self._follow(data[start : start + length])
                entries.append((self._forged[seq], (data[start + length : start + length + body],)))
            payload = format_.pack(entries, 0).payload
            made[offset : group.end] = b"".join(format_.encode_group(group, payload))
            offset = group.end
        return bytes(made)

    def _settle(self) -> None:
        """Settled segments under the names they had."""
        names = sorted((self._home / "ledger").iterdir())
        spans = [[int(part) for part in path.name.partition(".")[0].split("-")] for path in names]
        for path in names:
            path.unlink()
        settled = SettledLedger(self._home / "ledger")
        for first, end in spans:
            settled.add(self._forged[at : at + FRAME_RECORDS] for at in range(first, end, FRAME_RECORDS))

    def _seal(self) -> None:
        """Tiles, checkpoint and anchor."""
        shutil.rmtree(self._home / "tile")
        tree, tiles = TileTree(), TileStore(self._home)
        tiles.write([*tree.append([leaf_hash(record) for record in self._forged]), *tree.partials()])
        keyring = open_keyring(self._layout, os.environ)
        signer = load_signer(self._layout, self._identity, keyring)
        note = sign_note(Checkpoint(self._identity.origin, tree.size, tree.root()).text(), signer)
        (self._home / "checkpoint").write_bytes(note)
        anchor = open_anchor(self._identity.anchor or str(self._layout.default_anchor), AnchorSection())
        anchor.swap(self._identity.origin, anchor.read(self._identity.origin), note)
