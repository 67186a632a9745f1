"""Graph, worst case and simulation of workflows, and the JSON Schema of their files: as an analysis offers them."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from agentplat import Client, JsonValue
from agentplat_interface_rest.limits import StrictJson
from agentplat_interface_rest.openapi import responses
from agentplat_interface_rest.routes.tasks import known_id
from agentplat_interface_rest.workflow_models import SimulationIn

Drawn = Literal["mermaid", "svg"]
_ANALYSIS: dict[Drawn, str] = {"mermaid": "graph", "svg": "picture"}
_TEXTS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The diagram",
        "content": {
            "text/plain": {"schema": {"type": "string"}, "example": 'flowchart TD\n  n0(["begin"])\n'},
            "image/svg+xml": {"schema": {"type": "string"}, "example": "<svg/>"},
        },
    }
}
_QUANTITY: dict[str, Any] = {"most": 2, "dominated_by": None, "causes": []}
_BOUNDS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The worst case; null where there is no bound",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "workflow": "simple_sequential",
                    "file": "simple_sequential.yaml",
                    "bounds": {"executions": _QUANTITY, "usd": {"most": 0.0, "unpriced": []}},
                    "budget": None,
                },
            }
        },
    }
}
_TIMELINE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "What happened, each with the seconds since the beginning, and the end",
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "workflow": "simple_sequential",
                    "events": [{"at": 0.0, "event": "task_claimed", "fence": 1, "worker": "worker-1"}],
                    "status": "done",
                    "output": {"result": "text"},
                    "failure": None,
                    "seconds": 2.0,
                    "steps": 2,
                    "attempts": 2,
                },
            }
        },
    }
}
_SCHEMA: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The schema",
        "content": {"application/schema+json": {"schema": {"type": "object"}, "example": {"type": "object"}}},
    }
}


def router(client: Client) -> APIRouter:
    """The operations. 501 says what to install where nothing offers them."""
    routes = APIRouter(prefix="/v1", tags=["v1"], route_class=StrictJson)

    @routes.get(
        "/schema/workflow.json",
        summary="The JSON Schema of workflow files",
        response_class=Response,
        responses={**_SCHEMA, **responses(501)},
    )
    async def schema() -> Response:
        """For editors: with the agents, tools, strategies and checks that are installed here."""
        found = await client.workflow_analysis("schema")
        return JSONResponse(found, media_type="application/schema+json")

    @routes.get(
        "/workflows/{name}/graph",
        summary="A workflow as a diagram",
        response_class=Response,
        responses={**_TEXTS, **responses(404, 422, 501)},
    )
    async def workflow_graph(name: str, drawn: Drawn = "mermaid") -> Response:
        """Of the file as it is now: the text of a Mermaid diagram, or with `drawn=svg` a picture."""
        return _diagram(await client.workflow_analysis(_ANALYSIS[drawn], name), drawn)

    @routes.get(
        "/workflows/{name}/bounds",
        summary="A workflow's worst case",
        response_class=Response,
        responses={**_BOUNDS, **responses(404, 422, 501)},
    )
    async def workflow_bounds(name: str) -> Response:
        """Step executions, model and tool calls, tokens, money and time; which loop dominates each, and where it is."""
        return JSONResponse(await client.workflow_analysis("bounds", name))

    @routes.get(
        "/tasks/{task_id}/graph",
        summary="A task's workflow as a diagram",
        response_class=Response,
        responses={**_TEXTS, **responses(404, 422, 501, 503)},
    )
    async def task_graph(task_id: str, drawn: Drawn = "mermaid") -> Response:
        """Of the version that the task was given, whatever the file says by now."""
        return _diagram(await client.task_analysis(_ANALYSIS[drawn], known_id(task_id)), drawn)

    @routes.get(
        "/tasks/{task_id}/bounds",
        summary="The worst case of a task's workflow",
        response_class=Response,
        responses={**_BOUNDS, **responses(404, 422, 501, 503)},
    )
    async def task_bounds(task_id: str) -> Response:
        """Of the version that the task was given, with the prices of now. It has no file, so places are null."""
        return JSONResponse(await client.task_analysis("bounds", known_id(task_id)))

    _add_simulation(routes, client)
    return routes


def _add_simulation(routes: APIRouter, client: Client) -> None:
    @routes.post(
        "/workflows/{name}:simulate",
        summary="Play a workflow",
        response_class=Response,
        responses={**_TIMELINE, **responses(400, 404, 413, 415, 422, 501)},
    )
    async def simulate(name: str, body: SimulationIn | None = None) -> Response:
        """On a clock of its own: who starts when, what fails and is tried again, and how it ends.

        No task is made, no model asked and no tool called.
        """
        options = (body or SimulationIn()).model_dump()
        return JSONResponse(await client.workflow_analysis("simulation", name, options))


def _diagram(text: JsonValue, drawn: Drawn) -> Response:
    return Response(str(text), media_type="image/svg+xml" if drawn == "svg" else "text/plain")
