"""Which anchor an ``anchor.url`` means."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from audit.address import Address
from audit.anchor.file import FileAnchor
from audit.anchor.s3 import S3Anchor
from audit.anchor.s3_request import S3Client, S3Place
from audit.errors import ConfigInvalid

if TYPE_CHECKING:
    from audit.anchor import Anchor
    from audit.config import AnchorSection

_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX: Final = re.compile(r"(?:[A-Za-z0-9._-]{1,255}/){0,16}")
_REGION: Final = re.compile(r"[a-z0-9-]{1,64}")
_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}|[0-9A-Fa-f:.]{2,45}")
_FORMS: Final = "file:///absolute/path, a path, or s3://BUCKET/PREFIX?endpoint=https://HOST&region=REGION"


class _Parts(NamedTuple):
    """An endpoint, read."""

    host: str
    port: int
    tls: bool


def open_anchor(url: str, section: AnchorSection) -> Anchor:
    """Return the anchor at ``url``; nothing is reached or made before its first use.

    Args:
        url: ``file:///absolute/path``, a plain path, or ``s3://bucket/prefix?endpoint=…&region=…``.
        section: Files that an anchor on S3 needs beside its URL.

    Raises:
        ConfigInvalid: Another form, or a file that cannot be used.
    """
    place = s3_place(url)
    if place is None:
        return FileAnchor(anchor_directory(url))
    return S3Anchor(S3Client(place, section.credentials_file, section.ca_file))


def anchor_directory(url: str) -> Path:
    """Return the directory that an anchor of this URL is.

    Args:
        url: As for :func:`open_anchor`, but of a file anchor.

    Raises:
        ConfigInvalid: Another form.
    """
    if url and "://" not in url:
        return Path(url)
    parts = _split(url)
    if (parts.scheme, parts.netloc, parts.query, parts.fragment) != ("file", "", "", "") or parts.path in ("", "/"):
        raise _unsupported(url)
    return Path(unquote(parts.path))


def s3_place(url: str) -> S3Place | None:
    """Where an anchor on S3 is; None of a URL or path that names no S3.

    Raises:
        ConfigInvalid: It names S3, and not as it must. The message repeats nothing that may be a secret.
    """
    if not url.startswith("s3://"):
        return None
    parts = _split(url)
    prefix = parts.path.strip("/") + "/" if parts.path.strip("/") else ""
    if "@" in parts.netloc:
        raise ConfigInvalid("anchor.url holds credentials: they belong in the environment or in a file")
    if not _BUCKET.fullmatch(parts.netloc):
        raise ConfigInvalid("anchor.url: s3:// is followed by no bucket's name (3 to 63 of a-z, 0-9, hyphen and dot)")
    if not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/")) or parts.fragment:
        raise ConfigInvalid("anchor.url: the prefix in the bucket is made of letters, digits, '.', '_', '-' and '/'")
    try:
        pairs = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query), max_num_fields=8)
    except ValueError as error:
        raise ConfigInvalid(f"anchor.url: what follows ? cannot be read; it has the form {_FORMS}") from error
    given = dict(pairs)
    if len(given) != len(pairs) or given.keys() - {"endpoint", "region"}:
        raise ConfigInvalid("anchor.url: after ? stand endpoint and region, each once, and nothing else")
    if "region" not in given and "endpoint" not in given:
        raise ConfigInvalid("anchor.url: name the bucket's region (?region=…), or the endpoint of another S3 server")
    region = given.get("region", "us-east-1")
    if not _REGION.fullmatch(region):
        raise ConfigInvalid("anchor.url: region is made of a-z, 0-9 and hyphen")
    endpoint = _endpoint(given.get("endpoint", f"https://s3.{region}.amazonaws.com"))
    return S3Place(parts.netloc, prefix, region, *endpoint)


def _endpoint(url: str) -> _Parts:
    parts = _split(url)
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise ConfigInvalid("anchor.url: endpoint has no such port") from error
    rest = (parts.path.strip("/"), parts.query, parts.fragment, parts.username, parts.password)
    if parts.scheme not in {"https", "http"} or any(rest) or not _HOST.fullmatch(host):
        raise ConfigInvalid("anchor.url: endpoint is https://HOST or https://HOST:PORT and nothing more")
    tls = parts.scheme == "https"
    port = port if port is not None else 443 if tls else 80
    if not tls and not Address(host, port).loopback:
        raise ConfigInvalid("anchor.url: endpoint is reached from beyond this machine: plaintext is refused, use https")
    return _Parts(host, port, tls)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise _unsupported(url) from error


def _unsupported(url: str) -> ConfigInvalid:
    scheme = url.partition("://")[0]  # the rest may hold a password
    return ConfigInvalid(f"anchor.url of the form {scheme[:40]!r} is not supported: give {_FORMS}")
