"""The database goes away while the API serves, and comes back. Nothing is lost, and nobody is told that all is well."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from agentplat_testkit.relay import Relay
from websockets.asyncio.client import connect

from . import shapes
from .conftest import NewDatabase
from .processes import Server, served, wait_for
from .shapes import demand, problem


@dataclass
class Deployment:
    server: Server
    leave: Callable[[], None]
    come_back: Callable[[], None]


@pytest.fixture(scope="module")
def deployment(backend: str, folder: Path, new_database: NewDatabase) -> Iterator[Deployment]:
    """An API with its worker, whose database a test can send away."""
    with ExitStack() as stack:
        url = new_database()
        if backend == "postgresql":
            relay = stack.enter_context(Relay(url))
            url, leave, come_back = relay.url, relay.refuse, relay.mend
        else:
            file = Path(url.removeprefix("sqlite:///"))
            elsewhere = file.with_suffix(".away")

            def leave() -> None:
                file.rename(elsewhere)

            def come_back() -> None:
                elsewhere.rename(file)

        server = stack.enter_context(served(folder / "away", url, worked=True))
        yield Deployment(server, leave, come_back)


def healthy(server: Server) -> bool:
    answer = server.get("/health")
    demand(answer.json(), shapes.HEALTH)
    return answer.status_code == 200


def test_what_needs_the_database_says_so_and_nothing_is_lost(deployment: Deployment, tmp_path: Path) -> None:
    server, gate = deployment.server, tmp_path / "go"
    done = server.ended(server.submit("agent:echo", {"before": True})["id"])
    running = server.submit("agent:patient", {"file": str(gate)})
    server.until(running["id"], lambda task: task["status"] == "running")
    body = {"type": "agent:echo", "input": {"during": True}}

    deployment.leave()
    try:
        answer = server.get("/health")
        assert answer.status_code == 503
        demand(answer.json(), shapes.HEALTH)
        assert answer.json() == {"status": "unhealthy", "database": "disconnected", "websocket_connections": 0}
        for refused in (
            server.post("/tasks", body, Idempotency_Key="during"),
            server.post("/tasks/agent", {"agent_type": "echo"}, Idempotency_Key="during 2"),
            server.get(f"/tasks/{done['id']}"),
            server.get("/tasks"),
            server.patch(done["id"], status="error"),
            server.get("/tasks/costs/summary"),
            server.get("/tasks/costs/by-user/x"),
            server.get("/admin/usage/x"),
            server.get(f"/v1/tasks/{done['id']}/journal"),
            server.request("POST", f"/v1/tasks/{done['id']}:cancel"),
        ):
            found = problem(refused, 503, "database")
            assert found["error_code"] == "store_unavailable"
            assert "Retry-After" in refused.headers
            assert "/tmp/" not in found["detail"]
            assert "postgres@" not in found["detail"]
            assert "127.0.0.1" not in found["detail"]
        for path in ("/admin/agents", "/admin/tools", "/admin/workflows", "/v1/plugins", "/metrics", "/openapi.json"):
            assert server.get(path).status_code == 200
        problem(server.post("/tasks", {"type": "agent:nope"}), 400)
        problem(server.send(b"{"), 422)
    finally:
        deployment.come_back()

    wait_for(lambda: healthy(server))
    gate.touch()
    assert server.task(done["id"]) == done
    assert server.ended(running["id"])["output"] == {"found": True}
    again = server.post("/tasks", body, Idempotency_Key="during").json()
    assert server.ended(again["id"])["status"] == "done"
    assert server.get("/tasks/costs/summary").json()["total_tasks"] == 3
    events = server.get(f"/v1/tasks/{running['id']}/journal").json()
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


async def test_listeners_are_cut_so_that_they_know_that_they_may_have_missed_something(
    deployment: Deployment,
) -> None:
    server = deployment.server
    host, port = server.address
    async with asyncio.timeout(60), connect(f"ws://{host}:{port}/ws") as listening:
        deployment.leave()
        try:
            await listening.wait_closed()
        finally:
            deployment.come_back()
        assert listening.close_code == 1013
    await asyncio.to_thread(wait_for, lambda: healthy(server))
    async with asyncio.timeout(60), connect(f"ws://{host}:{port}/ws") as listening:
        task = server.submit("agent:echo")
        message: dict[str, Any] = {}
        while (message.get("task_id"), message.get("status")) != (task["id"], "done"):
            message = json.loads(await listening.recv())


def test_an_api_that_starts_without_its_database_says_why(backend: str, tmp_path: Path) -> None:
    url = {"sqlite": f"sqlite:///{tmp_path}", "postgresql": f"postgresql://x@/x?host={tmp_path}"}[backend]
    with pytest.raises(AssertionError, match=r"it ended with [1-9]") as ended, served(tmp_path / "never", url):
        pass
    assert "Traceback" not in str(ended.value)
    assert "database" in str(ended.value).lower()


def test_a_database_that_another_process_holds_is_waited_for_and_then_refused(idle: Server) -> None:
    """SQLite alone: on PostgreSQL nobody can hold all of it. Reading goes on meanwhile."""
    if not idle.database_url.startswith("sqlite"):
        return
    file = idle.database_url.removeprefix("sqlite:///")
    before = idle.get("/tasks/costs/summary").json()["total_tasks"]
    with closing(sqlite3.connect(file, isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN IMMEDIATE")
        problem(idle.post("/tasks", {"type": "agent:echo"}), 503, "database")
        assert "locked" in idle.api.written()
        assert idle.get("/tasks").status_code == 200
        other.execute("ROLLBACK")
    assert idle.get("/tasks/costs/summary").json()["total_tasks"] == before
    assert idle.post("/tasks", {"type": "agent:echo"}).status_code == 201
