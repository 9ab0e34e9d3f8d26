"""Access keys and secrets: what they may be, how they are made up, and where the first principal's come from.

The first principal's are, in this order: those of ``root.credentials``, where an ``init`` made that file; those of the
environment; or made up, into that file.

Not handled here: principals (``audit.principals``), and secrets at rest (``vault.crypto.secrets``).
"""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Final, NamedTuple

from audit.errors import ConfigInvalid
from vault import durable
from vault.crypto.secrets import MAX_SECRET_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ACCESS_KEY: Final = "STRONGROOM_ROOT_ACCESS_KEY"
SECRET_KEY: Final = "STRONGROOM_ROOT_SECRET_KEY"  # noqa: S105 - a variable's name
#: Of a secret, in bytes.
MIN_SECRET_BYTES: Final = 8
#: What an access key may be, in words.
ACCESS_KEY_FORM: Final = "3 to 128 ASCII letters and digits"
#: What a secret may be, in words.
SECRET_FORM: Final = f"{MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes of printable characters, on one line"
#: ``root.credentials``, in bytes.
_MAX_FILE_BYTES: Final = 4096


class Credentials(NamedTuple):
    """What somebody signs with. Never shown as a whole."""

    access_key: str
    secret: str


def new_access_key() -> str:
    """An access key in the usual form: 20 characters."""
    return "SR" + base64.b32encode(secrets.token_bytes(12)).decode().rstrip("=")[:18]


def new_secret() -> str:
    """A secret in the usual form: 40 characters."""
    return secrets.token_urlsafe(30)


def is_access_key(text: str) -> bool:
    """Whether it is of :data:`ACCESS_KEY_FORM`."""
    return 3 <= len(text) <= 128 and text.isascii() and text.isalnum()


def is_secret(text: str) -> bool:
    """Whether it is of :data:`SECRET_FORM`; bytes that are no UTF-8, which the environment may hold, are not."""
    return text.isprintable() and MIN_SECRET_BYTES <= len(text.encode(errors="replace")) <= MAX_SECRET_BYTES


def first_of(file: Path, environ: Mapping[str, str]) -> Credentials | None:
    """The first principal's credentials, where somebody has named them. Changes nothing.

    Args:
        file: ``root.credentials``, which wins where it exists: an ``init`` that was cut short has shown it to somebody.
        environ: Holds :data:`ACCESS_KEY` and :data:`SECRET_KEY`, or neither.

    Returns:
        None where they are to be made up.

    Raises:
        ConfigInvalid: They cannot be used; the message names the variable and never its value.
    """
    given = environ.get(ACCESS_KEY), environ.get(SECRET_KEY)
    if any(given) and not all(given):
        raise ConfigInvalid(f"set both {ACCESS_KEY} and {SECRET_KEY}, or neither")
    access_key, secret = given
    if access_key and not is_access_key(access_key):
        raise ConfigInvalid(f"{ACCESS_KEY} must be {ACCESS_KEY_FORM}")
    if secret and not is_secret(secret):
        raise ConfigInvalid(f"{SECRET_KEY} must be {SECRET_FORM}")
    if file.exists():
        return read_credentials(file)
    return Credentials(access_key, secret) if access_key and secret else None


def make_up(file: Path) -> Credentials:
    """Make credentials up and keep them in a file that did not exist (0600). Durable on return."""
    made = Credentials(new_access_key(), new_secret())
    durable.write_new(file, f"access_key = {made.access_key}\nsecret_key = {made.secret}\n".encode())
    return made


def read_credentials(path: Path) -> Credentials:
    """Read ``root.credentials``.

    Raises:
        ConfigInvalid: It is not what ``init`` writes.
    """
    try:
        with path.open("rb") as file:
            lines = dict(line.split(" = ", 1) for line in file.read(_MAX_FILE_BYTES).decode().splitlines())
        found = Credentials(lines["access_key"], lines["secret_key"])
        if not (is_access_key(found.access_key) and is_secret(found.secret)):
            raise ValueError("not what may be an access key and a secret")
    except (OSError, ValueError, KeyError) as error:
        raise ConfigInvalid(f"{path} is not the credentials file that init writes") from error
    return found
