"""Making a vault: keys, identity, first principal. A crash leaves something that the same command completes."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from audit.anchor.place import make_anchor_directory, require_outside
from audit.credentials import ACCESS_KEY, SECRET_KEY, first_of
from audit.errors import AlreadyInitialised, ConfigInvalid
from audit.identity import Layout, load_identity, new_identity, replace_identity, save_identity
from audit.keys.kek import kek_provider, open_keyring
from audit.note import Signer
from vault import durable
from vault.crypto import kek
from vault.crypto.keyring import COPIES, Keyring
from vault.crypto.secrets import unwrap_signing_key, wrap_signing_key
from vault.storage.room import free_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from audit.config import Settings
    from audit.identity import Identity


class Initialised(NamedTuple):
    """A vault that lacks its first records, and what somebody should know of how it was made."""

    identity: Identity
    warnings: list[str]


def load_signer(layout: Layout, identity: Identity, keyring: Keyring, stream: str = "") -> Signer:
    """The signing key of a stream, by default the one that is written.

    Raises:
        KeyringError: It is missing or damaged.
        ConfigInvalid: It cannot be read.
    """
    stream = stream or identity.stream
    path = layout.signing_key(stream)
    try:
        wrapped = path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(f"{path} cannot be read ({error.strerror}); restore it from a key backup") from error
    private = unwrap_signing_key(keyring, stream, wrapped)
    return Signer(identity.origin_of(stream), Ed25519PrivateKey.from_private_bytes(private))


def ensure_signing_key(layout: Layout, identity: Identity, keyring: Keyring) -> None:
    """Make the signing key of the stream that is written, and write its public half, unless they are there. Durable."""
    if not layout.signing_key(identity.stream).exists():
        private = Ed25519PrivateKey.generate().private_bytes_raw()
        durable.write_new(layout.signing_key(identity.stream), wrap_signing_key(keyring, identity.stream, private))
    vkey = load_signer(layout, identity, keyring).verifier.encode()
    durable.replace(layout.vkey(identity.stream), f"{vkey}\n".encode(), 0o644)


def prepare(root: Path, *, profile: str, site: str, node: str, anchor: str, environ: Mapping[str, str]) -> Initialised:
    """Make everything but the first records. Durable on return; can be repeated after a crash.

    Everything given is judged before anything is made; ``vault.json``, which makes the directory a vault, comes last.

    Args:
        root: The data directory: missing, empty, or what an ``init`` that was cut short left.
        profile: Crypto profile.
        site: Name of the site.
        node: Name of this writer.
        anchor: Anchor URL, empty for the default.
        environ: May name the first principal and the KEK.

    Returns:
        What was made; the caller opens the node and adds the first principal.

    Raises:
        AlreadyInitialised: The directory holds something else.
        ConfigInvalid: A name, the anchor or the first principal's keys cannot be used.
        KeyringError: The KEK cannot be used.
    """
    layout = Layout(root)
    wanted = new_identity(secrets.token_hex(8), site, node, profile, anchor)
    if anchor:
        require_outside(anchor, root)
    warnings = _judge_credentials(layout, environ)
    identity = _identity(layout, wanted, warnings)
    if holds_records(layout, identity):
        return Initialised(identity, warnings)
    if kek.VARIABLE in environ:
        kek_provider(layout, environ).load()
    if identity.anchor:
        made = make_anchor_directory(identity.anchor)
        if made is not None:
            warnings.append(f"the anchor's directory {made} did not exist and was made: is it mounted?")
    durable.make_dirs(root)
    for directory in layout.directories(identity.stream):
        durable.make_dirs(directory)
    keyring = _keyring(layout, environ)
    # A key that an earlier try made serves again: its public half, which names the vault, is written anew.
    ensure_signing_key(layout, identity, keyring)
    if not layout.identity.exists():
        save_identity(layout, identity)
    elif load_identity(layout) != identity:
        replace_identity(layout, identity)
    return Initialised(identity, warnings)


def require_room(root: Path, settings: Settings) -> None:
    """Refuse to make a vault where its first principal could not be recorded. Changes nothing.

    Args:
        root: The data directory, existing or not.
        settings: For the disk reserve, and the length of segments.

    Raises:
        ConfigInvalid: There is too little room; names the settings and the numbers.
    """
    place = next(folder for folder in (root, *root.parents) if folder.exists())
    free = free_bytes(place) >> 20
    reserve, segment = settings.disk.reserve_mib, settings.ledger.segment_mib
    needed = reserve + 2 * segment
    if free < needed:
        raise ConfigInvalid(
            f"{free} MiB are free at {place}, and {needed} are needed to begin with: a reserve of {reserve} "
            f"(disk.reserve_mib) and two segments of {segment} (ledger.segment_mib)"
        )


def _keyring(layout: Layout, environ: Mapping[str, str]) -> Keyring:
    """The keyring, made unless an earlier try made it; the KEK too, unless it is kept elsewhere. Durable."""
    if kek.VARIABLE not in environ and not layout.kek.exists():
        kek.write_new(layout.kek)
    if any((layout.keys / name).exists() for name in COPIES):
        return open_keyring(layout, environ)
    return Keyring.create(layout.keys, kek_provider(layout, environ))


def _judge_credentials(layout: Layout, environ: Mapping[str, str]) -> list[str]:
    """Refuse keys of a first principal that cannot be used, and warn of those that will not be."""
    first = first_of(layout.credentials, environ)
    if first is not None and environ.get(ACCESS_KEY) and first != (environ[ACCESS_KEY], environ[SECRET_KEY]):
        return [f"{ACCESS_KEY} and {SECRET_KEY} are ignored: {layout.credentials} was made before and holds other keys"]
    return []


def _identity(layout: Layout, wanted: Identity, warnings: list[str]) -> Identity:
    """Which vault it becomes: the one wanted, or the one that an ``init`` began to make here, with the wanted anchor.

    Raises:
        AlreadyInitialised: The directory holds something else.
        ConfigInvalid: What was begun has other names.
    """
    if not layout.identity.exists():
        if layout.root.exists() and not layout.keys.exists() and any(layout.root.iterdir()):
            raise AlreadyInitialised(f"{layout.root} is not empty and holds no vault; give an empty or a new directory")
        return wanted
    begun = load_identity(layout)
    if holds_records(layout, begun):
        if begun.anchor != wanted.anchor:
            warnings.append(f"the anchor stays {begun.anchor or layout.default_anchor}: set anchor.url to move it")
        return begun
    if (begun.stream, begun.profile) != (wanted.stream, wanted.profile):
        raise ConfigInvalid(
            f"an init of {begun.stream} was cut short in {layout.root}: give the same --site, --node and --profile, or "
            "another directory"
        )
    return replace(begun, anchor=wanted.anchor)


def holds_records(layout: Layout, identity: Identity) -> bool:
    """Whether more than keys and names may be there: a checkpoint that was published, or a principal's secret."""
    published = layout.stream(identity.stream) / "checkpoint"
    return published.exists() or (layout.secrets.exists() and any(layout.secrets.iterdir()))
