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

from agentplat import (
    AgentplatError,
    ConflictError,
    IllegalTransition,
    InputRejected,
    NotAllowed,
    NotFound,
    UnavailableError,
    UnknownName,
    UsageError,
    WorkflowInvalid,
)
from agentplat_interface_rest import models

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
_STATUS: tuple[tuple[type[AgentplatError], int], ...] = (
    (UnknownName, 400),
    (NotFound, 404),
    (NotAllowed, 403),
    (InputRejected, 422),
    (WorkflowInvalid, 422),
    (IllegalTransition, 422),
    (ConflictError, 409),
    (UnavailableError, 503),
    (UsageError, 400),
)
"""The first that fits decides."""


def problem(status: int, code: str, detail: str, instance: str, errors: Sequence[tuple[str, str]] = ()) -> JSONResponse:
    """The answer for one problem; `errors` are pairs of JSON pointer and reason."""
    body: dict[str, Any] = {
        "type": f"urn:agentplat:problem:{code}",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "error_code": code,
        "instance": instance,
    }
    if errors:
        body["errors"] = [{"pointer": pointer, "detail": reason} for pointer, reason in errors]
    headers = {"Retry-After": "1"} if status in (429, 503) else None
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


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
    faults = error.faults if isinstance(error, InputRejected) else ()
    return problem(status, error.code, error.detail, request.url.path, faults)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = [_fault(found) for found in error.errors()[:20]]
    detail = "; ".join(f"{pointer or '/'}: {reason}" for pointer, reason in faults)
    return problem(422, "input_rejected", f"The request does not fit: {detail}", request.url.path, faults)


def _fault(found: dict[str, Any]) -> tuple[str, str]:
    """Pointer and reason; what was sent is not repeated, since it may hold what must not be shown."""
    if found["type"] == "json_invalid":
        return "", f"is not JSON: {found['ctx']['error']}"
    where, *path = found["loc"]
    parts = [str(part).replace("~", "~0").replace("/", "~1") for part in path]
    pointer = "".join(f"/{part}" for part in parts)
    return (pointer, found["msg"]) if where == "body" else (f"/{where}{pointer}", found["msg"])


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    answer = problem(error.status_code, f"http_{error.status_code}", str(error.detail), request.url.path)
    answer.headers.update(error.headers or {})
    return answer


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    logger.error("request_failed", exc_info=error, extra={"path": request.url.path, "method": request.method})
    detail = "Something went wrong inside agentplat. The server's log has the details."
    return problem(500, "internal", detail, request.url.path)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an operation of the OpenAPI document says about its errors."""
    return {
        status: {
            "model": models.Problem,
            "description": http.HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }
