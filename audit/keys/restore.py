"""Key files put back from a backup, in a data directory that nobody has open and perhaps nobody can.

    judge all of it → note → KEK → keyring → signing keys, public halves, secrets, vault.json → open all of it

Nothing is written before everything was judged; what is in place and good stays as it is. The note makes the next start
record the restore (``audit.keys.unrecorded``). Every step can be repeated: a crash leaves some files put back, and the
same command completes it.

Not handled here: objects and records, which are no keys; the record, which needs a vault that opens.
"""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.crash import crash_point
from audit.errors import ConfigInvalid, NoteInvalid, NotInitialised
from audit.identity import Identity, Layout, load_identity
from audit.init import load_signer
from audit.keys import unrecorded
from audit.keys.kek import open_keyring
from audit.keys.keyring_plan import plan_keyring
from audit.keys.needed import needed_by
from audit.keys.unrecorded import Change
from audit.note import Signer, VerifierKey
from audit.streams import open_to_read
from audit.writer_lock import require_owner, take_lock
from vault import durable
from vault.crypto import backup_file, kek
from vault.crypto.keyring import COPIES, Keyring
from vault.crypto.secrets import SecretStore, is_secret_of, unwrap_signing_key
from vault.errors import KeyringError
from vault.record import KeysRef

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from audit.keys.keyring_plan import KeyringPlan
    from audit.keys.needed import Needed
    from vault.crypto.backup_file import KeyBackup
    from vault.record import Actor

_VAULT: Final = "vault.json"


class Restored(NamedTuple):
    """What was done.

    Attributes:
        identity: Whose keys.
        time: When the backup was made.
        files: Paths below the data directory, in the order in which they were put back; none where nothing was missing.
        keys: What the record says.
        left_out: Domain keys of the backup that did not come back, because nothing needs them.
        missing: What an enabled principal or an earlier stream lacks still, in words.
    """

    identity: Identity
    time: str
    files: list[str]
    keys: KeysRef
    left_out: int
    missing: list[str]


def restore_keys(  # noqa: PLR0917 - all of a restore
    root: Path, data: bytes, passphrase: Callable[[], str], segment_bytes: int, actor: Actor, environ: Mapping[str, str]
) -> Restored:
    """Put missing and damaged key files back; durable on return, and opened. A start of the node records it.

    Args:
        root: The data directory, with its records.
        data: The backup.
        passphrase: Asked once the backup is known to be whole, and of this vault.
        segment_bytes: Length of commit log segments.
        actor: Who does it.
        environ: May hold the KEK.

    Raises:
        AlreadyRunning: Another process holds the directory.
        ConfigInvalid: The directory is not one whose keys can be restored; nothing was changed.
        KeyringError: The backup cannot be used, or lacks what is needed; nothing was changed.
        LedgerCorrupt: The records cannot be read.
        DurabilityError: A file could not be written; the same command completes it.
    """
    layout = Layout(root)
    header = backup_file.read_header(data)
    identity = _identity_here(layout, header.vault)
    backup = backup_file.unseal(data, passphrase())
    identity = identity or _identity_kept(layout, backup)
    for stream in identity.streams:
        if not (layout.stream(stream) / "commit").is_dir():
            raise ConfigInvalid(
                f"{layout.stream(stream)} holds no records: restore the data directory first, then its keys"
            )
    require_owner(layout)
    durable.make_dirs(layout.views)
    lock = take_lock(layout)
    try:
        for directory in layout.directories(identity.stream):
            durable.make_dirs(directory)
        return _restore(layout, identity, backup, sha256(data).hexdigest(), segment_bytes, actor, environ)
    finally:
        os.close(lock)


def _restore(  # noqa: PLR0917 - all of a restore
    layout: Layout,
    identity: Identity,
    backup: KeyBackup,
    digest: str,
    segment_bytes: int,
    actor: Actor,
    environ: Mapping[str, str],
) -> Restored:
    needed = _needed(layout, identity, segment_bytes)
    plan = plan_keyring(layout, environ, backup, needed)
    ring = Keyring(layout.keys, plan.kek, plan.contents)
    missing: dict[str, str] = {}
    files = _signing_keys(layout, identity, ring, backup, missing)
    files |= _secrets(layout, ring, backup, needed, missing)
    if not layout.identity.exists():
        files[_VAULT] = backup.files[_VAULT]
    names = ["keys/kek"] * plan.puts_kek + [f"keys/{name}" for name in COPIES] * plan.puts_keyring + [*files]
    keys = KeysRef(
        kek=ring.kek_id,
        generation=plan.contents.generation,
        domains=len(plan.contents.domains),
        beyond=plan.beyond,
        digest=digest,
        principals=sum(name.startswith("keys/secrets/") for name in backup.files),
        streams=sum(name.endswith(".signing") for name in backup.files),
        files=len(names),
        holds_kek=backup.holds_kek,
    )
    if names:
        unrecorded.add(layout, Change("key.restore", actor, keys))
        crash_point("restore.noted")
        _write(layout, plan, files)
    _open_all(layout, identity, environ, needed, missing)
    return Restored(identity, backup.time, names, keys, plan.left_out, [*missing.values()])


def _write(layout: Layout, plan: KeyringPlan, files: Mapping[str, bytes]) -> None:
    if plan.puts_kek:
        durable.replace(layout.kek, kek.encode(plan.kek))
    crash_point("restore.kek")
    if plan.puts_keyring:
        Keyring.put_back(layout.keys, plan.kek, plan.contents)
    crash_point("restore.keyring")
    for name, data in files.items():  # vault.json, which makes the directory a vault, is the last
        durable.replace(layout.root / name, data, 0o644 if name == _VAULT or name.endswith(".vkey") else 0o600)
    crash_point("restore.files")


def _identity_here(layout: Layout, vault: str) -> Identity | None:
    """The vault that the directory says it is; None where ``vault.json`` is missing.

    Raises:
        ConfigInvalid: The directory is missing, ``vault.json`` cannot be used, or is of another vault than the backup.
    """
    if not layout.root.is_dir():
        raise ConfigInvalid(f"{layout.root} does not exist: restore the data directory first, then its keys")
    try:
        identity = load_identity(layout)
    except NotInitialised:
        return None
    except ConfigInvalid as error:
        raise ConfigInvalid(f"{error}; where it is damaged, move it away to have it put back too") from error
    if identity.vault != vault:
        raise ConfigInvalid(f"this is a key backup of vault {vault[:64]}, and {layout.root} is vault {identity.vault}")
    return identity


def _identity_kept(layout: Layout, backup: KeyBackup) -> Identity:
    """The vault that the backup says it is of, where every stream in place is one of its.

    Raises:
        KeyringError: The backup does not say.
        ConfigInvalid: There is a stream that it does not know: another vault's, or newer than the backup.
    """
    try:
        identity = msgspec.json.decode(backup.files.get(_VAULT, b""), type=Identity)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise KeyringError("this key backup does not say which streams the vault has") from error
    streams = layout.root / "streams"
    strange = sorted({path.name for path in streams.iterdir()} - set(identity.streams)) if streams.is_dir() else []
    if strange:
        raise ConfigInvalid(f"the backup knows nothing of {streams / strange[0]}: restore {_VAULT} with the data")
    return identity


def _needed(layout: Layout, identity: Identity, segment_bytes: int) -> Needed:
    strands, _ = open_to_read(layout, identity, identity.streams, segment_bytes)
    try:
        needed = needed_by(strands, layout.views / "restore")
    finally:
        for strand in strands:
            strand.log.close()
    if not needed.records:
        raise ConfigInvalid(f"{layout.root} holds no records: restore the data directory first, then its keys")
    return needed


def _signing_keys(
    layout: Layout, identity: Identity, ring: Keyring, backup: KeyBackup, missing: dict[str, str]
) -> dict[str, bytes]:
    """Signing keys and public halves to be put back.

    Raises:
        KeyringError: The stream that is written has no signing key any more, or one whose public half is another's.
    """
    files = {}
    for stream in identity.streams:
        path, name = layout.signing_key(stream), f"keys/{stream}.signing"
        signer = _signer(identity, ring, stream, path.read_bytes() if path.is_file() else b"")
        if signer is None:
            signer = _signer(identity, ring, stream, backup.files.get(name, b""))
            if signer is None and stream == identity.stream:
                raise KeyringError(f"the signing key of {stream} is neither here nor in the backup: use a newer backup")
            if signer is None:
                missing[stream] = f"the signing key of {stream}, which was taken over"
                continue
            files[name] = backup.files[name]
        vkey = f"{signer.verifier.encode()}\n".encode()
        public = layout.vkey(stream)
        if _is_another(public, signer):
            raise KeyringError(f"{public} is not the public half of that stream's signing key; nothing was changed")
        if not public.is_file() or public.read_bytes() != vkey:
            files[f"keys/{stream}.vkey"] = vkey
    return files


def _signer(identity: Identity, ring: Keyring, stream: str, sealed: bytes) -> Signer | None:
    try:
        private = Ed25519PrivateKey.from_private_bytes(unwrap_signing_key(ring, stream, sealed))
    except (KeyringError, ValueError):
        return None
    return Signer(identity.origin_of(stream), private)


def _is_another(public: Path, signer: Signer) -> bool:
    """Whether there is a whole public key of that name, and it is not this signer's."""
    try:
        found = VerifierKey.parse(public.read_text("utf-8", "replace").strip())
    except (OSError, NoteInvalid):
        return False
    return found.encode() != signer.verifier.encode()


def _secrets(
    layout: Layout, ring: Keyring, backup: KeyBackup, needed: Needed, missing: dict[str, str]
) -> dict[str, bytes]:
    """Secrets to be put back: those of principals whom a record added."""
    files = {}
    for principal, enabled in needed.principals.items():
        path, name = layout.secrets / principal, f"keys/secrets/{principal}"
        if is_secret_of(ring, principal, path.read_bytes() if path.is_file() else b""):
            continue
        if is_secret_of(ring, principal, backup.files.get(name, b"")):
            files[name] = backup.files[name]
        elif enabled:
            missing[principal] = f"the secret of principal {principal}"
    return files


def _open_all(
    layout: Layout, identity: Identity, environ: Mapping[str, str], needed: Needed, missing: dict[str, str]
) -> None:
    """Open from disk what a start opens.

    Raises:
        KeyringError: Something does not open.
        ConfigInvalid: Something cannot be read.
    """
    keyring = open_keyring(layout, environ)
    for stream in identity.streams:
        if stream in missing:
            continue
        vkey = load_signer(layout, identity, keyring, stream).verifier.encode()
        if layout.vkey(stream).read_text().strip() != vkey:
            raise KeyringError(f"{layout.vkey(stream)} is not the public half of the signing key of {stream}")
    store = SecretStore(layout.secrets, keyring)
    for principal, enabled in needed.principals.items():
        if enabled and principal not in missing:
            store.get(principal)
