"""What clients do with schedules."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from agentplat.contracts.firing import ScheduleRow, ScheduleStore
from agentplat.contracts.interface import Submission
from agentplat.contracts.schedules import DEFAULT, Backfilled, Schedule, ScheduleView
from agentplat.domain.errors import ConflictError, InputRejected, NotFound, UnknownName
from agentplat.engine.client.identity import ANONYMOUS, HashUser, recognise
from agentplat.engine.client.schedules.planning import key_of, tasks_of, times_faults
from agentplat.engine.client.submission import MOST_AT_ONCE, Door, text_faults, value_fault
from agentplat.language.bodies import CATCH_UP, MOST_CAUGHT_UP
from agentplat.language.cron import first_times, next_times, zone_of

_UPCOMING = 5
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


class Schedules:
    """One per client. See `agentplat.contracts.schedules.ScheduleClient` for what each method promises."""

    def __init__(self, store: ScheduleStore, door: Callable[[], Door], hash_user: HashUser) -> None:
        self._store = store
        self._door = door
        self._hash_user = hash_user

    async def all(self, tenant: str | None = None) -> Sequence[ScheduleView]:
        return await self._views(await self._store.schedules(tenant))

    async def one(self, name: str, tenant: str = DEFAULT) -> ScheduleView:
        [view] = await self._views([await self._row(name, tenant)])
        return view

    async def put(self, schedule: Schedule) -> ScheduleView:
        wrong = _faults(schedule)
        zone = zone_of(schedule.timezone)
        if wrong or zone is None:
            raise InputRejected("The schedule", wrong)
        said = Submission(type=f"workflow:{schedule.target}", input=schedule.input, tenant=schedule.tenant)
        caller = recognise(said, self._hash_user)
        schedule = replace(schedule, input=caller.input, tenant=caller.tenant or schedule.tenant)
        next_at = next_times(schedule.cron, zone, await self._store.clock(), 1)[0]
        try:
            tasks_of(schedule, caller.user_hash, [next_at], self._door())
        except UnknownName as error:
            raise InputRejected("The schedule", [("/target", error.detail)]) from error
        if not await self._store.put_schedule(
            schedule, source="api", next_at=next_at, user_hash=caller.user_hash, actor=ANONYMOUS
        ):
            raise _of_a_file(schedule.name)
        return await self.one(schedule.name, schedule.tenant)

    async def remove(self, name: str, tenant: str = DEFAULT) -> None:
        row = await self._row(name, tenant)
        if not await self._store.remove_schedule(tenant, name, source="api", actor=ANONYMOUS):
            raise _of_a_file(row.schedule.name)

    async def pause(self, name: str, tenant: str = DEFAULT) -> ScheduleView:
        await self._store.pause_schedule(tenant, name, None, ANONYMOUS)
        return await self.one(name, tenant)

    async def resume(self, name: str, tenant: str = DEFAULT) -> ScheduleView:
        row = await self._row(name, tenant)
        upcoming = _upcoming(row)
        if not upcoming:
            raise InputRejected("The schedule", times_faults(row.schedule))
        await self._store.pause_schedule(tenant, name, upcoming[0], ANONYMOUS)
        return await self.one(name, tenant)

    async def backfill(
        self, name: str, since: datetime, until: datetime, *, tenant: str = DEFAULT, quote: bool = False
    ) -> Sequence[Backfilled]:
        row = await self._row(name, tenant)
        times = _times_of(row, since, until)
        keys = [key_of(name, at) for at in times]
        if quote:
            known = await self._store.known_tasks(tenant, keys)
            found = [known.get(key) for key in keys]
            return [Backfilled(at=at, task_id=task, created=False) for at, task in zip(times, found, strict=True)]
        tasks, definitions = tasks_of(row.schedule, row.user_hash, times, self._door())
        made = await self._store.submit(tasks, definitions)
        return [
            Backfilled(at=at, task_id=each.task_id, created=each.created) for at, each in zip(times, made, strict=True)
        ]

    async def _row(self, name: str, tenant: str) -> ScheduleRow:
        rows = await self._store.schedules(tenant, name)
        if not rows:
            raise NotFound(
                f"There is no schedule {name[:200]!r} of the tenant {tenant[:200]!r}. "
                "`agentplat schedules list` shows those that there are."
            )
        return rows[0]

    async def _views(self, rows: Sequence[ScheduleRow]) -> Sequence[ScheduleView]:
        """In their order. What they made last is asked for once for each tenant."""
        keys: dict[str, list[str]] = {}
        for row in rows:
            keys.setdefault(row.schedule.tenant, []).extend(_last_key(row))
        known = {tenant: await self._store.known_tasks(tenant, asked) for tenant, asked in keys.items()}
        return [_view(row, known[row.schedule.tenant]) for row in rows]


def _last_key(row: ScheduleRow) -> Sequence[str]:
    return [key_of(row.schedule.name, row.last_at)] if row.last_at is not None else []


def _view(row: ScheduleRow, known: Mapping[str, UUID]) -> ScheduleView:
    late = not row.paused and row.next_at <= row.now
    upcoming = () if row.paused else ((row.next_at,) if late else ()) + tuple(_upcoming(row))
    return ScheduleView(
        schedule=row.schedule,
        source=row.source,
        paused=row.paused,
        next_at=None if row.paused else row.next_at,
        upcoming=upcoming[:_UPCOMING],
        last_at=row.last_at,
        last_task_id=next((known[key] for key in _last_key(row) if key in known), None),
        fault=row.fault,
        updated_at=row.updated_at,
    )


def _upcoming(row: ScheduleRow) -> list[datetime]:
    zone = zone_of(row.schedule.timezone)
    if zone is None or times_faults(row.schedule):
        return []
    return next_times(row.schedule.cron, zone, row.now, _UPCOMING)


def _times_of(row: ScheduleRow, since: datetime, until: datetime) -> list[datetime]:
    zone = zone_of(row.schedule.timezone)
    named = (("/from", since), ("/to", until))
    wrong = [(at, "has no time zone") for at, moment in named if moment.tzinfo is None]
    if not wrong:
        wrong += [(at, "is before 1970") for at, moment in named if moment.year < 1970]
        if until > row.now:
            wrong.append(("/to", f"is still to come: it is {row.now:%Y-%m-%dT%H:%M:%SZ} now"))
        if since > until:
            wrong.append(("/from", "is after `to`"))
    wrong += times_faults(row.schedule)
    if wrong or zone is None:
        raise InputRejected("The backfill", wrong)
    times = first_times(row.schedule.cron, zone, since, until, MOST_AT_ONCE + 1)
    if len(times) > MOST_AT_ONCE:
        part = f"go in parts, the first to {times[-2]:%Y-%m-%dT%H:%M:%SZ}"
        raise InputRejected("The backfill", [("/to", f"is more than {MOST_AT_ONCE} times away from `from`: {part}")])
    return times


def _faults(schedule: Schedule) -> list[tuple[str, str]]:
    wrong = (
        []
        if _NAME.fullmatch(schedule.name)
        else [("/name", "is not of letters, digits, `.`, `_` and `-`, at most 200")]
    )
    wrong += text_faults({"/target": schedule.target, "/tenant_id": schedule.tenant, "/timezone": schedule.timezone})
    if len(schedule.cron) > 255:
        wrong.append(("/cron", "is longer than 255 characters"))
    else:
        wrong += times_faults(schedule)
    if not schedule.tenant:
        wrong.append(("/tenant_id", "is empty"))
    if schedule.catch_up not in CATCH_UP:
        wrong.append(("/catch_up", f"is none of {', '.join(CATCH_UP)}"))
    if not 1 <= schedule.catch_up_limit <= MOST_CAUGHT_UP:
        wrong.append(("/catch_up_limit", f"is not between 1 and {MOST_CAUGHT_UP}"))
    found = value_fault(schedule.input, "/input")
    return wrong if found is None else [*wrong, found]


def _of_a_file(name: str) -> ConflictError:
    return ConflictError(
        f"The schedule {name!r} is that of the workflow's file: change the key `schedule` there. It can be paused here."
    )
