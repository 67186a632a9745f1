"""The ASGI application, over a Client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from agentplat import Client
from agentplat_interface_rest import problems
from agentplat_interface_rest.hub import Hub
from agentplat_interface_rest.limits import BodyLimit
from agentplat_interface_rest.openapi import DescribedApp
from agentplat_interface_rest.routes import (
    admin,
    analyses,
    approvals,
    costs,
    placing,
    schedules,
    steering,
    tasks,
    websocket,
    workflows,
)

_DESCRIPTION = """Submit tasks for workflows, agents and tools, and read what came of them.

Errors are problem documents (`application/problem+json`): `detail` is for people, `error_code` for programs. Bodies are
JSON of at most 1 MiB. Without credentials only this machine is served: a foreign `Host` or `Origin` is answered 403.

`/ws` is a WebSocket: one JSON message per change, `{task_id, status, type, output, error, updated_at}`; the text `ping`
is answered `pong`. A reader that is too slow is cut with code 1013; it connects again and reads the tasks anew."""


def create_app(client: Client) -> FastAPI:
    """The REST interface, the WebSocket and the OpenAPI document."""
    hub = Hub(client)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await hub.close()

    app = DescribedApp(title="agentplat", version="1", description=_DESCRIPTION, lifespan=lifespan)
    app.add_middleware(BodyLimit)
    problems.install(app)
    for routes in (
        costs.router(client),
        tasks.router(client),
        admin.router(client),
        placing.router(client),
        schedules.router(client),
        steering.router(client),
        workflows.router(client),
        analyses.router(client),
        approvals.router(client),
        admin.health(client, hub),
        websocket.router(hub),
    ):
        app.include_router(routes)
    return app
