"""The WebSocket: what changes is told, to whoever listens and keeps up."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from . import shapes
from .processes import Server, wait_for
from .shapes import demand

PATIENCE = 60


@asynccontextmanager
async def listening(server: Server, **options: Any) -> AsyncIterator[ClientConnection]:
    host, port = server.address
    async with connect(f"ws://{host}:{port}/ws", max_size=None, **options) as connection:
        yield connection


async def changes(connection: ClientConnection, task_id: str, until: str) -> list[dict[str, Any]]:
    """What is told of the task, up to that status."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE):
        while not found or found[-1]["status"] != until:
            message = json.loads(await connection.recv())
            demand(message, shapes.CHANGE)
            if message["task_id"] == task_id:
                found.append(message)
    return found


def connections(server: Server) -> int:
    count: int = server.get("/health").json()["websocket_connections"]
    return count


async def until_connections(server: Server, count: int) -> None:
    await asyncio.to_thread(wait_for, lambda: connections(server) == count)


async def test_each_change_of_a_task_is_told_in_the_fixed_shape(server: Server) -> None:
    async with listening(server) as connection:
        task = server.submit("agent:echo", {"a": 1})
        told = await changes(connection, task["id"], "done")

    assert {message["type"] for message in told} == {"agent:echo"}
    order = [shapes.STATUSES.index(message["status"]) for message in told]
    assert order == sorted(order)
    last, kept = told[-1], server.task(task["id"])
    assert last == {
        "task_id": task["id"],
        "status": "done",
        "type": "agent:echo",
        "output": kept["output"],
        "error": None,
        "updated_at": kept["updated_at"],
    }


async def test_errors_and_waiting_are_told_too(server: Server) -> None:
    async with listening(server) as connection:
        failed, waits = server.submit("agent:failing"), server.submit("workflow:told")
        told = await changes(connection, failed["id"], "error")
        assert "It does not want to." in told[-1]["error"]
        if server.task(waits["id"])["status"] != "waiting":
            await changes(connection, waits["id"], "waiting")
        server.request("POST", f"/v1/tasks/{waits['id']}:cancel")
        await changes(connection, waits["id"], "cancelled")


async def test_ping_is_answered_pong(idle: Server) -> None:
    async with listening(idle) as connection, asyncio.timeout(PATIENCE):
        for _ in range(3):
            await connection.send("ping")
            assert await connection.recv() == "pong"


async def test_what_else_is_said_is_passed_over(idle: Server) -> None:
    async with listening(idle) as connection, asyncio.timeout(PATIENCE):
        for message in ("", "PING", '{"subscribe": "all"}', "\0", "x" * 60_000, b"ping", b"\xff\xfe"):
            await connection.send(message)
        await connection.send("ping")
        assert await connection.recv() == "pong"


async def test_a_frame_above_the_limit_ends_only_its_connection(idle: Server) -> None:
    async with listening(idle) as other, listening(idle) as connection, asyncio.timeout(PATIENCE):
        await connection.send("x" * 200_000)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        await other.send("ping")
        assert await other.recv() == "pong"


async def test_everybody_is_told_the_same(idle: Server) -> None:
    async with listening(idle) as one, listening(idle) as two, listening(idle) as three:
        await until_connections(idle, 3)
        id_ = idle.submit("agent:echo")["id"]
        idle.patch(id_, status="cancelled", error="Enough.")
        told = [await changes(connection, id_, "cancelled") for connection in (one, two, three)]
        assert told[0] == told[1] == told[2]
        assert told[0][-1]["error"] == "Enough."
    await until_connections(idle, 0)


async def test_who_leaves_without_a_word_is_forgotten(idle: Server) -> None:
    for _ in range(3):
        async with listening(idle) as connection:
            connection.transport.abort()
    await until_connections(idle, 0)


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost.evil.example", "null"])
async def test_a_page_of_another_machine_cannot_listen(idle: Server, origin: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with listening(idle, additional_headers={"Origin": origin}):
            pass
    assert refused.value.response.status_code == 403


async def test_a_name_that_was_pointed_at_this_machine_cannot_listen(idle: Server) -> None:
    host, port = idle.address
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with connect(f"ws://evil.example:{port}/ws", host=host, port=port):
            pass
    assert refused.value.response.status_code == 403


async def test_a_page_of_this_machine_may_listen(idle: Server) -> None:
    async with listening(idle, additional_headers={"Origin": "http://localhost:3000"}) as connection:
        await connection.send("ping")
        assert await connection.recv() == "pong"


async def test_a_reader_that_does_not_keep_up_is_cut_and_holds_nobody_else(idle: Server) -> None:
    """It is told so by code 1013, if it ever reads again; those who read get everything."""
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(idle.address)
    slow.sendall(
        b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    async with listening(idle) as quick:
        await until_connections(idle, 2)
        expected = set()
        output = {"large": "x" * 900_000}
        async with asyncio.timeout(PATIENCE):
            while await asyncio.to_thread(connections, idle) == 2:
                id_ = idle.submit("agent:echo")["id"]
                idle.patch(id_, status="cancelled", output=output)
                expected.add(id_)
                [*_, last] = await changes(quick, id_, "cancelled")
                assert last["output"] == output
        await quick.send("ping")
        assert await quick.recv() == "pong"
    slow.close()
    await until_connections(idle, 0)
    assert len(expected) > 1
