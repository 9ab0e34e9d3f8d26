"""PUT of a tar whose members become objects: ``x-amz-meta-snowball-auto-extract: true``, of AWS Snowball and MinIO.

MinIO's further headers: ``…-minio-snowball-prefix`` begins all keys, ``…-minio-snowball-ignore-errors`` skips bad
members instead of refusing all, ``…-minio-snowball-ignore-dirs`` is what happens anyway (asking for objects of
directories is refused). Other ``x-amz-meta-*`` of the request are stored with each member; its type, encoding and the
like are the archive's own and are not. A member's extended header may have ``minio.metadata.NAME``, as ``minio-go``
writes it, for what a PUT of it alone would have in a header.

The answer names every member. Its status is 200 where all are stored, or errors were to be ignored; else it is an
error, that of the first member refused, with the same list in it: most clients look at nothing but the status, and must
not take an archive for stored of which a part is not.

Not handled here: the archive (``vault.archive``), what becomes of members (``vault.service.extraction``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from vault.archive.contents import checked_prefix
from vault.errors import S3Error
from vault.s3 import upload, xml
from vault.s3.headers import METADATA, as_header
from vault.s3.responses import Response
from vault.service.context import ExtractSpec
from vault.service.limits import MAX_PUT_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from vault.s3.request import Request
    from vault.service import Service
    from vault.service.results import Extracted

EXTRACT: Final = "x-amz-meta-snowball-auto-extract"
_PREFIX: Final = "x-amz-meta-minio-snowball-prefix"
_IGNORE_DIRS: Final = "x-amz-meta-minio-snowball-ignore-dirs"
_IGNORE_ERRORS: Final = "x-amz-meta-minio-snowball-ignore-errors"
_OURS: Final = frozenset({EXTRACT, _PREFIX, _IGNORE_DIRS, _IGNORE_ERRORS})
#: What a member's extended header may set beside user metadata.
_STORED: Final = frozenset(
    {"content-type", "content-encoding", "content-language", "content-disposition", "cache-control", "expires"}
)
_DIRECTORIES: Final = "Directories make no objects: leave the header out, or say true."
#: What a refused name may have and XML 1.0 cannot say.
_UNTELLABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
#: Results that one piece of the answer holds.
_PIECE: Final = 1000


def asked(fields: Mapping[str, str]) -> bool:
    """Whether the body is an archive whose members are to be stored."""
    return fields.get(EXTRACT, "").strip().lower() == "true"


async def put_archive(service: Service, request: Request) -> Response:
    """PUT of an archive: each member is decided, recorded and answered on its own."""
    fields, body = request.fields, request.body
    length = body.length(MAX_PUT_BYTES)
    checks = body.check()
    lock, hold = upload.checked_lock(fields, claimed=checks.claimed)
    if_none_match, if_match = upload.preconditions(fields)
    if if_match:
        raise S3Error("NotImplemented", "The members of an archive have no one ETag to match.", Header="If-Match")
    if not _flag(fields, _IGNORE_DIRS, default="true"):
        raise S3Error("NotImplemented", _DIRECTORIES, Header=_IGNORE_DIRS)
    tolerant = _flag(fields, _IGNORE_ERRORS, default="false")
    spec = ExtractSpec(
        bucket=request.bucket,
        key=request.key,
        length=length,
        checks=checks,
        described=described_by(fields),
        prefix=checked_prefix(_text(fields.get(_PREFIX, ""))),
        lock=lock,
        hold=hold,
        if_none_match=if_none_match,
        tolerant=tolerant,
        needs_md5=checks.needs_md5,
    )
    results = await service.extraction.put(request.caller, spec, body.pieces())
    return _answer(results, request, tolerant=tolerant)


def _flag(fields: Mapping[str, str], name: str, *, default: str) -> bool:
    value = fields.get(name, default).strip().lower()
    if value not in {"true", "false"}:
        raise S3Error("InvalidArgument", ArgumentName=name, ArgumentValue=value[:64])
    return value == "true"


def _text(value: str) -> str:
    """A header's value as UTF-8."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeDecodeError as error:
        raise S3Error("InvalidArgument", "The prefix is not UTF-8", ArgumentName=_PREFIX) from error


def described_by(fields: Mapping[str, str]) -> Callable[[Mapping[str, str]], tuple[dict[str, str], dict[str, str]]]:
    """What describes members that come under these header fields (:class:`vault.service.context.ExtractSpec`)."""
    common = {name: value for name, value in fields.items() if name.startswith(METADATA) and name not in _OURS}

    def described(own: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        said = dict(common)
        for name, value in own.items():
            if name in _OURS or not (name in _STORED or (name.startswith(METADATA) and len(name) > len(METADATA))):
                message = f"A member's metadata has {name[:128]}, which is not implemented there"
                raise S3Error("NotImplemented", message, reason="archive_metadata", Header=name[:128])
            said[as_header(name, name)] = as_header(value, name)
        return upload.stored_headers(said), upload.metadata(said)

    return described


def _answer(results: Sequence[Extracted], request: Request, *, tolerant: bool) -> Response:
    """What became of every member; an error where one is not stored that had to be."""
    refused = [result.error for result in results if result.error is not None]
    told = ["".join(map(_result, results[start : start + _PIECE])).encode() for start in range(0, len(results), _PIECE)]
    if not refused or tolerant:
        status = 200
        head, _, tail = xml.document("ExtractResult", "\0").partition(b"\0")
    else:
        first = refused[0]
        status = first.http_status
        message = f"{len(refused)} of {len(results)} members are not stored; the first: {first.message}"
        resource, request_id = request.caller.http.partition(" ")[2], request.caller.origin.request_id
        whole = xml.error_document(first.s3_code, message, {}, resource, request_id)
        before, name, after = whole.partition(b"<Resource>")
        head, tail = before + b"<ExtractResult>", b"</ExtractResult>" + name + after
    headers = [(b"content-type", xml.CONTENT_TYPE.encode())]
    if len(told) == 1:
        return Response("", status, headers, b"".join((head, *told, tail)))
    length = len(head) + sum(map(len, told)) + len(tail)
    return Response("", status, headers, head, _rest([*told, tail]), length)


async def _rest(pieces: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        yield piece


def _result(result: Extracted) -> str:
    """What became of one member."""
    key, size, version_id, etag, record, error = result
    if error is None:
        version = f"<VersionId>{version_id}</VersionId>" if version_id else ""
        return (
            f"<Extracted>{xml.tag('Key', key)}{version}<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size>"
            f"<Record>{record}</Record></Extracted>"
        )
    key = _UNTELLABLE.sub("\ufffd", key)
    told = xml.tag("Record", record) if record else ""
    code, message = xml.tag("Code", error.s3_code), xml.tag("Message", error.message)
    return f"<Error>{xml.tag('Key', key)}{code}{message}{told}</Error>"
