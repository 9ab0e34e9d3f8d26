"""What an open vault does with its keys: gives them for a backup, puts them under another KEK, and records both.

A rotation rewraps the site key and the list of domain keys, two small files; locked bytes are not touched. Its order of
steps, and what a crash leaves, is in :mod:`audit.keys.kek`.

Not handled here: the backup's file (``audit.keys.backup``), and restoring (``audit.keys.restore``).
"""

from __future__ import annotations

import secrets
import threading
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from audit.crash import crash_point
from audit.errors import ConfigInvalid
from audit.identity import encoded
from audit.init import load_signer
from audit.keys import KeyMaterial, KeyStanding, Rotated, unrecorded
from audit.keys.kek import is_external, take_next
from audit.keys.unrecorded import Change
from vault import durable
from vault.crypto import kek
from vault.crypto.keyring import COPIES, wrapped_by
from vault.crypto.secrets import SecretStore
from vault.errors import KeyringError
from vault.record import KeysRef, Origin, Tail
from vault.state import custody
from vault.state.rows import PrincipalRow
from vault.times import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from audit.identity import Identity, Layout
    from vault.crypto.keyring import Keyring
    from vault.ports import Committed, State
    from vault.record import Actor

_CLI: Final = Origin("cli")
_RESTART: Final = "an earlier change of the keyring failed; restart, so that both copies are checked"


class Custody:
    """The keys of one node. Thread-safe; blocks on disk and on the journal, so not for the event loop.

    Args:
        layout: Where they are.
        identity: Whose they are.
        keyring: Open.
        commit: Commits one record (``audit.node.Node.commit``).
        state: The durable view.
        environ: Says whether the KEK comes from elsewhere.
    """

    def __init__(  # noqa: PLR0917 - all that keys touch
        self,
        layout: Layout,
        identity: Identity,
        keyring: Keyring,
        commit: Callable[[Tail], Committed],
        state: State,
        environ: Mapping[str, str],
    ) -> None:
        self._layout = layout
        self._identity = identity
        self._keyring = keyring
        self._commit = commit
        self._state = state
        self._external = is_external(environ)
        self._rotating = threading.Lock()

    def standing(self) -> KeyStanding:
        """How far the last recorded backup is behind."""
        row = custody.found(self._state)
        if not row.backed_up:
            return KeyStanding()
        return KeyStanding(
            backed_up=rfc3339(row.backed_up),
            domains=custody.made_since(row, *self._keyring.extent),
            principals=max(0, len(self._principals()) - row.principals),
            streams=max(0, len(self._identity.streams) - row.streams),
            rotations=row.rotations,
        )

    def material(self) -> KeyMaterial:
        """All that a backup holds, read and opened: what does not open is named, and left out.

        The KEK comes from memory, so that a backup also saves one whose file was lost under a running server.
        """
        with self._rotating:
            taken = self._keyring.snapshot()
        files = {"vault.json": encoded(self._identity)}
        files |= {f"keys/{name}": taken.data for name in COPIES[:1]}
        if not self._external:
            files["keys/kek"] = kek.encode(taken.kek)
        missing: list[str] = []
        streams = [stream for stream in self._identity.streams if self._add_stream(stream, files, missing)]
        kept = [row for row in self._principals() if self._add_secret(row, files, missing)]
        keys = KeysRef(
            kek=kek.kek_id(taken.kek),
            generation=taken.generation,
            domains=taken.domains,
            principals=len(kept),
            streams=len(streams),
            holds_kek=not self._external,
        )
        return KeyMaterial(self._identity.vault, files, keys, missing)

    def record_backup(self, actor: Actor, keys: KeysRef) -> str:
        """Record a backup that is durable where somebody wants it.

        Args:
            actor: Who made it.
            keys: As :meth:`material` gave it, with the digest of the file.

        Returns:
            The record, ``stream/seq``.
        """
        with self._rotating:
            self._complete()  # in their order: this record names the KEK too
            return self._record(Change("key.backup", actor, keys))

    def rotate(self, actor: Actor, new: str = "") -> Rotated:
        """Put the keyring under another KEK; durable and recorded on return, and the old KEK's file is gone.

        A rotation that failed after the keyring was rewrapped is completed by the same call.

        Args:
            actor: Who does it.
            new: The new KEK's text; made up where empty, unless the KEK comes from elsewhere.

        Raises:
            ConfigInvalid: The KEK comes from elsewhere and no new one was given, or it is the one in use.
            KeyringError: The new KEK is none, or something did not open under it; the old one's file is still there.
            Unavailable: There was no room; the keyring is as it was, or the next start completes it.
            VaultError: Disk or journal failed; the next start finds out.
        """
        with self._rotating:
            wanted = kek.decode(new.encode(errors="replace"), "what was given") if new else b""
            done = self._complete()
            if done is not None and (not wanted or kek.kek_id(wanted) == done.keys.kek):
                return done
            if self._external and not wanted:
                raise ConfigInvalid(
                    f"the key-encryption key comes from {kek.VARIABLE}: give the new one with "
                    "--kek-file, from where you keep it"
                )
            return self._rotate(actor, wanted or secrets.token_bytes(kek.KEK_BYTES))

    def _rotate(self, actor: Actor, new: bytes) -> Rotated:
        before, name = self._keyring.kek_id, kek.kek_id(new)
        if name == before:
            raise ConfigInvalid(f"{name} is the key-encryption key in use: give another one")
        if self._keyring.failed:
            raise KeyringError(_RESTART)
        broken = self._unopened()
        keys = KeysRef(name, *self._keyring.extent, before=before)
        unrecorded.add(self._layout, Change("key.rotate", actor, keys))
        if not self._external:
            durable.replace(self._layout.next_kek, kek.encode(new))
        crash_point("rotate.written")
        self._keyring.rewrap(kek.GivenKek(new), _rewrapped)
        lost = self._unopened() - broken
        if not self._external and kek.FileKek(self._layout.next_kek).load() != new:
            lost.add("the keyring")
        if lost:
            raise KeyringError(
                f"under the new key-encryption key {', '.join(sorted(lost))} did not open; both are kept"
            )
        crash_point("rotate.opened")
        made = self._record(Change("key.rotate", actor, self._now(keys)))
        self._end()
        return Rotated(self._now(keys), made, kept_here=not self._external)

    def record_left(self) -> None:
        """At a start: record what was done to the keys and could not be recorded then."""
        self._complete()

    def _complete(self) -> Rotated | None:
        """Record what waits for it, and end a rotation that has only to be ended; which one, if any.

        Raises:
            KeyringError: Nobody knows under which KEK the copies are; a start finds out.
        """
        waiting = unrecorded.read(self._layout)
        if waiting and self._keyring.failed:
            raise KeyringError(_RESTART)
        done = None
        for change in waiting:
            if change.op != "key.rotate":
                self._record(replace(change, keys=self._now(change.keys)))
                crash_point("restore.recorded")
                continue
            if change.keys.kek != self._keyring.kek_id and change.keys.kek in wrapped_by(self._layout.keys):
                if self._external:  # there was no room for the second copy, and only who asks has the new KEK
                    return None
                self._keyring.rewrap(kek.FileKek(self._layout.next_kek))
            if change.keys.kek == self._keyring.kek_id:  # else it had not begun
                keys = self._now(change.keys)
                told = custody.found(self._state).kek == change.keys.kek
                made = "" if told else self._record(Change(change.op, change.actor, keys))
                done = Rotated(keys, made, kept_here=not self._external)
        if waiting:
            self._end()
        return done

    def _end(self) -> None:
        """What follows the record."""
        crash_point("rotate.recorded")
        following = self._layout.next_kek
        if not self._external and following.exists():
            if kek.kek_id(kek.FileKek(following).load()) == self._keyring.kek_id:
                take_next(self._layout)
            else:  # of a rotation that had not begun
                durable.remove(following)
        crash_point("rotate.replaced")
        unrecorded.clear(self._layout)

    def _now(self, keys: KeysRef) -> KeysRef:
        generation, domains = self._keyring.extent
        return replace(keys, generation=generation, domains=domains)

    def _record(self, change: Change) -> str:
        head = self._commit(Tail(op=change.op, actor=change.actor, origin=_CLI, keys=change.keys)).head
        return f"{head.stream}/{head.seq}"

    def _principals(self) -> list[PrincipalRow]:
        return [row for _, row in self._state.scan(b"i", b"j") if isinstance(row, PrincipalRow)]

    def _unopened(self) -> set[str]:
        """What does not open with this keyring, in words."""
        broken = {f"the signing key of {name}" for name in self._identity.streams if not self._signs(name)}
        store = SecretStore(self._layout.secrets, self._keyring)
        return broken | {f"the secret of {row.id}" for row in self._principals() if not _opens(store, row.id)}

    def _signs(self, stream: str) -> bool:
        """Whether a stream's signing key opens, and is the one of its public half."""
        try:
            vkey = load_signer(self._layout, self._identity, self._keyring, stream).verifier.encode()
            return self._layout.vkey(stream).read_text("utf-8", "replace").strip() == vkey
        except (ConfigInvalid, KeyringError, OSError):
            return False

    def _add_stream(self, stream: str, files: dict[str, bytes], missing: list[str]) -> bool:
        if not self._signs(stream):
            missing.append(f"the signing key of {stream}")
            return False
        for path in (self._layout.signing_key(stream), self._layout.vkey(stream)):
            files[_name(self._layout, path)] = path.read_bytes()
        return True

    def _add_secret(self, row: PrincipalRow, files: dict[str, bytes], missing: list[str]) -> bool:
        path = self._layout.secrets / row.id
        if not _opens(SecretStore(self._layout.secrets, self._keyring), row.id):
            if not row.enabled and not path.exists():  # nobody needs it
                return True
            missing.append(f"the secret of {row.id}")
            return False
        files[_name(self._layout, path)] = path.read_bytes()
        return True


def _opens(store: SecretStore, principal: str) -> bool:
    try:
        store.get(principal)
    except KeyringError:
        return False
    return True


def _name(layout: Layout, path: Path) -> str:
    return path.relative_to(layout.root).as_posix()


def _rewrapped(copy: str) -> None:
    if copy == COPIES[0]:
        crash_point("rotate.first")
    else:
        crash_point("rotate.second")
