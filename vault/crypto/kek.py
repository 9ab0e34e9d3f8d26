"""The key-encryption key (KEK): 32 bytes that unlock everything else and never leave memory.

Both providers here take the same text, base64 of the 32 bytes, so that moving the key from the file into a secret
manager is a copy.

Not handled here: what the KEK wraps (``vault.crypto.keyring``).
"""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import stat
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol

from vault import durable
from vault.errors import KeyringError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEK_BYTES: Final = 32
#: Of the environment provider.
VARIABLE: Final = "STRONGROOM_KEK"
#: A KEK file, in bytes: base64 of 32 bytes, with room for line ends.
_MAX_FILE_BYTES: Final = 64


class KekProvider(Protocol):
    """Where the KEK comes from.

    Asked once at start and once for each rotation. Thread-safe; may block.
    """

    def load(self) -> bytes:
        """Return the KEK, :data:`KEK_BYTES` long.

        Raises:
            KeyringError: There is none, or it is kept badly; says what to do.
        """


def kek_id(kek: bytes) -> str:
    """Name a KEK without telling anything about it: eight hex characters, kept in the clear beside what it wraps."""
    return sha256(b"strongroom kek id" + kek).hexdigest()[:8]


def write_new(path: Path) -> None:
    """Make a random KEK in a file that did not exist (0600), durable on return.

    Raises:
        NameTaken: There is one already; it was not touched.
        DurabilityError: It could not be written.
    """
    durable.write_new(path, encode(secrets.token_bytes(KEK_BYTES)))


def encode(kek: bytes) -> bytes:
    """A KEK as the text that every provider takes: one line of base64."""
    return base64.b64encode(kek) + b"\n"


class GivenKek:
    """A KEK that is at hand already. Its ``repr`` hides it.

    Args:
        kek: :data:`KEK_BYTES` long.
    """

    def __init__(self, kek: bytes) -> None:
        self._kek = kek

    def load(self) -> bytes:
        """Hand it out (:meth:`KekProvider.load`)."""
        return self._kek


class FileKek:
    """A KEK in a file that only its owner can read.

    Args:
        path: Regular file, not a symbolic link.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> bytes:
        """Read the file (:meth:`KekProvider.load`)."""
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(fd, "rb") as file:
                state = os.fstat(fd)
                if not stat.S_ISREG(state.st_mode):
                    raise KeyringError(f"{self._path} is no regular file; put the key-encryption key there")
                if state.st_mode & 0o077:
                    mode = stat.S_IMODE(state.st_mode)
                    raise KeyringError(f"{self._path} can be read by others (mode {mode:04o}); run chmod 600 on it")
                text = file.read(_MAX_FILE_BYTES + 1)
        except OSError as error:
            raise KeyringError(f"{self._path} cannot be read ({error.strerror}); restore a key backup") from error
        return decode(text, str(self._path))


class EnvironmentKek:
    """A KEK in the environment variable :data:`VARIABLE`.

    Args:
        environ: Usually ``os.environ``.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def load(self) -> bytes:
        """Read the variable (:meth:`KekProvider.load`)."""
        text = self._environ.get(VARIABLE)
        if text is None:
            raise KeyringError(f"{VARIABLE} is not set; it must hold base64 of the {KEK_BYTES}-byte key-encryption key")
        return decode(text.encode(errors="replace"), VARIABLE)


def decode(text: bytes, place: str) -> bytes:
    """Read a KEK's text.

    Args:
        text: Base64, with space around it or not.
        place: Where it is from, for the message.

    Raises:
        KeyringError: It is no KEK; the message does not repeat it.
    """
    try:
        kek = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        kek = b""
    if len(kek) != KEK_BYTES:  # raised without the cause, whose message may quote the key
        raise KeyringError(f"{place} does not hold base64 of {KEK_BYTES} bytes; put the key-encryption key there")
    return kek
