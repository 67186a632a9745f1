"""What the engine needs from a database so that schedules fire: each due time once, whoever looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from agentplat.contracts.schedules import Schedule, ScheduleFault, ScheduleSource
from agentplat.contracts.store import Definition, NewTask, Store, Submitted


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRow:
    """A schedule as the database has it. `now` is the database's clock when it was read."""

    schedule: Schedule
    source: ScheduleSource
    user_hash: str | None
    paused: bool
    next_at: datetime
    last_at: datetime | None
    fault: ScheduleFault | None
    revision: int  # grows with every change of what is set
    updated_at: datetime
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """What becomes of the due times of a schedule, up to `last_at`. Each task has its time's idempotency key."""

    row: ScheduleRow  # as it was when this was decided
    next_at: datetime
    last_at: datetime | None  # None: none of them was dealt with
    fault: ScheduleFault | None
    tasks: Sequence[NewTask] = ()
    definitions: Sequence[Definition] = ()


class ScheduleStore(Store, Protocol):
    async def clock(self) -> datetime: ...

    async def schedules(self, tenant: str | None = None, name: str | None = None) -> Sequence[ScheduleRow]:
        """By tenant and name."""

    async def due_schedules(self, limit: int) -> Sequence[ScheduleRow]:
        """Those whose time has come, the one that waits longest first."""

    async def put_schedule(
        self, schedule: Schedule, *, source: ScheduleSource, next_at: datetime, user_hash: str | None, actor: str
    ) -> bool:
        """In place of what was set; False when that is of another source. One that is paused stays paused.

        `next_at` counts only where the times are other ones than before: what is due already stays due.
        """

    async def remove_schedule(self, tenant: str, name: str, *, source: ScheduleSource, actor: str) -> bool:
        """False when there is none of that source."""

    async def pause_schedule(self, tenant: str, name: str, resume_at: datetime | None, actor: str) -> bool:
        """Pause it, or with its next time go on. False when there is none, or nothing changes."""

    async def fire(self, firing: Firing) -> Sequence[Submitted] | None:
        """Go on to `next_at`, and submit the tasks, in one transaction; None when another process did, or it changed.

        A task whose key is known was made before. IdempotencyMismatch when somebody else used such a key.
        """

    async def known_tasks(self, tenant: str, keys: Sequence[str]) -> Mapping[str, UUID]:
        """The tasks that idempotency keys stand for."""
