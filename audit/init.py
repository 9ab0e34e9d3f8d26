"""Making a vault: keys, identity, first principal. A crash leaves something that the same command completes."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.errors import AlreadyInitialised, ConfigInvalid
from audit.identity import Layout, load_identity, new_identity, save_identity
from audit.note import Signer
from vault import durable
from vault.crypto import kek
from vault.crypto.keyring import COPIES, Keyring
from vault.crypto.secrets import unwrap_signing_key, wrap_signing_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from audit.identity import Identity
    from vault.crypto.kek import KekProvider

ACCESS_KEY: Final = "STRONGROOM_ROOT_ACCESS_KEY"
SECRET_KEY: Final = "STRONGROOM_ROOT_SECRET_KEY"  # noqa: S105 - a variable's name
_MIN_SECRET: Final = 8


@dataclass(frozen=True, slots=True)
class Initialised:
    """A new vault. ``credentials_file`` is set where the first principal was made up here."""

    identity: Identity
    access_key: str
    credentials_file: Path | None


def kek_provider(layout: Layout, environ: Mapping[str, str]) -> KekProvider:
    """Where this vault's KEK is: the environment where it is set there, else ``keys/kek``."""
    if kek.VARIABLE in environ:
        return kek.EnvironmentKek(environ)
    return kek.FileKek(layout.keys / "kek")


def new_access_key() -> str:
    """An access key in the usual form: 20 characters."""
    return "SR" + base64.b32encode(secrets.token_bytes(12)).decode().rstrip("=")[:18]


def new_secret() -> str:
    """A secret in the usual form: 40 characters."""
    return secrets.token_urlsafe(30)


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
        raise ConfigInvalid(f"{path} cannot be read ({error.strerror}); restore it from backup") from error
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
        AlreadyInitialised: The directory holds something else, or a finished vault of another identity.
        ConfigInvalid: A name cannot be used.
    """
    layout = Layout(root)
    identity = new_identity(secrets.token_hex(8), site, node, profile, anchor)
    if layout.identity.exists():
        identity = load_identity(layout)
    elif root.exists() and not layout.keys.exists() and any(root.iterdir()):
        raise AlreadyInitialised(f"{root} is not empty and holds no vault; give an empty or a new directory")
    durable.make_dirs(root)
    for directory in layout.directories(identity.stream):
        durable.make_dirs(directory)
    finished = layout.vkey(identity.stream).exists() and not layout.credentials.exists()
    access_key, credentials_file = _first_principal(layout, environ, finished=finished)
    if kek.VARIABLE not in environ and not (layout.keys / "kek").exists():
        kek.write_new(layout.keys / "kek")
    provider = kek_provider(layout, environ)
    if any((layout.keys / name).exists() for name in COPIES):
        keyring = Keyring.open(layout.keys, provider)
    else:
        keyring = Keyring.create(layout.keys, provider)
    # The identity goes before the signing key, because the key's name holds the vault's id.
    if not layout.identity.exists():
        save_identity(layout, identity)
    ensure_signing_key(layout, identity, keyring)
    return Initialised(identity, access_key, credentials_file)


def _first_principal(layout: Layout, environ: Mapping[str, str], *, finished: bool) -> tuple[str, Path | None]:
    """Access key of the first principal, and the file it stands in where it was made up; none for a finished vault."""
    given = environ.get(ACCESS_KEY), environ.get(SECRET_KEY)
    if all(given):
        access_key, secret = str(given[0]), str(given[1])
        if not 3 <= len(access_key) <= 128 or not access_key.isalnum() or len(secret) < _MIN_SECRET:
            raise ConfigInvalid(
                f"{ACCESS_KEY} must be 3 to 128 letters and digits, {SECRET_KEY} at least {_MIN_SECRET} characters"
            )
        return access_key, None
    if any(given):
        raise ConfigInvalid(f"set both {ACCESS_KEY} and {SECRET_KEY}, or neither")
    if finished:
        return "", None
    if not layout.credentials.exists():
        durable.write_new(
            layout.credentials, f"access_key = {new_access_key()}\nsecret_key = {new_secret()}\n".encode()
        )
    return read_credentials(layout.credentials)[0], layout.credentials


def read_credentials(path: Path) -> tuple[str, str]:
    """Read ``root.credentials``.

    Raises:
        ConfigInvalid: It is not what ``init`` writes.
    """
    try:
        lines = dict(line.split(" = ", 1) for line in path.read_text().splitlines())
        return lines["access_key"], lines["secret_key"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigInvalid(f"{path} is not the credentials file that init writes") from error
