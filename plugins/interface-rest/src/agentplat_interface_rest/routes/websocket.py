"""`/ws`: one JSON message per change; `ping` answers `pong`."""

from __future__ import annotations

import asyncio
import contextlib

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from agentplat_interface_rest.hub import Connection, Hub

_TRY_AGAIN_LATER = 1013


def router(hub: Hub) -> APIRouter:
    """The WebSocket of all changes."""
    routes = APIRouter()

    @routes.websocket("/ws")
    async def changes(socket: WebSocket) -> None:
        async with hub.joined() as connection:
            await socket.accept()
            await _converse(socket, connection)
        if connection.cut.is_set():
            with contextlib.suppress(WebSocketDisconnect):
                await socket.close(_TRY_AGAIN_LATER, "you missed something: connect again and read the tasks anew")

    return routes


async def _converse(socket: WebSocket, connection: Connection) -> None:
    """Talk until the other side leaves, or has to be cut."""
    talking = [
        asyncio.create_task(_answer(socket)),
        asyncio.create_task(_tell(socket, connection)),
        asyncio.create_task(connection.cut.wait()),
    ]
    try:
        await asyncio.wait(talking, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for side in talking:
            side.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


async def _answer(socket: WebSocket) -> None:
    """Whatever else is said here, today or by newer clients, is passed over."""
    while (message := await socket.receive())["type"] != "websocket.disconnect":
        if message.get("text") == "ping":
            await socket.send_text("pong")


async def _tell(socket: WebSocket, connection: Connection) -> None:
    while True:
        await socket.send_text(await connection.next())
