"""`/v1/schedules`: when workflows run by themselves."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from agentplat import Client, Schedule, ScheduleView
from agentplat_interface_rest import models
from agentplat_interface_rest import schedule_models as shapes
from agentplat_interface_rest.limits import StrictJson
from agentplat_interface_rest.openapi import responses

Tenant = Annotated[str, Query(alias="tenant_id", min_length=1, max_length=255, pattern=models.STORABLE)]
AnyTenant = Annotated[
    str | None,
    Query(alias="tenant_id", max_length=255, pattern=models.STORABLE, description="Default: all of them."),
]
Quoted = Annotated[bool, Query(alias="dry_run", description="Make nothing: say which times it would be.")]


def router(client: Client) -> APIRouter:
    """What shows, changes and steers schedules."""
    routes = APIRouter(prefix="/v1", tags=["v1"], route_class=StrictJson)
    _add_schedules(routes, client)
    _add_steering(routes, client)
    return routes


def _add_schedules(routes: APIRouter, client: Client) -> None:
    @routes.get("/schedules", summary="All schedules", responses=responses(422, 503))
    async def list_all(tenant: AnyTenant = None) -> list[shapes.Schedule]:
        """By tenant and name, with how they stand."""
        return [_shown(view) for view in await client.schedules.all(tenant)]

    @routes.get("/schedules/{name}", summary="A schedule", responses=responses(404, 422, 503))
    async def read(name: str, tenant: Tenant = "default") -> shapes.Schedule:
        """With its next five times, and why the last one made no task, if it made none."""
        return _shown(await client.schedules.one(name, tenant))

    @routes.put("/schedules/{name}", summary="Put a schedule", responses=responses(409, 413, 415, 422, 503))
    async def put(name: str, body: shapes.ScheduleIn, tenant: Tenant = "default") -> shapes.Schedule:
        """In place of what was set. One that is paused stays paused; what is due already stays due.

        409 when the workflow's file states it: then it is changed there.
        """
        return _shown(await client.schedules.put(Schedule(name=name, tenant=tenant, **body.model_dump())))

    @routes.delete("/schedules/{name}", summary="Remove a schedule", responses=responses(404, 409, 422, 503))
    async def remove(name: str, tenant: Tenant = "default") -> shapes.Schedule:
        """The schedule as it was. Its tasks stay."""
        view = await client.schedules.one(name, tenant)
        await client.schedules.remove(name, tenant)
        return _shown(view)


def _add_steering(routes: APIRouter, client: Client) -> None:
    @routes.post("/schedules/{name}:pause", summary="Pause a schedule", responses=responses(404, 422, 503))
    async def pause(name: str, tenant: Tenant = "default") -> shapes.Schedule:
        """Nothing becomes due until it is resumed. What runs goes on."""
        return _shown(await client.schedules.pause(name, tenant))

    @routes.post("/schedules/{name}:resume", summary="Resume a schedule", responses=responses(404, 422, 503))
    async def resume(name: str, tenant: Tenant = "default") -> shapes.Schedule:
        """From its next time on: what would have been due meanwhile is not made up for."""
        return _shown(await client.schedules.resume(name, tenant))

    @routes.post(
        "/schedules/{name}:backfill",
        summary="Make up for due times of the past",
        responses=responses(404, 413, 415, 422, 503),
    )
    async def backfill(
        name: str, body: shapes.BackfillIn, tenant: Tenant = "default", quoted: Quoted = False
    ) -> shapes.Backfill:
        """At most 1,000 times from `from` to `to`, both included, all or nothing.

        A time that made its task makes no other one, as long as idempotency keys are kept.
        """
        found = await client.schedules.backfill(name, body.since, body.until, tenant=tenant, quote=quoted)
        times = [shapes.Backfilled(at=each.at, task_id=each.task_id, created=each.created) for each in found]
        return shapes.Backfill(times=times)


def _shown(view: ScheduleView) -> shapes.Schedule:
    schedule, fault = view.schedule, view.fault
    said: dict[str, Any] = {"code": fault.code, "detail": fault.detail, "at": fault.at} if fault else {}
    return shapes.Schedule(
        name=schedule.name,
        tenant_id=schedule.tenant,
        target=schedule.target,
        cron=schedule.cron,
        timezone=schedule.timezone,
        input=dict(schedule.input),
        catch_up=schedule.catch_up,
        catch_up_limit=schedule.catch_up_limit,
        source=view.source,
        paused=view.paused,
        next_at=view.next_at,
        upcoming=list(view.upcoming),
        last_at=view.last_at,
        last_task_id=view.last_task_id,
        fault=shapes.ScheduleFault(**said) if said else None,
        updated_at=view.updated_at,
    )
