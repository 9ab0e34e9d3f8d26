"""Errors on the wire: RFC 9457 problem details, made in this one place; handlers raise."""

from __future__ import annotations

import logging
import re
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Match

from audit.api.answers import NO_STORE
from audit.errors import AuditError
from audit.log_lines import request_id
from vault.errors import S3Error, VaultError

#: Followed by an error's code, it identifies the kind of problem (RFC 9457 §3.1.1).
TYPE: Final = "urn:strongroom:problem:"
#: Followed by the request's id, as in ``x-request-id``, it identifies what happened (RFC 9457 §3.1.5).
INSTANCE: Final = "urn:strongroom:request:"
MEDIA_TYPE: Final = "application/problem+json"
#: Seconds after which a retryable request may be sent again.
RETRY_AFTER_S: Final = 1
#: That any path here takes.
METHODS: Final = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")

_log: Final = logging.getLogger(__name__)
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class LogNotFound(AuditError):
    """No such stream, or it has published nothing."""

    code = "log-not-found"
    status = 404


class TileNotFound(AuditError):
    """The published tree has no such tile."""

    code = "tile-not-found"
    status = 404


class Unauthenticated(AuditError):
    """The request needs a bearer token."""

    code = "unauthenticated"
    status = 401


def problem(code: str, status: int, detail: str = "", **members: object) -> JSONResponse:
    """Make the answer.

    Args:
        code: In kebab-case; ends the type.
        status: HTTP status.
        detail: What happened and what to do.
        members: Extension members (RFC 9457 §3.2).
    """
    body = {"type": f"{TYPE}{code}", "title": HTTPStatus(status).phrase, "status": status, **members}
    if detail:
        body["detail"] = detail
    if request_id.get():
        body["instance"] = f"{INSTANCE}{request_id.get()}"
    headers = dict(NO_STORE)
    if status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="strongroom"'
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def _kebab(code: str) -> str:
    return _WORD.sub("-", code).lower()


def _ours(_: Request, error: Exception) -> JSONResponse:
    if isinstance(error, S3Error):  # the committer refused it, and that is recorded
        told = {"code": error.s3_code, "status": error.http_status}
        _log.info("refused: %s (%s)", error.s3_code, error.reason, extra=told)
        return problem(_kebab(error.s3_code), error.http_status, error.message)
    if not isinstance(error, AuditError | VaultError):
        return problem("internal-error", 500, "see the server's log")  # where the exchange writes it
    fault = error.status >= 500 and not error.retryable
    told = {"code": _kebab(error.code), "status": error.status}
    if fault:
        _log.error("the request failed", exc_info=error, extra=told)
    else:
        _log.debug("refused: %s", error.code, extra=told)
    detail = str(error) if error.status < 500 or error.retryable else "see the server's log"
    return problem(_kebab(error.code), error.status, detail)


def _invalid(_: Request, error: Exception) -> JSONResponse:
    """A parameter that is not of its type: says which, and does not repeat what was sent."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    where = ".".join(str(step) for step in first.get("loc", ())[1:])
    _log.debug("refused: query-invalid", extra={"code": "query-invalid", "status": 400})
    return problem("query-invalid", 400, f"{where}: {first.get('msg', 'cannot be used')}")


def _http(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    _log.debug("refused: %d", status, extra={"status": status})
    answer = problem(HTTPStatus(status).phrase.lower().replace(" ", "-"), status)
    answer.headers.update((error.headers or {}) if isinstance(error, HTTPException) else {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        answer.headers["Allow"] = ", ".join(_methods(request))
    return answer


def _methods(request: Request) -> list[str]:
    """The methods that a path takes: the framework would name those of one of its routes (RFC 9110 §10.2.1)."""
    asked = [{**request.scope, "method": method} for method in METHODS]
    return [
        str(scope["method"])
        for scope in asked
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)
    ]


def install(app: FastAPI) -> None:
    """Have every error of an app answered as a problem."""
    for kind in (AuditError, VaultError, Exception):
        app.add_exception_handler(kind, _ours)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
