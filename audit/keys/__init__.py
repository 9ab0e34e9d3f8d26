"""A vault's keys as a whole: backed up, restored, and put under another KEK (DESIGN §6).

    kek          where the KEK is, and a rotation that a crash cut short
    custody      what an open vault does with its keys: gives them for a backup, rotates, records
    backup       one sealed file of them
    restore      key files put back from such a file, by who has no key to open the vault with
    needed       which domain keys the ledger still needs
    unrecorded   what was done and no record tells yet

*What is in a backup* is all without which bytes are lost, or nobody can go on: ``vault.json``, keyring, signing keys,
principals' secrets, and the KEK where it is a file of ours. A KEK that comes from elsewhere is never in it, not even on
request: whoever keeps it in a secret manager wants it on no disk, that manager has a backup of its own, and so what is
stolen with its passphrase still opens nothing. The price is that it must be kept for as long as backups from before a
rotation are.

*A restore goes by the ledger.* Only domain keys come back that bytes need which were stored and not erased: a key that
was destroyed has none, so no backup brings it back. What is in place and good is never replaced.

*Record after effect.* Key files change before the record that tells of it, as all side bytes do; a note that is durable
before the change (``unrecorded``) makes the next start write the record where a crash, or keys that did not open the
vault, kept it from being written.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from vault.record import KeysRef


@dataclass(frozen=True, slots=True)
class KeyStanding:
    """How far the last recorded backup is behind: ``backed_up`` is its time (RFC 3339), empty without one.

    Domain keys, principals and streams that were made since; rotations of the KEK since.
    """

    backed_up: str = ""
    domains: int = 0
    principals: int = 0
    streams: int = 0
    rotations: int = 0


class KeyMaterial(msgspec.Struct, frozen=True):
    """All that a backup holds, as of one moment.

    Attributes:
        vault: The vault's id.
        files: Bytes by path below the data directory.
        keys: What the record of the backup will say, but for the digest.
        missing: What belongs into it and is not there, or does not open; in words.
    """

    vault: str
    files: dict[str, bytes]
    keys: KeysRef
    missing: list[str]

    def __repr__(self) -> str:
        return f"KeyMaterial({self.vault!r}, {sorted(self.files)}, {self.keys!r})"


class Rotated(msgspec.Struct, frozen=True):
    """A rotation that is done: what its record says, and which that is; whether the KEK is a file of ours."""

    keys: KeysRef
    record: str
    kept_here: bool
