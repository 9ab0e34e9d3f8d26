"""Which keyring a restore makes, of what is left in place and what the backup holds. Writes nothing of its own.

 1. A keyring that opens stays as it is, and is only added to: its newer good copy counts, as at every start.
 2. What comes from elsewhere, an older copy or the backup, comes only where the ledger knows of bytes under it. A
    domain key that was destroyed has none, and stays destroyed.
 3. A copy that is wrapped by a KEK that is not at hand is perhaps the newest there is: it is not written over.
 4. A domain key that the ledger needs and nobody has is named, and nothing is written: bytes would be lost from sight.

Not handled here: what the ledger needs (``audit.keys.needed``), other files (``audit.keys.restore``).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from audit.keys.kek import is_external, open_keyring
from vault.crypto import kek, keyring_file
from vault.crypto.keyring import COPIES, read_copies, wrapped_by
from vault.crypto.keyring_file import Contents, DomainKey
from vault.errors import KeyringError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from audit.identity import Layout
    from audit.keys.needed import Needed
    from vault.crypto.backup_file import KeyBackup

#: Ids of missing domain keys that a message names.
_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class KeyringPlan:
    """What is to be in place.

    Attributes:
        kek: The KEK.
        contents: The keyring's contents.
        puts_kek: The KEK's file is to be written.
        puts_keyring: Both copies are to be written.
        beyond: How many of its domain keys the backup does not hold.
        left_out: How many domain keys of the backup are not in it, because nothing needs them.
    """

    kek: bytes = field(repr=False)
    contents: Contents
    puts_kek: bool
    puts_keyring: bool
    beyond: int
    left_out: int


def plan_keyring(layout: Layout, environ: Mapping[str, str], backup: KeyBackup, needed: Needed) -> KeyringPlan:
    """Decide which keyring is to be in place. Ends a rotation that was cut short, as a start does.

    Args:
        layout: What is left.
        environ: May hold the KEK.
        backup: What was kept.
        needed: What the ledger needs.

    Raises:
        KeyringError: It cannot be done; says what is missing, and nothing was written.
        DurabilityError: A copy could not be mended.
    """
    with suppress(KeyringError):  # what is here is judged copy by copy
        open_keyring(layout, environ)  # mends what a start would mend
    at_hand = _own(layout, environ)
    kept = backup.files.get("keys/kek")
    keks = [*at_hand, *([kek.decode(kept, "the backup")] if kept is not None else [])]
    strange = wrapped_by(layout.keys) - {kek.kek_id(key) for key in keks}
    copies = [(copy[0], key) for key in keks for copy in read_copies(layout.keys, key) if isinstance(copy, tuple)]
    if strange and not copies:
        raise KeyringError(
            f"the keyring in {layout.keys} is wrapped by the key-encryption key {strange.pop()}, which is neither here "
            f"nor in the backup, and may be newer: put that key into {kek.VARIABLE} or {layout.kek}, or move "
            f"{' and '.join(COPIES)} away to do without them"
        )
    saved = _saved(backup, keks, has_other=bool(copies))
    base = _base(copies)
    sources = [contents for contents, _ in (*copies, *saved)]
    if len({contents.site for contents in sources}) > 1:
        raise KeyringError("the keyrings in place and in the backup are of different vaults, and nothing was changed")
    domains = _domains(base[0] if base is not None else None, sources, needed)
    _require(domains, needed)
    _, wraps = base or (*saved, *copies)[0]
    target = at_hand[0] if at_hand else wraps
    if is_external(environ) and target != wraps:
        raise KeyringError(
            f"{kek.VARIABLE} holds the key-encryption key {kek.kek_id(target)}, and the keyring is wrapped by "
            f"{kek.kek_id(wraps)}: set it to that one"
        )
    ids = {domain.id for domain in domains}
    stays = base is not None and target == wraps and tuple(domains) == base[0].domains
    generation = max(contents.generation for contents in sources)
    contents = base[0] if base is not None and stays else Contents(generation + 1, sources[0].site, tuple(domains))
    known = {domain.id for contents, _ in saved for domain in contents.domains}
    return KeyringPlan(target, contents, not at_hand, not stays, beyond=len(ids - known), left_out=len(known - ids))


def _own(layout: Layout, environ: Mapping[str, str]) -> list[bytes]:
    """The KEK that the vault would open with, and that of a rotation under way; none where there is none.

    Raises:
        KeyringError: The file holds a KEK and is kept badly, or the variable holds none: to be mended by hand.
    """
    if is_external(environ):
        return [kek.EnvironmentKek(environ).load()]
    found = []
    for path in (layout.kek, layout.next_kek):
        try:
            found.append(kek.FileKek(path).load())
        except KeyringError:
            if _holds_kek(path.read_bytes() if path.is_file() else b""):
                raise
    return found


def _holds_kek(text: bytes) -> bool:
    try:
        kek.decode(text, "it")
    except KeyringError:
        return False
    return True


def _saved(backup: KeyBackup, keks: Sequence[bytes], *, has_other: bool) -> list[tuple[Contents, bytes]]:
    """The backup's keyring, and its KEK; none where it does not open, and is not needed because one is in place.

    Raises:
        KeyringError: It does not open, and is needed.
    """
    data = backup.files.get(f"keys/{COPIES[0]}", b"")
    for key in keks:
        try:
            return [(keyring_file.decode(data, key), key)]
        except KeyringError:
            continue
    if has_other:
        return []
    raise KeyringError(
        f"the keyring in the backup is wrapped by the key-encryption key {backup.kek}, which is not in the backup: put "
        f"it into {kek.VARIABLE}, from where it is kept"
    )


def _base(copies: Sequence[tuple[Contents, bytes]]) -> tuple[Contents, bytes] | None:
    """The newest good copy; None where there is none, or two of them contradict each other."""
    if not copies:
        return None
    newest = max(copies, key=lambda copy: copy[0].generation)
    rivals = {copy[0].domains for copy in copies if copy[0].generation == newest[0].generation}
    return newest if len(rivals) == 1 else None


def _domains(base: Contents | None, sources: Sequence[Contents], needed: Needed) -> list[DomainKey]:
    """All of the keyring that counts, and of the others what is needed."""
    found = {domain.id: domain for domain in base.domains} if base is not None else {}
    for contents in sources:
        for domain in contents.domains:
            if domain.id in needed.must or domain.id in needed.may:
                found.setdefault(domain.id, domain)
    return list(found.values())


def _require(domains: Sequence[DomainKey], needed: Needed) -> None:
    missing = sorted(needed.must - {domain.id for domain in domains})
    if missing:
        some = ", ".join(missing[:_NAMED]) + (" …" if len(missing) > _NAMED else "")
        raise KeyringError(
            f"{len(missing)} domain keys that the ledger needs are neither here nor in the backup ({some}): what is "
            "under them could not be read; use a newer backup. Nothing was changed"
        )
