"""Header fields: collected, and refused where they ask for something we do not have.

Not handled here: what the headers of an upload or a read say (``vault.s3.upload``, ``vault.s3.conditions``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from vault.checksums import ALGORITHMS
from vault.errors import S3Error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: A header name, in lower case, with the values that ask for nothing special; None: any value.
Accepted = dict[str, frozenset[str] | None]

METADATA: Final = "x-amz-meta-"
_OURS: Final = ("x-amz-", "x-strongroom-")
#: They change what a write means, so a write that does not know them must not happen.
_PRECONDITIONS: Final = frozenset(
    {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "content-range"}
)
#: Parameters of a query-string signature; what else begins with ``x-amz-`` there is a header by other means.
SIGNATURE: Final = frozenset(
    {
        "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders",
        "X-Amz-Signature", "X-Amz-Content-Sha256",
    }
)  # fmt: skip
_SIGNS: Final = {name.lower(): name for name in SIGNATURE}
_ONE_MECHANISM: Final = "Only one auth mechanism allowed: what signs a request stands in its query or in its headers."
_CONTROL: Final = re.compile("[\x00-\x1f\x7f]")
#: A header's name (RFC 9110 §5.6.2), in lower case.
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+", re.ASCII)

COMMON: Final[Accepted] = {
    "x-amz-date": None,
    "x-amz-content-sha256": None,
    "x-amz-user-agent": None,
    "x-amz-request-payer": frozenset({"requester"}),
}
BODY: Final[Accepted] = COMMON | {
    "x-amz-decoded-content-length": None,
    "x-amz-trailer": None,
    "x-amz-sdk-checksum-algorithm": None,
    **{algorithm.header: None for algorithm in ALGORITHMS.values()},
}
#: Object data: MinIO's SDKs name the checksum's algorithm and type there too, as if they began an upload.
DATA: Final[Accepted] = BODY | {
    "x-amz-checksum-algorithm": None,
    "x-amz-checksum-type": frozenset({"FULL_OBJECT"}),
}
#: What a new object may ask for: the only storage class, access rule and server-side encryption there are.
OBJECT: Final[Accepted] = COMMON | {
    "x-amz-object-lock-mode": None,
    "x-amz-object-lock-retain-until-date": None,
    "x-amz-object-lock-legal-hold": None,
    "x-amz-storage-class": frozenset({"STANDARD"}),
    "x-amz-acl": frozenset({"private", "bucket-owner-full-control", ""}),
    "x-amz-server-side-encryption": frozenset({"AES256"}),
}
#: AWS SDK for Java 2 sends ``x-amz-te`` and an empty checksum with every GET; they mean nothing there.
READ: Final[Accepted] = COMMON | {
    "x-amz-checksum-mode": frozenset({"ENABLED", "DISABLED"}),
    "x-amz-te": frozenset({"append-md5"}),
    **{algorithm.header: None for algorithm in ALGORITHMS.values()},
}
BYPASS: Final[Accepted] = COMMON | {"x-amz-bypass-governance-retention": None}


def collect(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Header fields by name; repeated ones joined by a comma (RFC 9110 §5.3). Values are Latin-1, byte for byte."""
    fields: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name = raw_name.decode("latin-1")
        value = raw_value.decode("latin-1")
        fields[name] = f"{fields[name]},{value}" if name in fields else value
    return fields


def hoist(query: dict[str, str], fields: dict[str, str], raw: list[tuple[bytes, bytes]], *, presigned: bool) -> None:
    """Move ``x-amz-*`` parameters to where they belong: SDKs put headers of presigned requests into the query.

    Args:
        query: Loses them, and the parameters of the signature.
        fields: Gets them.
        raw: Gets them too.
        presigned: The query signs the request. Else nothing in it may look as if it did.

    Raises:
        S3Error: InvalidArgument where one stands in both places or could not have been a header.
    """
    for parameter in [name for name in query if name[:6].lower() == "x-amz-"]:
        value = query.pop(parameter)
        name = parameter.lower()
        if name in _SIGNS:
            if not presigned or parameter not in SIGNATURE or fields.get(name, value) != value:
                raise S3Error("InvalidArgument", _ONE_MECHANISM, ArgumentName=parameter[:64])
            continue
        if name in fields or _TOKEN.fullmatch(name) is None:
            raise S3Error("InvalidArgument", ArgumentName=parameter[:64])
        fields[name] = as_header(value, parameter)
        raw.append((name.encode(), fields[name].encode("latin-1")))


def check(fields: Mapping[str, str], accepted: Accepted, *, metadata: bool, write: bool) -> None:
    """Refuse what the operation does not know.

    Args:
        fields: All header fields.
        accepted: What the operation knows of S3's and our own headers.
        metadata: It takes ``x-amz-meta-*``.
        write: It changes something, so unknown preconditions matter too.

    Raises:
        S3Error: NotImplemented, naming the header.
    """
    for name, value in fields.items():
        if name.startswith(_OURS):
            if name in accepted:
                values = accepted[name]
                if values is None or value in values:
                    continue
            elif metadata and name.startswith(METADATA):
                continue
        elif not write or name not in _PRECONDITIONS or name in accepted:
            continue
        raise S3Error("NotImplemented", Header=name[:128])


def as_header(value: str, parameter: str) -> str:
    """A value from the query as a header carries it: UTF-8, byte for byte in Latin-1.

    Raises:
        S3Error: InvalidArgument where it has control characters and could not have been a header.
    """
    if _CONTROL.search(value):
        raise S3Error("InvalidArgument", ArgumentName=parameter[:64])
    return value.encode().decode("latin-1")
