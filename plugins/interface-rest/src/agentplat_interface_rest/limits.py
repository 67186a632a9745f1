"""What a body may be: at most 1 MiB, and JSON that can be kept."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentplat_interface_rest.problems import problem

MAX_BODY = 1024 * 1024


class _TooLarge(Exception):
    pass


class BodyLimit:
    """ASGI middleware: 413 for a body above the limit, whether or not its length was announced."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = next((value for key, value in scope["headers"] if key == b"content-length"), b"0")
        if announced.isdigit() and int(announced[:20]) > MAX_BODY:
            await _refuse(scope, receive, send)
            return
        started = False

        async def note_start(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, _counted(receive), note_start)
        except _TooLarge:
            if not started:
                await _refuse(scope, receive, send)


def _counted(receive: Receive) -> Callable[[], Awaitable[Message]]:
    received = 0

    async def counted() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MAX_BODY:
            raise _TooLarge
        return message

    return counted


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    detail = f"The body is larger than {MAX_BODY} bytes. Send less, or a reference to where the rest is."
    answer = problem(413, "body_too_large", detail, scope["path"])
    answer.headers["Connection"] = "close"
    await answer(scope, receive, send)


class StrictJson(APIRoute):
    """A route whose body is JSON by the standard: no NaN, no infinity, no number or nesting out of bounds."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        original = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await original(_StrictRequest(request.scope, request.receive))

        return handler


class _StrictRequest(Request):
    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = _parsed(await self.body())
        return self._json


def _parsed(body: bytes) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise json.JSONDecodeError("is not UTF-8", "", error.start) from None
    try:
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite, parse_int=_bounded)
    except RecursionError:
        raise json.JSONDecodeError("is nested too deeply", "", 0) from None


def _refuse_constant(name: str) -> NoReturn:
    raise json.JSONDecodeError(f"{name} is not a JSON number", "", 0)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise json.JSONDecodeError("a number is out of range", "", 0)
    return value


def _bounded(text: str) -> int:
    if len(text) > 300:
        raise json.JSONDecodeError("an integer has more than 300 digits", "", 0)
    return int(text)
