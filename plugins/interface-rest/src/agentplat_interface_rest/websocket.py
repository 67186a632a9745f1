"""`/ws`: one JSON message per change; `ping` answers `pong`."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from agentplat_interface_rest.hub import Connection, Hub

_TRY_AGAIN_LATER = 1013


def router(hub: Hub) -> APIRouter:
    """The WebSocket of all changes."""
    routes = APIRouter()

    @routes.websocket("/ws")
    async def changes(socket: WebSocket) -> None:
        connection = await hub.join()
        try:
            await socket.accept()
            await _converse(socket, connection)
        finally:
            await hub.leave(connection)

    return routes


async def _converse(socket: WebSocket, connection: Connection) -> None:
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
    if connection.cut.is_set():
        await socket.close(_TRY_AGAIN_LATER, "too slow: connect again and read the tasks anew")


async def _answer(socket: WebSocket) -> None:
    try:
        while True:
            if await socket.receive_text() == "ping":
                await socket.send_text("pong")
    except (WebSocketDisconnect, KeyError):
        return  # it left, or sent bytes where text is spoken


async def _tell(socket: WebSocket, connection: Connection) -> None:
    while True:
        await socket.send_json(await connection.messages.get())
