"""Schedules fire: in every process that sweeps, and each due time once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from agentplat import telemetry
from agentplat.contracts.firing import Firing, ScheduleRow, ScheduleStore
from agentplat.contracts.schedules import ScheduleFault
from agentplat.contracts.store import Submitted
from agentplat.domain.errors import ConflictError, UnknownName, UsageError, WorkflowInvalid
from agentplat.engine.catalog import Catalog
from agentplat.engine.client.schedules.files import keep_to_files
from agentplat.engine.client.schedules.planning import PUNCTUAL, plan, tasks_of
from agentplat.engine.client.submission import Door
from agentplat.engine.definitions import Definitions

_AT_ONCE = 100
_LATER = timedelta(hours=1)
_MOST = 2000
_OTHERS_FIRST = PUNCTUAL - timedelta(seconds=15)
"""So long what is not here is left to others, who sweep more often; and the time does not count as missed yet."""


class Scheduler:
    """One per process that sweeps."""

    def __init__(self, store: ScheduleStore, catalog: Callable[[], Catalog], definitions: Definitions) -> None:
        self._store = store
        self._catalog = catalog
        self._definitions = definitions
        self._kept: Catalog | None = None  # whose files the schedules were held against
        self._passed_by = 0  # so many are due, and left to others

    async def follow(self) -> None:
        """Make the schedules those of the files, unless that was done since the files were read."""
        catalog = self._catalog()
        if catalog is not self._kept:
            await keep_to_files(self._store, catalog, self._definitions)
            self._kept = catalog

    async def fire(self) -> bool:
        """Submit what is due; False when nothing is, but what is left to others.

        What cannot be submitted is said on its schedule, which goes on to its next time. If it is this process that has
        not what it needs, others are let go before.
        """
        rows = await self._store.due_schedules(_AT_ONCE + self._passed_by)
        self._passed_by = 0
        for row in rows:
            self._passed_by += not await self._fire(row)
        return len(rows) > self._passed_by

    async def _fire(self, row: ScheduleRow) -> bool:
        """False when it is left to others."""
        firing = self._decided(row)
        if firing is None:
            return False
        try:
            submitted = await self._store.fire(firing)
        except (UsageError, ConflictError) as error:
            # The database refuses it, or a client used the key of such a time.
            firing = replace(firing, tasks=(), definitions=(), fault=_fault(row, error.code, error.detail, firing))
            submitted = await self._store.fire(firing)
        if submitted is not None:
            _tell(firing, submitted)
        return True

    def _decided(self, row: ScheduleRow) -> Firing | None:
        try:
            planned = plan(row)
        except UsageError as error:  # it was due by a timezone that is not there any more
            return Firing(row=row, next_at=row.now + _LATER, last_at=None, fault=_fault(row, error.code, error.detail))
        firing = Firing(row=row, next_at=planned.next_at, last_at=None, fault=row.fault)
        if not planned.times:
            return firing
        firing = replace(firing, last_at=planned.times[-1], fault=None)
        door = Door(self._catalog(), self._definitions, lambda user: user)
        try:
            tasks, definitions = tasks_of(row.schedule, row.user_hash, planned.times, door)
        except UsageError as error:
            if isinstance(error, UnknownName | WorkflowInvalid) and row.now - row.next_at < _OTHERS_FIRST:
                return None
            return replace(firing, fault=_fault(row, error.code, error.detail, firing))
        except Exception as error:  # noqa: BLE001  # a fault of ours must not stop the sweeps, nor come back with each
            telemetry.log.exception(telemetry.SCHEDULE_BROKE, schedule=row.schedule.name)
            said = f"agentplat failed on it ({type(error).__name__}); see the log"
            return replace(firing, fault=_fault(row, "internal", said, firing))
        return replace(firing, tasks=tasks, definitions=definitions)


def _fault(row: ScheduleRow, code: str, detail: str, firing: Firing | None = None) -> ScheduleFault:
    said = detail.encode(errors="replace").decode().replace("\0", "?")[:_MOST]  # it may quote what cannot be kept
    return ScheduleFault(code=code, detail=said, at=(firing.last_at if firing else None) or row.next_at)


def _tell(firing: Firing, submitted: Sequence[Submitted]) -> None:
    schedule, created = firing.row.schedule, sum(each.created for each in submitted)
    telemetry.TASKS_SUBMITTED.labels("workflow").inc(created)
    telemetry.log.info(
        telemetry.SCHEDULE_FIRED,
        schedule=schedule.name,
        tenant=schedule.tenant,
        tasks=created,
        since=firing.row.next_at,
    )
    if firing.fault is not None and firing.last_at is not None:
        telemetry.log.error(telemetry.SCHEDULE_FAULT, schedule=schedule.name, code=firing.fault.code)
