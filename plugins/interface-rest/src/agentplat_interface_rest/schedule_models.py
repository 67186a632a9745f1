"""The shapes of schedules."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from agentplat_interface_rest.models import STORABLE, Incoming, Name

Text = Annotated[str, Field(min_length=1, max_length=255, pattern=STORABLE)]
CatchUp = Literal["skip", "last", "all"]


class ScheduleIn(Incoming):
    target: Name = Field(description="The workflow's name.")
    cron: Text = Field(description="minute, hour, day of month, month, day of week.")
    timezone: Text = Field(default="UTC", description="Such as `Europe/Copenhagen`.")
    input: dict[str, Any] = Field(default_factory=dict, description="The input of its tasks.")
    catch_up: CatchUp = Field(
        default="skip",
        description="Of the times that were missed while nothing ran: none, the newest one, or all of them, ...",
    )
    catch_up_limit: int = Field(default=100, ge=1, le=1000, description="... of which the newest so many.")


class ScheduleFault(BaseModel):
    code: str = Field(description="Stable, for programs.")
    detail: str
    at: datetime = Field(description="The due time that made no task.")


class Schedule(BaseModel):
    name: str
    tenant_id: str
    target: str
    cron: str
    timezone: str
    input: dict[str, Any]
    catch_up: CatchUp
    catch_up_limit: int
    source: Literal["file", "api"] = Field(description="A file's is changed by the key `schedule` of its workflow.")
    paused: bool
    next_at: datetime | None = Field(description="Null while it is paused.")
    upcoming: list[datetime] = Field(description="The next five times.")
    last_at: datetime | None = Field(description="The last due time that was dealt with.")
    last_task_id: UUID | None = Field(description="Its task, as long as its idempotency key is kept.")
    fault: ScheduleFault | None = Field(description="Why the last due time made no task.")
    updated_at: datetime = Field(description="When it was last put, paused or resumed.")


class BackfillIn(Incoming):
    since: AwareDatetime = Field(alias="from", strict=False, description="The first time that counts.")
    until: AwareDatetime = Field(alias="to", strict=False, description="The last time that counts; not in the future.")


class Backfilled(BaseModel):
    at: datetime
    task_id: UUID | None = Field(description="With `dry_run` null, if it has no task yet.")
    created: bool = Field(description="False: it has a task already, or nothing was to be made.")


class Backfill(BaseModel):
    times: list[Backfilled]
