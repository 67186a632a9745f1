"""The schedules that workflow files state: made, changed and removed as the files say."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from agentplat import telemetry
from agentplat.contracts.firing import ScheduleRow, ScheduleStore
from agentplat.contracts.schedules import USUALLY_CAUGHT_UP, CatchUp, Schedule
from agentplat.domain.errors import UsageError
from agentplat.domain.json import JsonObject
from agentplat.engine.catalog import Catalog
from agentplat.engine.client.schedules.planning import times_faults
from agentplat.engine.client.submission import DEFAULT_TENANT
from agentplat.engine.definitions import Definitions
from agentplat.language.cron import next_times, zone_of

_ACTOR = "file"


async def keep_to_files(store: ScheduleStore, catalog: Catalog, definitions: Definitions) -> None:
    """Nothing is written where nothing differs. A workflow that is not here, or not valid, keeps its schedule."""
    kept = {row.schedule.name: row for row in await store.schedules(DEFAULT_TENANT)}
    for name in catalog.workflows.names:
        row = kept.get(name)
        if row is None and not _may_say_so(Path(catalog.workflows.spec(name).file)):
            continue  # what has no schedule need not be compiled yet
        try:
            said = definitions.workflow(catalog, name).schedule
            await _keep_one(store, name, _schedule(name, said) if said is not None else None, row)
        except UsageError as error:  # of the file, or of the database about a value in it
            telemetry.log.warning(telemetry.SCHEDULE_FAULT, schedule=name, code=error.code)


async def _keep_one(store: ScheduleStore, name: str, said: Schedule | None, row: ScheduleRow | None) -> None:
    if said is None:
        if row is not None and row.source == "file":
            await store.remove_schedule(DEFAULT_TENANT, name, source="file", actor=_ACTOR)
        return
    if row is not None and (row.source == "api" or row.schedule == said):
        if row.source == "api":
            telemetry.log.warning(telemetry.SCHEDULE_HIDDEN, schedule=name)
        return
    zone = zone_of(said.timezone)
    if zone is None or times_faults(said):
        return  # compiled by another version: it is said there
    next_at = next_times(said.cron, zone, await store.clock(), 1)[0]
    await store.put_schedule(said, source="file", next_at=next_at, user_hash=None, actor=_ACTOR)


def _may_say_so(file: Path) -> bool:
    try:
        text = file.read_bytes()
    except OSError:
        return False
    return b"schedule" in text or b"\\" in text  # a key may be written with escapes


def _schedule(name: str, said: JsonObject) -> Schedule:
    given = said.get("input")
    limit = said.get("catch_up_limit")
    return Schedule(
        name=name,
        target=name,
        cron=str(said["cron"]),
        timezone=str(said["timezone"]),
        input=given if isinstance(given, dict) else {},
        catch_up=cast("CatchUp", said.get("catch_up", "skip")),
        catch_up_limit=limit if isinstance(limit, int) else USUALLY_CAUGHT_UP,
        tenant=DEFAULT_TENANT,
    )
