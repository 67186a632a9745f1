"""Schedules of a running server, over its REST interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import quote as quoted
from uuid import UUID

from agentplat import Backfilled, Schedule, ScheduleFault, ScheduleView

T = TypeVar("T")


class Ask(Protocol):
    async def __call__(self, method: str, path: str, read: Callable[[Any], T], **request: Any) -> T: ...


class RemoteSchedules:
    """Offers what the Client offers for schedules."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def all(self, tenant: str | None = None) -> Sequence[ScheduleView]:
        given = {"tenant_id": tenant} if tenant is not None else {}
        return await self._ask("GET", "v1/schedules", lambda found: [_view(one) for one in found], params=given)

    async def one(self, name: str, tenant: str = "default") -> ScheduleView:
        return await self._ask("GET", _path(name), _view, params={"tenant_id": tenant})

    async def put(self, schedule: Schedule) -> ScheduleView:
        body = {
            "target": schedule.target,
            "cron": schedule.cron,
            "timezone": schedule.timezone,
            "input": schedule.input,
            "catch_up": schedule.catch_up,
            "catch_up_limit": schedule.catch_up_limit,
        }
        return await self._ask("PUT", _path(schedule.name), _view, params={"tenant_id": schedule.tenant}, json=body)

    async def remove(self, name: str, tenant: str = "default") -> None:
        await self._ask("DELETE", _path(name), _view, params={"tenant_id": tenant})

    async def pause(self, name: str, tenant: str = "default") -> ScheduleView:
        return await self._ask("POST", f"{_path(name)}:pause", _view, params={"tenant_id": tenant})

    async def resume(self, name: str, tenant: str = "default") -> ScheduleView:
        return await self._ask("POST", f"{_path(name)}:resume", _view, params={"tenant_id": tenant})

    async def backfill(
        self, name: str, since: datetime, until: datetime, *, tenant: str = "default", quote: bool = False
    ) -> Sequence[Backfilled]:
        given = {"tenant_id": tenant, "dry_run": "true" if quote else "false"}
        body = {"from": since.isoformat(), "to": until.isoformat()}
        return await self._ask("POST", f"{_path(name)}:backfill", _backfilled, params=given, json=body)


def _path(name: str) -> str:
    return f"v1/schedules/{quoted(name, safe='')}"


def _view(value: Mapping[str, Any]) -> ScheduleView:
    fault = value["fault"]
    return ScheduleView(
        schedule=Schedule(
            name=value["name"],
            target=value["target"],
            cron=value["cron"],
            timezone=value["timezone"],
            input=value["input"],
            catch_up=value["catch_up"],
            catch_up_limit=value["catch_up_limit"],
            tenant=value["tenant_id"],
        ),
        source=value["source"],
        paused=value["paused"],
        next_at=_time(value["next_at"]),
        upcoming=tuple(datetime.fromisoformat(at) for at in value["upcoming"]),
        last_at=_time(value["last_at"]),
        last_task_id=_id(value["last_task_id"]),
        fault=ScheduleFault(**{**fault, "at": datetime.fromisoformat(fault["at"])}) if fault is not None else None,
        updated_at=datetime.fromisoformat(value["updated_at"]),
    )


def _backfilled(value: Mapping[str, Any]) -> list[Backfilled]:
    return [
        Backfilled(at=datetime.fromisoformat(each["at"]), task_id=_id(each["task_id"]), created=each["created"])
        for each in value["times"]
    ]


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _id(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)
