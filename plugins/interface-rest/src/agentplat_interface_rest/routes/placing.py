"""The part of `/v1` that decides when tasks run: submission with a place in the queue, batches, limits."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from agentplat import Client, Limit, LimitRow, Submission
from agentplat_interface_rest import placing_models as models
from agentplat_interface_rest import shapes
from agentplat_interface_rest.limits import StrictJson
from agentplat_interface_rest.models import STORABLE, Task
from agentplat_interface_rest.openapi import responses
from agentplat_interface_rest.routes.tasks import IdempotencyKey, Traceparent

Tenant = Annotated[str, Query(min_length=1, max_length=255, pattern=STORABLE)]
Key = Annotated[str, Query(max_length=255, pattern=STORABLE, description="A concurrency key; empty: the tenant.")]


def router(client: Client) -> APIRouter:
    """What submits to a place in the queue, and what bounds the places."""
    routes = APIRouter(prefix="/v1", tags=["v1"], route_class=StrictJson)
    _add_submission(routes, client)
    _add_limits(routes, client)
    return routes


def _add_submission(routes: APIRouter, client: Client) -> None:
    @routes.post("/tasks", status_code=201, summary="Submit a task", responses=responses(400, 409, 413, 415, 422, 503))
    async def submit_task(
        body: models.AwaitedTaskIn, key: IdempotencyKey = None, traceparent: Traceparent = None
    ) -> Task:
        """As `POST /tasks`, with a queue, a concurrency key, a priority and a time; with `wait` also its result."""
        task = await client.submit(_submission(body, key, traceparent))
        return shapes.task(await client.ended(task.id, body.wait) if body.wait else task)

    @routes.post(
        "/tasks:batch", status_code=201, summary="Submit many tasks", responses=responses(409, 413, 415, 422, 503)
    )
    async def submit_batch(
        body: models.BatchIn, key: IdempotencyKey = None, traceparent: Traceparent = None
    ) -> models.Batch:
        """Up to 1,000 in one transaction: all of them, or none when anything is wrong with one.

        With the header `Idempotency-Key` the whole batch can be sent again: it stands for the tasks without a key.
        """
        submissions = [
            _submission(task, task.idempotency_key or (f"{key}#{number}" if key else None), traceparent)
            for number, task in enumerate(body.tasks)
        ]
        accepted = await client.submit_all(submissions)
        return models.Batch(tasks=[models.Accepted(id=each.id, created=each.created) for each in accepted])


def _submission(body: models.PlacedTaskIn, key: str | None, trace: str | None) -> Submission:
    return Submission(
        type=body.type,
        input=body.input,
        user=body.user_id,
        tenant=body.tenant_id,
        traceparent=trace,
        idempotency_key=key,
        queue=body.queue,
        concurrency_key=body.concurrency_key,
        priority=body.priority,
        run_at=body.run_at,
    )


def _add_limits(routes: APIRouter, client: Client) -> None:
    @routes.get("/limits", summary="All limits, and how they stand", responses=responses(422, 503))
    async def limits(tenant_id: Tenant | None = None, key: Key | None = None) -> list[models.Limit]:
        """By tenant and key; those of one tenant, or one of them, where it is named."""
        return [_limit(row) for row in await client.limits(tenant_id, key)]

    @routes.put("/limits", summary="Set a limit", responses=responses(413, 415, 422, 503))
    async def set_limit(tenant_id: Tenant, body: models.LimitIn, key: Key = "") -> models.Limit:
        """In place of what was set for the tenant and the key. What runs is not stopped."""
        limit = Limit(tenant=tenant_id, key=key, **body.model_dump())
        await client.set_limit(limit)
        found = [row for row in await client.limits(tenant_id, key) if row.limit == limit]
        return _limit(found[0] if found else _unused(limit))

    @routes.delete("/limits", summary="Remove a limit", responses=responses(404, 422, 503))
    async def remove_limit(tenant_id: Tenant, key: Key = "") -> models.Limit:
        """The limit as it was. 404 when there is none."""
        found = await client.limits(tenant_id, key)
        await client.remove_limit(tenant_id, key)
        return _limit(found[0] if found else _unused(Limit(tenant=tenant_id, key=key)))


def _unused(limit: Limit) -> LimitRow:
    """Of a limit that somebody else changed at that very moment."""
    return LimitRow(limit=limit, running=0, started=0, full_since=None)


def _limit(row: LimitRow) -> models.Limit:
    limit = row.limit
    return models.Limit(
        tenant_id=limit.tenant,
        key=limit.key,
        at_once=limit.at_once,
        starts=limit.starts,
        seconds=limit.seconds,
        weight=limit.weight,
        running=row.running,
        started=row.started,
        full_since=row.full_since,
    )
