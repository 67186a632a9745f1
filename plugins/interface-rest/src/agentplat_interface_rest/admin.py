"""What is installed, how the process is, and the steering of tasks under `/v1`."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from agentplat import Client, UnavailableError
from agentplat_interface_rest import models, shapes
from agentplat_interface_rest.hub import Hub
from agentplat_interface_rest.problems import responses
from agentplat_interface_rest.tasks import known_id


def router(client: Client) -> APIRouter:
    """The registries, ready to be shown."""
    routes = APIRouter(prefix="/admin", tags=["admin"])

    @routes.get("/agents", summary="Installed agents")
    def agents() -> models.Agents:
        """Every agent that a task or a workflow may name."""
        return models.Agents(
            agents=[
                models.Agent(
                    name=agent.name,
                    description=agent.description,
                    config=_object(agent.values.get("config")),
                    tools=_names(agent.values.get("tools")),
                )
                for agent in client.agents()
            ]
        )

    @routes.get("/tools", summary="Installed tools")
    def tools() -> models.Tools:
        """Every tool, with the JSON Schema of its parameters."""
        return models.Tools(
            tools=[
                models.Tool(name=tool.name, description=tool.description, parameters=_object(tool.values.get("schema")))
                for tool in client.tools()
            ]
        )

    @routes.get("/workflows", summary="Installed workflows")
    def workflows() -> models.Workflows:
        """Every workflow; one whose file is at fault says so in `fault`."""
        return models.Workflows(
            workflows=[
                models.Workflow.model_validate(
                    {"name": found.name, "description": found.description, **dict(found.values)}
                )
                for found in client.workflows()
            ]
        )

    return routes


def steering(client: Client) -> APIRouter:
    """The part of `/v1` that there is: plugins, journal, cancel, retry."""
    routes = APIRouter(prefix="/v1", tags=["v1"])

    @routes.get("/plugins", summary="Plugins with state, version and reason of rejection")
    def plugins() -> list[models.Plugin]:
        """Every plugin that was found, and every file of the project."""
        return [models.Plugin.model_validate({"name": found.name, **dict(found.values)}) for found in client.plugins()]

    @routes.get("/tasks/{task_id}/journal", summary="A task's journal", responses=responses(404, 503))
    async def journal(task_id: str, after: int = 0) -> list[models.JournalEvent]:
        """All events after the sequence number `after`, without gaps."""
        return [
            models.JournalEvent(seq=event.seq, at=event.at, kind=event.kind, content=dict(event.content))
            for event in await client.journal(known_id(task_id), after)
        ]

    @routes.post("/tasks/{task_id}:cancel", summary="Cancel a task", responses=responses(404, 409, 422, 503))
    async def cancel(task_id: str) -> models.Task:
        """At once if it has not started or waits; otherwise `cancel_requested` shows until what runs has ended."""
        return shapes.task(await client.cancel(known_id(task_id)))

    @routes.post("/tasks/{task_id}:retry", status_code=201, summary="Retry a task", responses=responses(404, 409, 503))
    async def retry(task_id: str) -> models.Task:
        """A new task with the input of one that has ended; the source never changes."""
        return shapes.task(await client.retry(known_id(task_id)))

    return routes


def health(client: Client, hub: Hub) -> APIRouter:
    """For probes and scrapers."""
    routes = APIRouter(tags=["operations"])

    @routes.get("/health", summary="Whether the process can work", responses={503: {"model": models.Health}})
    async def is_healthy() -> Response:
        """503 when the database does not answer."""
        try:
            await client.ping()
        except UnavailableError:
            body = models.Health(status="unhealthy", database="disconnected", websocket_connections=len(hub))
            return JSONResponse(body.model_dump(), status_code=503)
        body = models.Health(status="healthy", database="connected", websocket_connections=len(hub))
        return JSONResponse(body.model_dump())

    @routes.get("/metrics", summary="Metrics, for Prometheus", response_class=Response)
    def metrics() -> Response:
        """The metrics of this process."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return routes


def _object(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _names(value: Any) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list) else []
