"""Errors as problem documents (RFC 9457). Nothing of a stack trace, a query or a secret is ever in one."""

from __future__ import annotations

import http
import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from agentplat import (
    AgentplatError,
    ConflictError,
    IllegalTransition,
    InputRejected,
    NotAllowed,
    NotFound,
    NotInstalled,
    UnavailableError,
    UnknownName,
    UsageError,
    VersionConflict,
    WorkflowInvalid,
)

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_MOST_FAULTS = 20
_STATUS: tuple[tuple[type[AgentplatError], int], ...] = (
    (UnknownName, 400),
    (NotFound, 404),
    (NotAllowed, 403),
    (NotInstalled, 501),
    (InputRejected, 422),
    (WorkflowInvalid, 422),
    (VersionConflict, 412),
    (IllegalTransition, 422),
    (ConflictError, 409),
    (UnavailableError, 503),
    (UsageError, 400),
)
"""The first that fits decides."""

_REASONS = {
    "missing": "is missing",
    "dict_type": "is not an object",
    "model_type": "is not an object",
    "model_attributes_type": "is not an object",
    "string_type": "is not text",
    "string_unicode": "contains half of a surrogate pair",
    "string_pattern_mismatch": "contains the character U+0000",
}
"""In JSON's words, where the library speaks Python."""


_DETAILS = {
    404: "There is nothing at this path. GET /openapi.json lists what there is.",
    405: "This path does not know the method; the header Allow lists those that it knows.",
}
"""Where nobody said more than the name of the status."""

UNAVAILABLE = "The database does not answer, or not as this version needs. Try again in a moment; the log says more."


class Refused(HTTPException):
    """What HTTP itself forbids, with a code for programs."""

    def __init__(self, status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)
        self.code = code


def problem(status: int, code: str, detail: str, instance: str, errors: Sequence[tuple[str, str]] = ()) -> JSONResponse:
    """The answer for one problem; `errors` are pairs of JSON pointer and reason."""
    body = problem_body(status, code, detail, instance, errors)
    headers = {"Retry-After": "1"} if status in (429, 503) else None
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def problem_body(
    status: int, code: str, detail: str, instance: str, errors: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """The document itself."""
    body: dict[str, Any] = {
        "type": f"urn:agentplat:problem:{code}",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": _writable(detail),
        "error_code": code,
        "instance": instance,
    }
    if errors:
        body["errors"] = [{"pointer": _writable(pointer), "detail": _writable(reason)} for pointer, reason in errors]
    return body


def _writable(text: str) -> str:
    """A pointer repeats the sender's names, which may hold halves of surrogate pairs: no answer can carry those."""
    return text.encode(errors="replace").decode()


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem document."""
    app.add_exception_handler(AgentplatError, _expected)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


async def _expected(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AgentplatError)
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    if status == 500:
        return await _unexpected(request, error)
    if isinstance(error, UnavailableError):
        # What is known of it names hosts and files.
        logger.warning("unavailable", extra={"reason": error.detail, "path": _path(request)})
        return problem(status, error.code, UNAVAILABLE, _path(request))
    faults = error.faults if isinstance(error, InputRejected) else ()
    return problem(status, error.code, error.detail, _path(request), faults)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [_fault(found) for found in error.errors()[:_MOST_FAULTS]]
    listed = "; ".join(f"{pointer or '/'} {reason}" for pointer, reason in faults)
    return problem(422, "input_rejected", f"The request does not fit: {listed}.", _path(request), faults)


def _fault(found: dict[str, Any]) -> tuple[str, str]:
    """Pointer and reason; what was sent is not repeated, since it may hold what must not be shown."""
    where, *path = found["loc"]
    if found["type"] == "json_invalid":
        [position] = path
        return "", f"is not JSON: {found['ctx']['error']}" + (f" (character {position + 1})" if position >= 0 else "")
    parts = [str(part).replace("~", "~0").replace("/", "~1") for part in path]
    pointer = "".join(f"/{part}" for part in parts)
    reason = _REASONS.get(found["type"], found["msg"])
    return (pointer, reason) if where == "body" else (f"/{where}{pointer}", reason)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    code = error.code if isinstance(error, Refused) else f"http_{error.status_code}"
    detail = _DETAILS.get(error.status_code, error.detail) if type(error) is HTTPException else error.detail
    answer = problem(error.status_code, code, detail, _path(request))
    answer.headers.update(error.headers or {})
    if error.status_code == 405:
        answer.headers["Allow"] = _methods(request) or answer.headers["Allow"]
    return answer


def _methods(request: Request) -> str:
    """What the path knows by all its routes, where the framework names those of the first. Empty for its own paths."""
    paths: dict[str, Any] = request.app.openapi()["paths"]
    fitting = [template for template in paths if compile_path(template)[0].match(request.scope["path"])]
    nearest = min(fitting, key=lambda template: (template.count("{"), -len(template)), default="")
    return ", ".join(method.upper() for method in paths.get(nearest, ()))


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    logger.error("request_failed", exc_info=error, extra={"path": _path(request), "method": request.method})
    detail = "Something went wrong inside agentplat. The server's log has the details."
    return problem(500, "internal", detail, _path(request))


def _path(request: Request) -> str:
    return request.url.path
