"""Which anchor an ``anchor.url`` means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from audit.anchor.file import FileAnchor
from audit.errors import ConfigInvalid

if TYPE_CHECKING:
    from audit.anchor import Anchor


def open_anchor(url: str) -> Anchor:
    """Return the anchor at ``url``; nothing is reached or made before its first use.

    Args:
        url: ``file:///absolute/path``, or a plain path.

    Raises:
        ConfigInvalid: Another form.
    """
    return FileAnchor(anchor_directory(url))


def anchor_directory(url: str) -> Path:
    """Return the directory that an anchor of this URL is.

    Args:
        url: As for :func:`open_anchor`.

    Raises:
        ConfigInvalid: Another form.
    """
    if url and "://" not in url:
        return Path(url)
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _unsupported(url) from error
    if (parts.scheme, parts.netloc, parts.query, parts.fragment) != ("file", "", "", "") or parts.path in ("", "/"):
        raise _unsupported(url)
    return Path(unquote(parts.path))


def _unsupported(url: str) -> ConfigInvalid:
    scheme = url.partition("://")[0]  # the rest may hold a password
    return ConfigInvalid(f"anchor.url of the form {scheme!r} is not supported: give file:///absolute/path or a path")
