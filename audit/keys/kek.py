"""Where a vault's KEK is, and what a start makes of a rotation that was cut short.

A rotation of a KEK that is kept here goes, each step durable before the next:

    1  keys/kek.next     the new KEK
    2  keyring-a         under the new KEK: from here on the new KEK counts
    3  keyring-b
    4  the record
    5  keys/kek          replaced by the new KEK, the old one is gone
    6  keys/kek.next     removed

A start that finds ``kek.next`` looks at the keyring: where a copy names it, the rotation is completed; where none does,
it had not begun, and ``kek.next`` is removed. Where the KEK comes from the environment only 2 to 4 take place, and a
start between 2 and 3 opens with either, after 3 with the new one.

Not handled here: the rotation itself (``audit.keys.custody``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vault import durable
from vault.crypto import kek
from vault.crypto.keyring import Keyring, wrapped_by

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audit.identity import Layout
    from vault.crypto.kek import KekProvider


def kek_provider(layout: Layout, environ: Mapping[str, str]) -> KekProvider:
    """Where this vault's KEK is: the environment where it is set there, else ``keys/kek``."""
    if is_external(environ):
        return kek.EnvironmentKek(environ)
    return kek.FileKek(layout.kek)


def is_external(environ: Mapping[str, str]) -> bool:
    """Whether the KEK comes from the environment."""
    return kek.VARIABLE in environ


def open_keyring(layout: Layout, environ: Mapping[str, str]) -> Keyring:
    """Open a vault's keyring, and end a rotation that was cut short. The caller holds the data directory's lock.

    Raises:
        KeyringError: There is no KEK, or no copy is good.
        DurabilityError: Something could not be written.
    """
    durable.sweep_temps(layout.keys)  # one may hold a KEK
    if is_external(environ) or not layout.next_kek.exists():
        return Keyring.open(layout.keys, kek_provider(layout, environ))
    following = kek.FileKek(layout.next_kek)
    if kek.kek_id(following.load()) in wrapped_by(layout.keys):
        keyring = Keyring.open(layout.keys, following)
        take_next(layout)
        return keyring
    keyring = Keyring.open(layout.keys, kek.FileKek(layout.kek))
    durable.remove(layout.next_kek)
    return keyring


def take_next(layout: Layout) -> None:
    """Let the new KEK be the KEK: the old one's file is replaced. Durable; a crash leaves both names, or one.

    Raises:
        KeyringError: The new KEK cannot be read.
        DurabilityError: A write failed.
    """
    durable.replace(layout.kek, kek.encode(kek.FileKek(layout.next_kek).load()))
    durable.remove(layout.next_kek)
