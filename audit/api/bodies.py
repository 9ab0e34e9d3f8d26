"""Bodies of requests that are JSON: bounded, read once it is known who sends them, and described for programs."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from audit.api.access import Asker
from audit.query.filter import QueryInvalid

#: Of a request's body, in bytes.
MAX_BODY: Final = 32 * 1024


async def _limited(request: Request, _: Asker) -> bytes:
    """The body, once it is known who sends it: a framework would read it first, whatever its length."""
    body = b""
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY:
                raise QueryInvalid(f"the body has more than {MAX_BODY} bytes")
    except ClientDisconnect as error:
        raise QueryInvalid("the body broke off") from error
    return body


Body = Annotated[bytes, Depends(_limited)]
_M = TypeVar("_M", bound=BaseModel)


def read(model: type[_M], body: bytes) -> _M:
    """What a body says.

    Raises:
        QueryInvalid: It is none; says where, and does not repeat what was sent.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "body"
        raise QueryInvalid(f"{where}: {first['msg']}") from error


def takes(model: type[BaseModel]) -> dict[str, object]:
    """The body as OpenAPI has it."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)  # the answers' models are the same, and stand there
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
