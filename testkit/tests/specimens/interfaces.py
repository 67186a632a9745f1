"""Interfaces that keep or break their contract."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from agentplat import Client

App = Callable[[Any, Any, Any], Awaitable[None]]


def _answering(status: int) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


def good(client: Client) -> App:
    return _answering(404)


def hasty(client: Client) -> App:
    client.agents()
    return _answering(404)


def fragile(client: Client) -> App:
    return _answering(500)
