"""When workflows run by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, TypeAlias
from uuid import UUID

from agentplat.domain.json import JsonObject

CatchUp: TypeAlias = Literal["skip", "last", "all"]
ScheduleSource: TypeAlias = Literal["file", "api"]
USUALLY_CAUGHT_UP = 100
DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What is set: the workflow `target` is submitted with `input` at the times of `cron`."""

    name: str
    target: str  # the workflow's name
    cron: str  # minute, hour, day of month, month, day of week
    timezone: str = "UTC"
    input: JsonObject = field(default_factory=dict)
    catch_up: CatchUp = "skip"  # of the times that were missed while nothing ran: none, the newest one, or all, ...
    catch_up_limit: int = USUALLY_CAUGHT_UP  # ... of which the newest so many
    tenant: str = DEFAULT


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFault:
    """Why no task was made at the last due time."""

    code: str
    detail: str
    at: datetime  # that time


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleView:
    """A schedule, and how it stands now."""

    schedule: Schedule
    source: ScheduleSource  # a file's is changed by its file
    paused: bool
    next_at: datetime | None  # None while it is paused
    upcoming: tuple[datetime, ...]  # the next times, `next_at` first; none while it is paused
    last_at: datetime | None  # the last due time that was dealt with
    last_task_id: UUID | None  # the task of that time, as long as its idempotency key is kept
    fault: ScheduleFault | None  # None: the last due time made its task
    updated_at: datetime  # of what is set


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilled:
    """A due time, and its task."""

    at: datetime
    task_id: UUID | None  # None in a quote, if there is none yet
    created: bool  # False: there is one already, or it was a quote


class ScheduleClient(Protocol):
    """What an interface may do with schedules. Where one is named, NotFound when there is none."""

    async def all(self, tenant: str | None = None) -> Sequence[ScheduleView]:
        """By tenant and name; of all tenants unless one is named."""

    async def one(self, name: str, tenant: str = DEFAULT) -> ScheduleView: ...

    async def put(self, schedule: Schedule) -> ScheduleView:
        """In place of what was set; one that is paused stays paused. InputRejected; ConflictError for a file's."""

    async def remove(self, name: str, tenant: str = DEFAULT) -> None:
        """Its tasks stay. ConflictError for one that a file states."""

    async def pause(self, name: str, tenant: str = DEFAULT) -> ScheduleView: ...

    async def resume(self, name: str, tenant: str = DEFAULT) -> ScheduleView:
        """From its next time on: what would have been due meanwhile was not missed."""

    async def backfill(
        self, name: str, since: datetime, until: datetime, *, tenant: str = DEFAULT, quote: bool = False
    ) -> Sequence[Backfilled]:
        """Make up for the due times from `since` to `until`, at most 1,000, all or nothing; a quote only says which.

        One that made its task makes no other one: it is known by its idempotency key, as long as those are kept.
        """
