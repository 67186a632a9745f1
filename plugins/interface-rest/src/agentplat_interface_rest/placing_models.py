"""The shapes of what decides when tasks run: a place in the queue, batches, limits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from agentplat_interface_rest.models import STORABLE, Count, Incoming, TaskIn


class PlacedTaskIn(TaskIn):
    queue: Annotated[str, Field(min_length=1, max_length=255, pattern=STORABLE)] = Field(
        default="default", description="Only workers that serve it take the task."
    )
    concurrency_key: str | None = Field(
        default=None,
        min_length=1,
        max_length=255,
        pattern=STORABLE,
        description="What shares this key within a tenant can be limited: so many at one time, so many in a time.",
    )
    priority: int = Field(default=0, ge=-1_000_000, le=1_000_000, description="Among its tenant's: higher first.")
    # Not strict: JSON has no other way to say a time than by its text.
    run_at: AwareDatetime | None = Field(
        default=None, strict=False, description="Not before; RFC 3339, with a time zone."
    )


class AwaitedTaskIn(PlacedTaskIn):
    wait: float = Field(
        default=0,
        ge=0,
        le=60,
        description="Seconds for which the answer is held back until the task has ended. If it has not by then, the "
        "answer is as without: the task as it is. It goes on in any case.",
    )


class BatchTaskIn(PlacedTaskIn):
    idempotency_key: str | None = Field(
        default=None, min_length=1, max_length=255, pattern=STORABLE, description="As the header, for this task alone."
    )


class BatchIn(Incoming):
    tasks: list[BatchTaskIn] = Field(min_length=1, max_length=1000)


class Accepted(BaseModel):
    id: UUID
    created: bool = Field(description="False: the idempotency key was known, this is the first task.")


class Batch(BaseModel):
    tasks: list[Accepted] = Field(description="In the order of the request.")


class LimitIn(Incoming):
    at_once: int | None = Field(default=None, description="So many tasks are worked on at one time.")
    starts: int | None = Field(default=None, description="So many are begun or gone on with ...")
    seconds: float | None = Field(default=None, description="... within any time of this length.")
    weight: int | None = Field(default=None, description="Of the tenant's share, where it has no key. Default: 1.")


class Limit(BaseModel):
    tenant_id: str
    key: str = Field(description="A concurrency key; empty: the tenant as a whole.")
    at_once: int | None
    starts: int | None
    seconds: float | None
    weight: int | None
    running: Count = Field(description="Tasks under it that are worked on now.")
    started: Count = Field(description="Within the last `seconds`.")
    full_since: datetime | None = Field(description="As the last claim under it found; null: it had room.")
