"""What `/v1` has on single tasks and plugins: journal, why, signal, cancel, retry, fork."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse

from agentplat import Client, Rerun, TaskView
from agentplat_interface_rest import models, shapes
from agentplat_interface_rest.limits import StrictJson
from agentplat_interface_rest.openapi import responses
from agentplat_interface_rest.routes.tasks import IdempotencyKey, known_id

_MOST_EVENTS = 2**63 - 1


def router(client: Client) -> APIRouter:
    """What explains and steers tasks."""
    routes = APIRouter(prefix="/v1", tags=["v1"], route_class=StrictJson)

    @routes.get("/plugins", summary="Plugins with state, version and reason of rejection")
    def plugins() -> list[models.Plugin]:
        """Every plugin that was found, and every file of the project."""
        return [models.Plugin.model_validate({"name": found.name, **dict(found.values)}) for found in client.plugins()]

    @routes.get("/tasks/{task_id}/journal", summary="A task's journal", responses=responses(404, 422, 503))
    async def journal(
        task_id: str, after: Annotated[int, Query(ge=0, le=_MOST_EVENTS, description="A sequence number.")] = 0
    ) -> list[models.JournalEvent]:
        """All events after the sequence number `after`, without gaps."""
        return [
            models.JournalEvent(seq=event.seq, at=event.at, kind=event.kind, content=dict(event.content))
            for event in await client.journal(known_id(task_id), after)
        ]

    @routes.get("/tasks/{task_id}/why", summary="Why a task stands where it stands", responses=responses(404, 503))
    async def why(task_id: str) -> models.Why:
        """A sentence for people, and for programs a code, times and one reason per step."""
        return shapes.why(await client.why(known_id(task_id)))

    @routes.post("/tasks/{task_id}:signal", summary="Signal a task", responses=responses(404, 409, 413, 415, 422, 503))
    async def signal(task_id: str, body: models.SignalIn, key: IdempotencyKey = None) -> models.Signal:
        """What a step that waits for a signal of this name goes on with, whether it waits already or not yet.

        With a key, here or in the header, it can be sent again: the first signal of a key stays. 409 when the task is
        over.
        """
        known, given = known_id(task_id), body.key or key or str(uuid4())
        created = await client.signal(known, body.name, body.payload, given)
        return models.Signal(task_id=known, name=body.name, key=given, created=created)

    @routes.post("/tasks/{task_id}:cancel", summary="Cancel a task", responses=responses(404, 409, 422, 503))
    async def cancel(task_id: str) -> models.Steered:
        """At once if it has not started or waits; otherwise `cancel_requested` shows until what runs has ended."""
        return _steered(await client.cancel(known_id(task_id)))

    _add_reruns(routes, client)
    return routes


Quote = Annotated[
    bool, Query(alias="dry_run", description="Make nothing: say what would be reused, and what would run again.")
]
_QUOTE: dict[int | str, dict[str, Any]] = {200: {"model": models.Reuse, "description": "With `dry_run`"}}


def _add_reruns(routes: APIRouter, client: Client) -> None:
    errors = {**_QUOTE, **responses(400, 404, 409, 413, 415, 422, 503)}

    async def quoted(task_id: str, wanted: Rerun, *, fork: bool) -> JSONResponse:
        quote = await client.quote(known_id(task_id), wanted, fork=fork)
        return JSONResponse(shapes.reuse(quote).model_dump(mode="json"))

    @routes.post(
        "/tasks/{task_id}:retry",
        status_code=201,
        summary="Retry a task",
        responses=errors,
        response_model=models.Steered,
    )
    async def retry(
        task_id: str, body: models.RetryIn | None = None, quote: Quote = False, key: IdempotencyKey = None
    ) -> models.Steered | JSONResponse:
        """A new task that goes on where one has ended: nothing that finished runs again. The source never changes.

        A task that is done is done once more from its beginning. With `dry_run` the answer is 200, and nothing is made.
        """
        asked = body or models.RetryIn()
        wanted = _wanted(asked, key)
        if quote:
            return await quoted(task_id, wanted, fork=False)
        return _steered(await client.retry(known_id(task_id), wanted))

    @routes.post(
        "/tasks/{task_id}:fork", status_code=201, summary="Fork a task", responses=errors, response_model=models.Steered
    )
    async def fork(
        task_id: str, body: models.ForkIn, quote: Quote = False, key: IdempotencyKey = None
    ) -> models.Steered | JSONResponse:
        """A new task that goes on from a step of another one, with another input, or other outputs.

        The other one, ended or not, never changes. With `dry_run` the answer is 200, and nothing is made.
        """
        wanted = _wanted(body, key)
        if quote:
            return await quoted(task_id, wanted, fork=True)
        return _steered(await client.fork(known_id(task_id), wanted))


def _wanted(body: models.RetryIn, key: str | None) -> Rerun:
    return Rerun(start=body.start, input=body.input, outputs=body.outputs, newest=body.newest, idempotency_key=key)


def _steered(task: TaskView) -> models.Steered:
    return models.Steered(
        id=task.id,
        type=task.type,
        status=task.status,
        cancel_requested=task.cancel_requested,
        retry_of=task.retry_of,
        forked_from=task.forked_from,
        created_at=task.created_at,
        updated_at=task.updated_at,
    )
