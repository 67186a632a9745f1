"""`/tasks`: submit, read, list, administer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response

from agentplat import Client, InputRejected, NotFound, Submission, TaskFilter, TaskState
from agentplat_interface_rest import models, shapes
from agentplat_interface_rest.limits import StrictJson
from agentplat_interface_rest.openapi import responses

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Any text. With the same key and body the first task is answered again, with another body 409.",
    ),
]
Traceparent = Annotated[str | None, Header(description="W3C trace context: the caller's trace is continued.")]
Wanted = Annotated[str | None, Query(max_length=255, pattern=models.STORABLE)]


def router(client: Client) -> APIRouter:
    """The operations on tasks that existing clients use."""
    routes = APIRouter(prefix="/tasks", tags=["tasks"], route_class=StrictJson)
    _add_submission(routes, client)
    _add_reading(routes, client)
    _add_administration(routes, client)
    return routes


def _add_submission(routes: APIRouter, client: Client) -> None:
    async def submit(kind: str, body: models.Submitted, key: str | None, trace: str | None) -> models.Task:
        submission = Submission(
            type=kind,
            input=body.input,
            user=body.user_id,
            tenant=body.tenant_id,
            traceparent=trace,
            idempotency_key=key,
        )
        return shapes.task(await client.submit(submission))

    errors = responses(400, 409, 413, 415, 422, 503)

    @routes.post("", status_code=201, summary="Submit a task", responses=errors)
    async def submit_task(
        body: models.TaskIn, key: IdempotencyKey = None, traceparent: Traceparent = None
    ) -> models.Task:
        """A 201 means that the task is durable: it will be worked on even if everything stops now."""
        return await submit(body.type, body, key, traceparent)

    @routes.post("/agent", status_code=201, summary="Submit a task for one agent", responses=errors)
    async def submit_agent_task(
        body: models.AgentTaskIn, key: IdempotencyKey = None, traceparent: Traceparent = None
    ) -> models.Task:
        """400 for an unknown agent; `detail` lists the known ones."""
        return await submit(f"agent:{body.agent_type}", body, key, traceparent)

    @routes.post("/tool", status_code=201, summary="Submit a task for one tool", responses=errors)
    async def submit_tool_task(
        body: models.ToolTaskIn, key: IdempotencyKey = None, traceparent: Traceparent = None
    ) -> models.Task:
        """400 for an unknown tool; `detail` lists the known ones."""
        return await submit(f"tool:{body.tool_name}", body, key, traceparent)


def _add_reading(routes: APIRouter, client: Client) -> None:
    @routes.get("", summary="List tasks, newest first", responses=responses(422, 503))
    async def list_tasks(
        request: Request,
        response: Response,
        status_filter: Annotated[TaskState | None, Query(description="Only tasks of this status.")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        user_id_hash: Wanted = None,
        tenant_id: Wanted = None,
        type: Wanted = None,
        q: Annotated[
            str | None,
            Query(max_length=200, pattern=models.STORABLE, description="Words looked for in type, input and output."),
        ] = None,
        parent: Annotated[UUID | None, Query(description="Only the children of this task.")] = None,
        cursor: Annotated[UUID | None, Query(description="From the `Link` header of the page before.")] = None,
    ) -> list[models.Task]:
        """The next page, if there may be one, is in the `Link` header. Subtasks come with a single task only."""
        wanted = TaskFilter(
            status=status_filter,
            limit=limit,
            user_hash=user_id_hash,
            tenant=tenant_id,
            type=type,
            parent=parent,
            text=q,
            before=cursor,
        )
        tasks = await client.tasks(wanted)
        if len(tasks) == limit:
            response.headers["Link"] = _next_page(request, tasks[-1].id)
        return [shapes.task(task) for task in tasks]

    @routes.get("/{task_id}", summary="One task, with its subtasks and workflow state", responses=responses(404, 503))
    async def get_task(task_id: str) -> models.Task:
        """Poll it until `status` is `done`, `error` or `cancelled`."""
        return shapes.task(await client.task(known_id(task_id)))


def _add_administration(routes: APIRouter, client: Client) -> None:
    @routes.patch("/{task_id}", summary="End a task by hand", responses=responses(404, 409, 413, 415, 422, 503))
    async def patch_task(task_id: str, body: models.TaskPatch) -> models.Task:
        """Administrative. Goes through the state machine; whoever works on the task loses it."""
        known = known_id(task_id)
        if body.status is not None:
            return shapes.task(await client.administer(known, status=body.status, output=body.output, error=body.error))
        if body.output is not None or body.error is not None:
            reason = "is missing: output and error are written with the status that ends the task"
            raise InputRejected("The change", [("/status", reason)])
        return shapes.task(await client.task(known))


def known_id(text: str) -> UUID:
    """The id. NotFound for what cannot be one."""
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(f"There is no task {text[:60]!r}: an id is a UUID.") from None


def _next_page(request: Request, last: UUID) -> str:
    kept: Sequence[tuple[str, str]] = [(k, v) for k, v in request.query_params.multi_items() if k != "cursor"]
    return f'<{request.url.path}?{urlencode([*kept, ("cursor", str(last))])}>; rel="next"'
