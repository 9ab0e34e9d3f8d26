"""Request target and host: which bucket, which key, which parameters (RFC 3986, S3 virtual hosting).

The path is taken as it was sent: decoded once, strictly, as UTF-8, and never normalised, so ``a/../b``, ``//`` and a
trailing slash are part of the key.

Not handled here: what the parameters mean (``vault.s3.routing``), and how long a key may be (``vault.service.limits``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from vault.errors import S3Error

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Parameters of one request, a count; an operation has at most a dozen, a presigned one seven more.
MAX_PARAMETERS: Final = 64
#: One value, bytes of UTF-8; the longest is a continuation token, the base64 of a key. Values stand in records.
MAX_VALUE_BYTES: Final = 2048

_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_ADDRESS: Final = re.compile(r"[0-9]+(\.[0-9]+){3}", re.ASCII)
#: S3's reserved beginnings and endings of bucket names.
_RESERVED_STARTS: Final = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_ENDS: Final = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


class Target(NamedTuple):
    """What a request is about: no bucket means the service, no key the bucket."""

    bucket: str
    key: str


def target(raw_path: bytes, host: str, domains: Sequence[str] = ()) -> Target:
    """Find bucket and key.

    Args:
        raw_path: The path as sent.
        host: The Host header.
        domains: Names whose direct subdomains are buckets (virtual-host style); others are path style.

    Returns:
        Both names, decoded and not yet judged.

    Raises:
        S3Error: InvalidURI where the path is not percent-encoded UTF-8.
    """
    path = raw_path[1:] if raw_path[:1] == b"/" else raw_path
    if domains:
        name = host.lower().rpartition(":")[0] if _has_port(host) else host.lower()
        for domain in domains:
            if name.endswith("." + domain):
                return Target(name[: -len(domain) - 1], decoded(path))
    bucket, _, key = path.partition(b"/")
    return Target(decoded(bucket), decoded(key))


def _has_port(host: str) -> bool:
    return host.rpartition(":")[2].isdigit()


def decoded(text: bytes) -> str:
    """Decode percent-encoded UTF-8 once.

    Raises:
        S3Error: InvalidURI.
    """
    if b"%" in text:
        if _BAD_ESCAPE.search(text):
            raise S3Error("InvalidURI")
        text = unquote_to_bytes(text)
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise S3Error("InvalidURI") from error


def parameters(query: bytes) -> dict[str, str]:
    """Read the query string; ``+`` is a space, a parameter without ``=`` is empty.

    Raises:
        S3Error: InvalidURI where it is not percent-encoded UTF-8; InvalidArgument for too many, one given twice, or
            one too long.
    """
    found: dict[str, str] = {}
    if not query:
        return found
    items = query.replace(b"+", b" ").split(b"&")
    if len(items) > MAX_PARAMETERS:
        raise S3Error("InvalidArgument", f"A request has at most {MAX_PARAMETERS} query parameters.")
    for item in items:
        if not item:
            continue
        raw, _, value = item.partition(b"=")
        name = decoded(raw)
        if name in found:
            raise S3Error("InvalidArgument", "A query parameter is given twice.", ArgumentName=name[:64])
        found[name] = decoded(value)
        if len(value) > MAX_VALUE_BYTES and len(found[name].encode()) > MAX_VALUE_BYTES:
            raise S3Error("InvalidArgument", "A query parameter is too long.", ArgumentName=name[:64])
    return found


def check_bucket(name: str) -> None:
    """S3's rules for the names of buckets; no other name can be one.

    Raises:
        S3Error: InvalidBucketName.
    """
    if (
        _BUCKET.fullmatch(name) is None
        or ".." in name
        or ".-" in name
        or "-." in name
        or _ADDRESS.fullmatch(name) is not None
    ):
        raise S3Error("InvalidBucketName", BucketName=name[:255])


def check_new_bucket(name: str) -> None:
    """S3's rules for the names of new buckets, of which some are reserved.

    Raises:
        S3Error: InvalidBucketName.
    """
    check_bucket(name)
    if name.startswith(_RESERVED_STARTS) or name.endswith(_RESERVED_ENDS):
        raise S3Error("InvalidBucketName", BucketName=name)
