"""What is installed, and how the process is."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from agentplat import Client, UnavailableError
from agentplat_interface_rest import models
from agentplat_interface_rest.hub import Hub

_METRICS = "# HELP agentplat_tasks_submitted_total Tasks that were accepted.\nagentplat_tasks_submitted_total 3.0\n"


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


def health(client: Client, hub: Hub) -> APIRouter:
    """For probes and scrapers."""
    routes = APIRouter(tags=["operations"])
    unhealthy = {"status": "unhealthy", "database": "disconnected", "websocket_connections": 0}
    away: dict[str, Any] = {
        "model": models.Health,
        "description": "The database does not answer.",
        "content": {"application/json": {"example": unhealthy}},
    }

    @routes.get("/health", summary="Whether the process can work", responses={503: away})
    async def is_healthy(response: Response) -> models.Health:
        """503 when the database does not answer."""
        try:
            await client.ping()
        except UnavailableError:
            response.status_code = 503
            return models.Health(status="unhealthy", database="disconnected", websocket_connections=len(hub))
        return models.Health(status="healthy", database="connected", websocket_connections=len(hub))

    shown: dict[str, Any] = {"content": {"text/plain": {"schema": {"type": "string"}, "example": _METRICS}}}

    @routes.get("/metrics", summary="Metrics, for Prometheus", response_class=PlainTextResponse, responses={200: shown})
    def metrics() -> Response:
        """The metrics of this process."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return routes


def _object(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, dict) else {}


def _names(value: Any) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list) else []
