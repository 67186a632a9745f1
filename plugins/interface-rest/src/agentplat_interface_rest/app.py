"""The ASGI application, over a Client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from agentplat import Client
from agentplat_interface_rest import admin, costs, problems, tasks, websocket
from agentplat_interface_rest.hub import Hub
from agentplat_interface_rest.limits import BodyLimit

_DESCRIPTION = """Submit tasks for workflows, agents and tools, and read what came of them.

Errors are problem documents (`application/problem+json`): `detail` is for people, `error_code` for programs. Bodies are
at most 1 MiB. Without credentials only this machine is served."""


def create_app(client: Client) -> FastAPI:
    """The REST interface, the WebSocket and the OpenAPI document."""
    hub = Hub(client)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        yield
        await hub.close()

    app = FastAPI(title="agentplat", version="1", description=_DESCRIPTION, lifespan=lifespan)
    app.add_middleware(BodyLimit)
    problems.install(app)
    for routes in (
        costs.router(client),
        tasks.router(client),
        admin.router(client),
        admin.steering(client),
        admin.health(client, hub),
        websocket.router(hub),
    ):
        app.include_router(routes)
    return app
