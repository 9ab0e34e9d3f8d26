"""A request that was signed and understood: what handlers work with, and how the record describes it.

Not handled here: verifying the signature (``vault.s3.sigv4``), choosing the handler (``vault.s3.routing``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote_to_bytes

from vault.errors import S3Error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vault.s3.body import Body
    from vault.service.context import Caller

#: What a record says of method and target, bytes.
MAX_HTTP_BYTES: Final = 1024
#: What the record of a refusal says of a name that is too long, characters.
MAX_NAME: Final = 1024


@dataclass(slots=True)
class Request:
    """One request.

    Attributes:
        caller: Who asks.
        bucket: Its bucket; empty where it is about the service.
        key: Its key; empty where it is about the bucket.
        query: Parameters, decoded, without those of the signature.
        fields: Header fields.
        raw: The same as sent, names in lower case.
        body: Not read yet.
        region: What this vault calls its region.
    """

    caller: Caller
    bucket: str
    key: str
    query: dict[str, str]
    fields: dict[str, str]
    raw: Sequence[tuple[bytes, bytes]]
    body: Body
    region: str

    @property
    def version_id(self) -> str:
        """The version named; empty for the current one.

        Raises:
            S3Error: InvalidArgument for an empty one.
        """
        found = self.query.get("versionId")
        if found == "":
            raise S3Error("InvalidArgument", "Version id cannot be the empty string", ArgumentName="versionId")
        return found or ""

    def number(self, name: str, default: str, low: int, high: int, message: str) -> int:
        """A number in the query; the default, too, must be in its range.

        Raises:
            S3Error: InvalidArgument with ``message``.
        """
        text = self.query.get(name, default)
        value = int(text) if text.isascii() and text.isdigit() and len(text) < 11 else -1
        if not low <= value <= high:
            raise S3Error("InvalidArgument", message, ArgumentName=name, ArgumentValue=text[:64])
        return value


def _signs(item: bytes) -> bool:
    """Whether a parameter of the query, whatever way its name is written, may be part of a signature."""
    return unquote_to_bytes(item.partition(b"=")[0]).lower().startswith(b"x-amz-")


def described(method: str, raw_path: bytes, query: bytes) -> str:
    """Method and target for the record, without what signs the request and without headers moved to the query."""
    target = raw_path
    if query:
        kept = [item for item in query.split(b"&") if not _signs(item)]
        if kept:
            target = b"%b?%b" % (raw_path, b"&".join(kept))
    return f"{method} {target.decode('ascii', 'backslashreplace')}"[:MAX_HTTP_BYTES]
