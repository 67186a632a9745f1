"""What a body may be: at most 1 MiB, and JSON that can be kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentplat_interface_rest.problems import Refused

MAX_BODY = 1024 * 1024
_READ_AWAY = 16 * MAX_BODY
"""So much of a body that is too large is read and dropped: a client that is still sending would not see the answer."""
_MOST_DIGITS = 300
_NOWHERE = -1


class BodyLimit:
    """ASGI middleware: 413 for a body above the limit, whether or not its length was announced."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, _bounded(scope, receive) if scope["type"] == "http" else receive, send)


def _bounded(scope: Scope, receive: Receive) -> Receive:
    headers = dict(scope["headers"])
    announced = headers.get(b"content-length", b"0")
    too_large = announced.isdigit() and (len(announced) > 20 or int(announced) > MAX_BODY)
    received = 0

    async def bounded() -> Message:
        nonlocal received
        if too_large and b"expect" in headers:  # it waits for a word before it sends
            raise _too_large({"Connection": "close"})
        message = await receive()
        received += len(message.get("body", b""))
        if not too_large and received <= MAX_BODY:
            return message
        while message.get("more_body", False) and received <= _READ_AWAY:
            message = await receive()
            received += len(message.get("body", b""))
        raise _too_large({"Connection": "close"} if message.get("more_body", False) else None)

    return bounded


def _too_large(headers: dict[str, str] | None) -> Refused:
    detail = f"The body is larger than {MAX_BODY} bytes. Send less, or a reference to where the rest is."
    return Refused(413, "body_too_large", detail, headers)


class StrictJson(APIRoute):
    """A route whose body is JSON by the standard: no NaN, no infinity, no number or nesting out of bounds."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        original = super().get_route_handler()

        async def handler(request: Request) -> Response:
            if self.body_field is not None and not _says_json(request) and not _may_be_empty(self, request):
                raise Refused(
                    415, "not_json", "The body has to be JSON, with the header Content-Type: application/json."
                )
            return await original(_StrictRequest(request.scope, request.receive))

        return handler


def _may_be_empty(route: APIRoute, request: Request) -> bool:
    """Whether nothing is sent where nothing need be sent."""
    is_optional = route.body_field is not None and not route.body_field.field_info.is_required()
    headers = request.headers
    return is_optional and headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers


def _says_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


class _StrictRequest(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = _parsed(await self.body())
        return self._json


def _parsed(body: bytes) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError("it is not UTF-8", "", error.start) from None
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_bounded_integer)
    except RecursionError:
        raise _out_of_bounds("it is nested too deeply") from None


def _refuse_constant(name: str) -> NoReturn:
    raise _out_of_bounds(f"{name} is no JSON number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _out_of_bounds("a number is out of range")
    return value


def _bounded_integer(text: str) -> int:
    if len(text) > _MOST_DIGITS + 1:
        raise _out_of_bounds(f"an integer has more than {_MOST_DIGITS} digits")
    return int(text)


def _out_of_bounds(reason: str) -> json.JSONDecodeError:
    return json.JSONDecodeError(reason, "", _NOWHERE)
