"""Files that settings name: read whole, at once, and refused in words that name the setting.

Not handled here: what is in them.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from audit.errors import ConfigInvalid

#: One file, in bytes; the bundle of all public authorities is a quarter of it.
MAX_FILE_BYTES: Final = 1024 * 1024


def read_setting_file(setting: str, file: str, *, secret: bool = False) -> bytes:
    """Read a file.

    Args:
        setting: Setting and file, as messages begin.
        file: Where it is.
        secret: Whether other users may not be able to read it.

    Raises:
        ConfigInvalid: It cannot be read, is too large, or is a secret that others can read.
    """
    try:
        with open(file, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as opened:
            about = os.fstat(opened.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise ConfigInvalid(f"{setting} is no regular file")
            data = opened.read(MAX_FILE_BYTES + 1)
    except IsADirectoryError as error:
        raise ConfigInvalid(f"{setting} is a directory: name the file in it") from error
    except FileNotFoundError as error:
        raise ConfigInvalid(f"{setting} is missing") from error
    except PermissionError as error:
        raise ConfigInvalid(f"{setting} cannot be read by this user (user id {os.geteuid()})") from error
    except OSError as error:
        raise ConfigInvalid(f"{setting} cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise ConfigInvalid(f"{setting} is larger than {MAX_FILE_BYTES} bytes")
    # A secret manager mounts its files as root's, for a group that the server is in.
    theirs = stat.S_IRWXO | (stat.S_IWGRP if about.st_uid == 0 and os.geteuid() != 0 else stat.S_IRWXG)
    if secret and about.st_mode & theirs:
        raise ConfigInvalid(
            f"{setting} has mode {stat.S_IMODE(about.st_mode):04o}: others than this user can use the secret in it; "
            "chmod 600 it, and make a new one if somebody may have read it"
        )
    return data
