"""Which operation a request is: method, what the path names, and at most one sub-resource, looked up in one table.

An operation lists the query parameters and ``x-amz-*`` headers it knows. Any other is refused and named: S3 has many
that would change what is done, and leaving one out would do something else than was asked for. S3 itself ignores
parameters that begin with ``x-`` but not ``x-amz-`` (custom information for its access logs); SDKs send ``x-id``.

Not handled here: what the operations do (``vault.s3.buckets`` and its neighbours).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vault.errors import S3Error
from vault.s3 import buckets, listing, locks, multipart, objects
from vault.s3 import headers as known

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from vault.s3.headers import Accepted
    from vault.s3.request import Request
    from vault.s3.responses import Response
    from vault.s3.target import Target
    from vault.service import Service

    Handler = Callable[[Service, Request], Awaitable[Response]]

_METHODS: Final = ("GET", "HEAD", "PUT", "POST", "DELETE")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of S3.

    Attributes:
        op: Its name in records.
        handle: Does it.
        parameters: Query parameters it knows.
        headers: ``x-amz-*`` and precondition headers it knows, with the values it knows.
        metadata: It takes ``x-amz-meta-*``.
        write: It changes something.
    """

    op: str
    handle: Handler
    parameters: frozenset[str]
    headers: Accepted
    metadata: bool = False
    write: bool = False

    @property
    def body(self) -> bool:
        """Whether it reads a body: then it knows the headers that go with one."""
        return known.BODY.keys() <= self.headers.keys()


def _read(op: str, handle: Handler, *parameters: str, headers: Accepted = known.COMMON) -> Operation:
    return Operation(op, handle, frozenset(parameters), headers)


def _write(
    op: str, handle: Handler, *parameters: str, headers: Accepted = known.COMMON, metadata: bool = False
) -> Operation:
    return Operation(op, handle, frozenset(parameters), headers, metadata, write=True)


_CONDITIONAL: Final[Accepted] = {"if-match": None, "if-none-match": None}
_CREATE: Final[Accepted] = known.BODY | {
    "x-amz-acl": frozenset({"private"}),
    "x-amz-object-ownership": frozenset({"BucketOwnerEnforced"}),
    "x-amz-bucket-object-lock-enabled": None,
    "x-strongroom-bucket-strict": None,
}
_LOCK: Final[Accepted] = known.BODY | {"x-amz-bucket-object-lock-token": None}  # none is needed here
_PUT: Final = known.OBJECT | known.DATA | _CONDITIONAL
_BEGIN: Final[Accepted] = known.OBJECT | {"x-amz-checksum-algorithm": None, "x-amz-checksum-type": None}
_COMPLETE: Final[Accepted] = known.BODY | _CONDITIONAL | {"x-amz-checksum-type": None, "x-amz-mp-object-size": None}
_LISTED: Final = ("prefix", "delimiter", "max-keys", "encoding-type")
_SEEN: Final = ("versionId", "partNumber", *objects.OVERRIDES)

#: (method, what the path names, sub-resource) -> operation.
_ROUTES: Final[Mapping[tuple[str, str, str], Operation]] = {
    ("GET", "service", ""): _read(
        "bucket.list", buckets.list_buckets, "prefix", "max-buckets", "continuation-token", "bucket-region"
    ),
    ("PUT", "bucket", ""): _write("bucket.create", buckets.create_bucket, headers=_CREATE),
    ("HEAD", "bucket", ""): _read("bucket.head", buckets.head_bucket),
    ("DELETE", "bucket", ""): _write("bucket.delete", buckets.delete_bucket),
    ("GET", "bucket", "location"): _read("bucket.location", buckets.get_location),
    ("GET", "bucket", "versioning"): _read("bucket.versioning.get", buckets.get_versioning),
    ("PUT", "bucket", "versioning"): _write("bucket.versioning.put", buckets.put_versioning, headers=known.BODY),
    ("GET", "bucket", "object-lock"): _read("bucket.lock.get", buckets.get_lock),
    ("PUT", "bucket", "object-lock"): _write("bucket.lock.put", buckets.put_lock, headers=_LOCK),
    ("GET", "bucket", ""): _read("object.list", listing.list_objects, *_LISTED, "marker"),
    ("GET", "bucket", "list-type"): _read(
        "object.list", listing.list_objects_v2, *_LISTED, "continuation-token", "start-after", "fetch-owner"
    ),
    ("GET", "bucket", "versions"): _read(
        "object.versions", listing.list_versions, *_LISTED, "key-marker", "version-id-marker"
    ),
    ("POST", "bucket", "delete"): _write(
        "object.delete", objects.delete_objects, headers=known.BODY | known.BYPASS
    ),
    ("GET", "bucket", "uploads"): _read(
        "multipart.list", multipart.list_uploads, "prefix", "delimiter", "max-uploads", "encoding-type", "key-marker",
        "upload-id-marker",
    ),
    ("PUT", "key", ""): _write("object.put", objects.put_object, headers=_PUT, metadata=True),
    ("GET", "key", ""): _read("object.get", objects.get_object, *_SEEN, headers=known.READ),
    ("HEAD", "key", ""): _read("object.head", objects.head_object, *_SEEN, headers=known.READ),
    ("DELETE", "key", ""): _write("object.delete", objects.delete_object, "versionId", headers=known.BYPASS),
    ("GET", "key", "retention"): _read("object.retention.get", locks.get_retention, "versionId"),
    ("PUT", "key", "retention"): _write(
        "object.retention.put", locks.put_retention, "versionId", headers=known.BODY | known.BYPASS
    ),
    ("GET", "key", "legal-hold"): _read("object.hold.get", locks.get_hold, "versionId"),
    ("PUT", "key", "legal-hold"): _write("object.hold.put", locks.put_hold, "versionId", headers=known.BODY),
    ("POST", "key", "uploads"): _write("multipart.create", multipart.create_upload, headers=_BEGIN, metadata=True),
    ("PUT", "key", "uploadId"): _write("multipart.part", multipart.upload_part, "partNumber", headers=known.DATA),
    ("GET", "key", "uploadId"): _read("multipart.parts", multipart.list_parts, "max-parts", "part-number-marker"),
    ("POST", "key", "uploadId"): _write("multipart.complete", multipart.complete_upload, headers=_COMPLETE),
    ("DELETE", "key", "uploadId"): _write("multipart.abort", multipart.abort_upload),
}  # fmt: skip
_SELECTORS: Final = frozenset(selector for _, _, selector in _ROUTES if selector)


def route(method: str, target: Target, query: Mapping[str, str]) -> Operation:
    """Find the operation.

    Args:
        method: HTTP method as sent.
        target: What the path names.
        query: Parameters, without those of the signature and without headers moved there.

    Returns:
        The operation; all parameters are ones it knows.

    Raises:
        S3Error: MethodNotAllowed, NotImplemented, InvalidArgument for two sub-resources.
    """
    names = "key" if target.key else "bucket" if target.bucket else "service"
    if not query:
        operation = _ROUTES.get((method, names, ""))
        if operation is not None:
            return operation
    if method not in _METHODS:
        headers = {"allow": ", ".join(_METHODS)}
        raise S3Error("MethodNotAllowed", headers=headers, Method=method[:32], ResourceType=names.upper())
    selectors = sorted(_SELECTORS.intersection(query))
    if len(selectors) > 1:
        raise S3Error(
            "InvalidArgument",
            f"Conflicting query string parameters: {', '.join(selectors)}",
            ArgumentName="ResourceType",
            ArgumentValue=selectors[0],
        )
    selector = selectors[0] if selectors else None
    operation = _ROUTES.get((method, names, selector or ""))
    for name in query:
        if name != selector and not _logged_only(name) and (operation is None or name not in operation.parameters):
            raise _unknown_parameter(name)
    if operation is None:
        raise _unknown_parameter(selector) if selector else S3Error("NotImplemented", f"{method} is not implemented.")
    return operation


def _logged_only(name: str) -> bool:
    return name.startswith("x-") and not name.startswith("x-amz-")


def _unknown_parameter(name: str) -> S3Error:
    message = "A query parameter you provided implies functionality that is not implemented"
    return S3Error("NotImplemented", message, Parameter=name[:128])
