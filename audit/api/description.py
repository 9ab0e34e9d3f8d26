"""``/openapi.json``: what each route says of itself, completed by what holds for all of them.

Routes name the problems that are theirs alone (:func:`problems`), and what they return where that is no model. Added
here, from how the application answers (``audit.api.problems``, ``audit.api.requests``): 400 where anything is read out
of a request (FastAPI would say 422, which is not what it is answered with), 401, 403 and 429 where a token is needed,
500 and 503 everywhere, and the headers of each.

Not handled here: whether it is true. ``tests/strangers/test_openapi.py`` has a program of others hold the port to it.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Final

import msgspec
from fastapi import FastAPI, Path

from audit.api.problems import MEDIA_TYPE

_STRING: Final = {"type": "string"}
#: RFC 9457, as a schema; a kind of problem may have members of its own beside these.
PROBLEM: Final[dict[str, object]] = {
    "type": "object",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": _STRING,
        "status": {"type": "integer"},
        "detail": _STRING,
        "instance": {"type": "string", "format": "uri"},
    },
}
PROBLEM_REF: Final = {"$ref": "#/components/schemas/Problem"}
_HEADERS: Final[dict[str, dict[str, object]]] = {
    "X-Request-Id": {
        "description": "This answer's own; a problem's `instance` ends in it.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9A-F]{16}$"},
    },
    "Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer", "minimum": 1}},
    "WWW-Authenticate": {"required": True, "schema": {"type": "string", "pattern": "^Bearer "}},
}
_WITH_TOKEN: Final = (401, 403, 429)
_ALWAYS: Final = (500, 503)
#: Headers of an answer beside the request's id.
_MORE_HEADERS: Final = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}

Responses = dict[int | str, dict[str, Any]]
#: Largest number of a record: a position and a seq fit in 64 bits.
MAX_SEQ: Final = 2**63 - 1
#: A stream's name in a path.
StreamName = Annotated[str, Path(description="Stream; `/v1/log` lists them.", examples=["site-a.node-1"])]


def problems(*statuses: int) -> Responses:
    """Problems that a route answers with beside those that every route of its kind has."""
    return {status: {"description": HTTPStatus(status).phrase} for status in statuses}


def bytes_of(media_type: str, schema: dict[str, Any] | None = None) -> Responses:
    """A success that is bytes of a media type, and no model of FastAPI's.

    Args:
        media_type: As it is answered.
        schema: Of what is in it, where that is JSON.
    """
    content = {"schema": schema or {"type": "string", "format": "binary"}}
    return {200: {"description": HTTPStatus.OK.phrase, "content": {media_type: content}}}


def struct_of(kind: type) -> Responses:
    """A success that is a msgspec struct, as JSON."""
    (ref,), parts = msgspec.json.schema_components([kind], ref_template="#/components/schemas/{name}")
    return bytes_of("application/json", {**ref, "$defs": parts})


class Described(FastAPI):
    """An application whose description is complete."""

    def openapi(self) -> dict[str, Any]:
        """Return the description, made once."""
        described = super().openapi()  # the same object each time
        if "Problem" not in described.get("components", {}).get("schemas", {}):
            _complete(described)
        return described


def _complete(described: dict[str, Any]) -> None:
    parts = described.setdefault("components", {})
    schemas = parts.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):  # FastAPI's own form, which no answer has
        schemas.pop(unused, None)
    schemas["Problem"] = PROBLEM
    parts["headers"] = _HEADERS
    for path in described["paths"].values():
        for operation in path.values():
            _complete_operation(operation)
            for response in operation["responses"].values():
                for media in response.get("content", {}).values():
                    schemas |= media["schema"].pop("$defs", {})  # where all others stand too


def _complete_operation(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    read = "parameters" in operation or "requestBody" in operation
    also = (400,) * read + _WITH_TOKEN * ("security" in operation) + _ALWAYS
    for status, answer in problems(*also).items():
        responses.setdefault(str(status), answer)
    for status, response in responses.items():
        if status >= "400":
            response.setdefault("content", {MEDIA_TYPE: {"schema": PROBLEM_REF}})
        headers = response.setdefault("headers", {})
        for name in ("X-Request-Id", *filter(None, (_MORE_HEADERS.get(status),))):
            headers[name] = {"$ref": f"#/components/headers/{name}"}
    operation["responses"] = dict(sorted(responses.items()))
