"""Which vault a directory is, and where everything in it stands (ARCHITECTURE, "The data directory")."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from audit.errors import ConfigInvalid, NotInitialised
from vault import durable

if TYPE_CHECKING:
    from pathlib import Path

#: Version of the directory's layout and of every format in it.
FORMAT: Final = 1
PROFILES: Final = ("standard",)
_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
_MAX_BYTES: Final = 4096


class Identity(msgspec.Struct, frozen=True, omit_defaults=True):
    """``vault.json``: written by ``init``, and anew by ``recover`` alone.

    ``anchor`` is empty for the default beside the directory; ``earlier`` names the streams that were taken over, oldest
    first.
    """

    format: int
    vault: str
    site: str
    node: str
    stream: str
    profile: str
    anchor: str
    earlier: tuple[str, ...] = ()

    @property
    def origin(self) -> str:
        """Origin of the log that is written, which is also its key's name."""
        return self.origin_of(self.stream)

    @property
    def streams(self) -> tuple[str, ...]:
        """All streams of the vault, oldest first; the last one is written."""
        return (*self.earlier, self.stream)

    def origin_of(self, stream: str) -> str:
        """Origin of the log of one of its streams."""
        return f"strongroom/{self.vault}/{stream}"


def new_identity(vault: str, site: str, node: str, profile: str, anchor: str) -> Identity:
    """Check the names a vault is made with.

    Raises:
        ConfigInvalid: One of them cannot be used.
    """
    for what, name in (("site", site), ("node", node)):
        if not _NAME.fullmatch(name):
            raise ConfigInvalid(f"{what} {name[:40]!r}: use 1 to 32 lowercase letters, digits and inner hyphens")
    if profile not in PROFILES:
        raise ConfigInvalid(f"profile {profile[:40]!r} is not available; available: {', '.join(PROFILES)}")
    return Identity(FORMAT, vault, site, node, f"{site}.{node}", profile, anchor)


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of a data directory."""

    root: Path

    @property
    def identity(self) -> Path:
        """``vault.json``."""
        return self.root / "vault.json"

    @property
    def credentials(self) -> Path:
        """The first principal, where ``init`` made it up."""
        return self.root / "root.credentials"

    @property
    def keys(self) -> Path:
        """KEK, keyring and signing keys."""
        return self.root / "keys"

    @property
    def kek(self) -> Path:
        """The KEK, where it is kept here."""
        return self.keys / "kek"

    @property
    def next_kek(self) -> Path:
        """The KEK that a rotation goes over to; there only while it does (``audit.keys.kek``)."""
        return self.keys / "kek.next"

    @property
    def unrecorded(self) -> Path:
        """What was done to the keys and no record tells yet (``audit.keys.unrecorded``)."""
        return self.keys / "unrecorded.json"

    @property
    def secrets(self) -> Path:
        """Principals' secrets."""
        return self.keys / "secrets"

    @property
    def views(self) -> Path:
        """All that can be rebuilt or is spare."""
        return self.root / "views"

    @property
    def spares(self) -> Path:
        """Spare commit segments."""
        return self.views / "spare"

    @property
    def cursors(self) -> Path:
        """Consumers' cursors."""
        return self.views / "cursors"

    @property
    def query(self) -> Path:
        """The Parquet view of records."""
        return self.views / "query"

    @property
    def productions(self) -> Path:
        """Productions that the audit port had begun and that are not kept yet."""
        return self.views / "productions"

    @property
    def index(self) -> Path:
        """The index's LMDB environment."""
        return self.views / "index"

    @property
    def lock(self) -> Path:
        """Held by the one writer."""
        return self.views / "lock"

    @property
    def socket(self) -> Path:
        """Where the running server takes the CLI's orders."""
        return self.views / "socket"

    @property
    def packs(self) -> Path:
        """Settled small bodies."""
        return self.root / "packs"

    @property
    def blobs(self) -> Path:
        """Large bodies."""
        return self.root / "blobs"

    @property
    def stage(self) -> Path:
        """Bodies being received."""
        return self.root / "stage"

    @property
    def default_anchor(self) -> Path:
        """The anchor of a vault that names none: beside the directory, not in it."""
        return self.root.with_name(self.root.name + ".anchor")

    def signing_key(self, stream: str) -> Path:
        """A stream's wrapped signing key."""
        return self.keys / f"{stream}.signing"

    def vkey(self, stream: str) -> Path:
        """A stream's public key."""
        return self.keys / f"{stream}.vkey"

    def stream(self, stream: str) -> Path:
        """A stream's directory: its log, tiles and checkpoint."""
        return self.root / "streams" / stream

    def directories(self, stream: str) -> list[Path]:
        """Every directory that must exist before a stream is opened."""
        base = self.stream(stream)
        below = [base / name for name in ("commit", "ledger", "quarantine")]
        return [
            self.secrets, self.spares, self.cursors, self.query, self.packs, self.blobs, self.stage, *below,
        ]  # fmt: skip


def load_identity(layout: Layout) -> Identity:
    """Read ``vault.json``.

    Raises:
        NotInitialised: It is not there.
        ConfigInvalid: It is not ours, or of another version.
    """
    try:
        with layout.identity.open("rb") as file:
            data = file.read(_MAX_BYTES)
    except FileNotFoundError as error:
        raise NotInitialised(
            f"{layout.root} holds no vault; make one with `strongroom init --data {layout.root}`"
        ) from error
    except OSError as error:
        raise ConfigInvalid(f"{layout.identity} cannot be read: {error.strerror}") from error
    try:
        identity = msgspec.json.decode(data, type=Identity)
    except msgspec.DecodeError as error:
        raise ConfigInvalid(f"{layout.identity} is damaged ({error}); restore it from backup") from error
    if identity.format != FORMAT:
        raise ConfigInvalid(f"{layout.identity} is of format {identity.format}; this software opens {FORMAT}")
    return identity


def save_identity(layout: Layout, identity: Identity) -> None:
    """Write ``vault.json``: from here on the directory is a vault. Durable on return."""
    durable.write_new(layout.identity, encoded(identity), 0o644)


def replace_identity(layout: Layout, identity: Identity) -> None:
    """Write ``vault.json`` anew: from here on another stream is written. Durable on return; a crash leaves either.

    Raises:
        DurabilityError: It could not be written.
    """
    durable.replace(layout.identity, encoded(identity), 0o644)


def encoded(identity: Identity) -> bytes:
    """What ``vault.json`` holds."""
    return msgspec.json.format(msgspec.json.encode(identity)) + b"\n"
