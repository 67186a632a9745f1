"""What becomes of a schedule whose time has come, and the tasks of its due times."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from uuid_utils.compat import uuid7

from agentplat.contracts.firing import ScheduleRow
from agentplat.contracts.schedules import Schedule
from agentplat.contracts.store import Definition, NewTask
from agentplat.domain.errors import InputRejected, StepError
from agentplat.domain.ids import TaskId
from agentplat.domain.json import JsonObject
from agentplat.engine.client.submission import Door
from agentplat.language.cron import fault_of_cron, last_times, next_times, zone_of
from agentplat.language.expressions import ExpressionEngine

PUNCTUAL = timedelta(minutes=1)
"""So late a time is still not missed: a sweep comes every ten seconds, and a database may be away for a moment."""

_FINGERPRINT = "schedule"  # the same for all: a time that made its task has made it, whatever was set since


@dataclass(frozen=True, slots=True)
class Plan:
    """`times` are to make a task each; `next_at` is the first that is still to come."""

    times: Sequence[datetime]
    next_at: datetime


def plan(row: ScheduleRow) -> Plan:
    """By what the policy says of the times that were missed. InputRejected when it is not known when it is due."""
    schedule, since, now = row.schedule, row.next_at, row.now
    zone = zone_of(schedule.timezone)
    if zone is None or fault_of_cron(schedule.cron):
        raise InputRejected("The schedule", times_faults(schedule))
    most = schedule.catch_up_limit if schedule.catch_up == "all" else 1
    times = last_times(schedule.cron, zone, since, now, most)
    if schedule.catch_up == "skip":
        times = [at for at in times if now - at <= PUNCTUAL]
    return Plan(times, next_times(schedule.cron, zone, now, 1)[0])


def times_faults(schedule: Schedule) -> list[tuple[str, str]]:
    """What is wrong with its cron expression and its timezone."""
    wrong = []
    if fault := fault_of_cron(schedule.cron):
        wrong.append(("/cron", f"{fault}; five fields: minute, hour, day of month, month, day of week"))
    if zone_of(schedule.timezone) is None:
        wrong.append(("/timezone", f"there is no timezone `{schedule.timezone}`; write one like Europe/Copenhagen"))
    return wrong


def key_of(name: str, at: datetime) -> str:
    """The idempotency key of a due time: whoever comes to make its task, it is made once."""
    return f"schedule:{name}:{at:%Y-%m-%dT%H:%M:%SZ}"


def _input_at(schedule: Schedule, at: datetime, expressions: ExpressionEngine) -> JsonObject:
    due = at.astimezone(zone_of(schedule.timezone) or UTC)
    when: JsonObject = {"name": schedule.name, "due": due.isoformat(), "date": due.date().isoformat()}
    try:
        given = expressions.render(schedule.input, {"schedule": when})
    except StepError as error:
        raise InputRejected("The schedule", [("/input", error.failure.message)]) from error
    assert isinstance(given, dict)
    return given


def tasks_of(
    schedule: Schedule, user_hash: str | None, times: Sequence[datetime], door: Door
) -> tuple[list[NewTask], list[Definition]]:
    """A task for each time. Raises what a submission raises: UnknownName, WorkflowInvalid, InputRejected."""
    target = f"workflow:{schedule.target}"
    workflow, definition = door.pin(target)
    expressions = ExpressionEngine()  # one for all: a backfill has a thousand times
    tasks = [
        NewTask(
            id=TaskId(uuid7()),
            tenant=schedule.tenant,
            type=target,
            input=door.checked_input(target, workflow, _input_at(schedule, at, expressions)),
            trace_id=secrets.token_hex(16),
            user_hash=user_hash,
            definition=definition.hash if definition else None,
            idempotency_key=key_of(schedule.name, at),
            fingerprint=_FINGERPRINT,
            actor=f"schedule:{schedule.name}",
        )
        for at in times
    ]
    return tasks, [definition] if definition else []
