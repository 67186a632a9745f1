"""Schedules in the database: what is set, and that each due time is taken by one."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agentplat.contracts.firing import Firing, ScheduleRow, ScheduleStore
from agentplat.contracts.hints import Hint
from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.schedules import Schedule, ScheduleFault
from agentplat.contracts.store import NewTask, Submitted
from agentplat.domain.errors import IdempotencyMismatch
from agentplat.engine.client.schedules.planning import key_of

from .making import new_task

HOUR = timedelta(hours=1)


def nightly(name: str = "nightly", **values: Any) -> Schedule:
    return Schedule(**{"name": name, "target": "report", "cron": "0 2 * * *", "tenant": "north", **values})


async def put(store: ScheduleStore, schedule: Schedule, since: timedelta = HOUR, source: Any = "api") -> ScheduleRow:
    """As if it were due since then."""
    next_at = (await store.clock()).replace(microsecond=0) - since
    assert await store.put_schedule(schedule, source=source, next_at=next_at, user_hash=None, actor="somebody")
    return await row_of(store, schedule.name)


async def row_of(store: ScheduleStore, name: str = "nightly") -> ScheduleRow:
    [row] = await store.schedules("north", name)
    return row


def firing(row: ScheduleRow, *tasks: NewTask, **values: Any) -> Firing:
    said = {"next_at": row.now + HOUR, "last_at": row.next_at, "fault": None, "tasks": tasks}
    return Firing(row=row, **{**said, **values})


def task_at(row: ScheduleRow, at: datetime, **values: Any) -> NewTask:
    return new_task(idempotency_key=key_of(row.schedule.name, at), fingerprint="schedule", **values)


async def test_a_schedule_is_kept_as_it_was_set(store: ScheduleStore) -> None:
    wanted = nightly(
        input={"topic": "bees ☃", "depth": 3, "exact": 1.0, "none": None},
        timezone="Europe/Copenhagen",
        catch_up="all",
        catch_up_limit=7,
    )
    row = await put(store, wanted)
    assert row.schedule == wanted
    assert (row.source, row.paused, row.last_at, row.fault, row.user_hash) == ("api", False, None, None, None)
    assert row.updated_at <= row.now


async def test_schedules_are_told_apart_by_tenant_and_name(store: ScheduleStore) -> None:
    for tenant, name in (("south", "a"), ("north", "b"), ("north", "a")):
        await put_any(store, nightly(name, tenant=tenant))
    found = [(row.schedule.tenant, row.schedule.name) for row in await store.schedules()]
    assert found == [("north", "a"), ("north", "b"), ("south", "a")]
    assert [row.schedule.name for row in await store.schedules("north")] == ["a", "b"]
    assert await store.remove_schedule("north", "a", source="api", actor="somebody")
    assert not await store.remove_schedule("north", "a", source="api", actor="somebody")
    assert [row.schedule.name for row in await store.schedules("south")] == ["a"]


async def put_any(store: ScheduleStore, schedule: Schedule) -> None:
    at = await store.clock()
    assert await store.put_schedule(schedule, source="api", next_at=at, user_hash=None, actor="somebody")


async def test_what_is_due_stays_due_when_something_else_is_changed(store: ScheduleStore) -> None:
    before = await put(store, nightly())
    await put(store, nightly(input={"topic": "bees"}, catch_up="last"), -HOUR)
    after = await row_of(store)
    assert after.next_at == before.next_at
    assert after.revision > before.revision
    moved = await put(store, nightly(cron="0 3 * * *"), -HOUR)
    assert moved.next_at > moved.now
    other_zone = await put(store, nightly(cron="0 3 * * *", timezone="Asia/Kathmandu"), -2 * HOUR)
    assert other_zone.next_at > moved.next_at


async def test_one_that_is_paused_stays_paused_when_it_is_changed(store: ScheduleStore) -> None:
    await put(store, nightly())
    assert await store.pause_schedule("north", "nightly", None, "somebody")
    assert not await store.pause_schedule("north", "nightly", None, "somebody")
    assert (await put(store, nightly(input={"topic": "bees"}))).paused
    assert not await store.due_schedules(10)
    resume_at = await store.clock() + HOUR
    assert await store.pause_schedule("north", "nightly", resume_at, "somebody")
    row = await row_of(store)
    assert (row.paused, row.next_at) == (False, resume_at)
    assert not await store.pause_schedule("north", "unknown", None, "somebody")


async def test_what_a_file_states_is_not_overwritten_and_the_other_way_round(store: ScheduleStore) -> None:
    await put(store, nightly(), source="file")
    at = await store.clock()
    other = nightly(cron="* * * * *")
    assert not await store.put_schedule(other, source="api", next_at=at, user_hash=None, actor="somebody")
    assert not await store.remove_schedule("north", "nightly", source="api", actor="somebody")
    assert (await row_of(store)).schedule == nightly()


async def test_every_change_is_audited(store: ScheduleStore) -> None:
    await put(store, nightly())
    await store.pause_schedule("north", "nightly", None, "somebody")
    await store.pause_schedule("north", "nightly", await store.clock(), "somebody")
    await store.remove_schedule("north", "nightly", source="api", actor="somebody")
    found = [row for row in await store.audit() if row.actor == "somebody"]
    assert [row.action for row in reversed(found)] == [
        "schedule_set",
        "schedule_paused",
        "schedule_resumed",
        "schedule_removed",
    ]
    assert {(row.tenant, row.content["name"]) for row in found} == {("north", "nightly")}


async def test_a_sweep_says_when_a_schedule_is_due(store: ScheduleStore) -> None:
    assert not (await store.sweep()).schedules
    await put(store, nightly(), timedelta(seconds=-90))
    swept = await store.sweep()
    assert not swept.schedules
    assert swept.next_expiry is not None
    assert 60 < swept.next_expiry <= 90
    await put(store, nightly(cron="0 4 * * *"))
    assert (await store.sweep()).schedules
    await store.pause_schedule("north", "nightly", None, "somebody")
    swept = await store.sweep()
    assert (swept.schedules, swept.next_expiry) == (False, None)


async def test_sweepers_hear_of_a_schedule_that_was_put(store: ScheduleStore) -> None:
    heard: list[Hint] = []
    store.subscribe(heard.append)
    await put(store, nightly())
    await asyncio.sleep(0)
    assert Hint.TIMER in heard


async def test_the_one_that_waits_longest_comes_first(store: ScheduleStore) -> None:
    for name, since in (("late", HOUR), ("later", 2 * HOUR), ("latest", 3 * HOUR), ("ahead", -HOUR)):
        await put(store, nightly(name), since)
    assert [row.schedule.name for row in await store.due_schedules(2)] == ["latest", "later"]
    assert len(await store.due_schedules(10)) == 3


async def test_firing_submits_and_moves_on_at_once(store: ScheduleStore) -> None:
    row = await put(store, nightly())
    task = task_at(row, row.next_at)
    [submitted] = await fired(store, firing(row, task))
    assert (submitted.task_id, submitted.created) == (task.id, True)
    after = await row_of(store)
    assert after.last_at == row.next_at
    assert after.next_at > after.now
    assert not await store.due_schedules(10)
    assert await store.known_tasks("north", [str(task.idempotency_key)]) == {task.idempotency_key: task.id}
    assert [each.id for each in await store.tasks(TaskFilter())] == [task.id]


async def fired(store: ScheduleStore, wanted: Firing) -> Sequence[Submitted]:
    found = await store.fire(wanted)
    assert found is not None
    return found


async def test_who_comes_second_fires_nothing(store: ScheduleStore, other_store: ScheduleStore) -> None:
    row = await put(store, nightly())
    await fired(store, firing(row, task_at(row, row.next_at)))
    assert await other_store.fire(firing(row, task_at(row, row.next_at))) is None
    assert len(await store.tasks(TaskFilter())) == 1


@pytest.mark.parametrize("change", ["put", "paused", "removed"])
async def test_one_that_was_changed_meanwhile_is_not_fired(store: ScheduleStore, change: str) -> None:
    row = await put(store, nightly())
    match change:
        case "put":
            await put(store, nightly(input={"topic": "bees"}))
        case "paused":
            await store.pause_schedule("north", "nightly", None, "somebody")
        case _:
            await store.remove_schedule("north", "nightly", source="api", actor="somebody")
    assert await store.fire(firing(row, task_at(row, row.next_at))) is None
    assert not await store.tasks(TaskFilter())


async def test_one_that_is_not_due_is_not_fired(store: ScheduleStore) -> None:
    row = await put(store, nightly(), -HOUR)
    assert await store.fire(firing(row, task_at(row, row.next_at))) is None
    assert not await store.tasks(TaskFilter())


async def test_a_time_that_made_its_task_makes_no_other_one(store: ScheduleStore) -> None:
    row = await put(store, nightly())
    first = task_at(row, row.next_at)
    await store.submit([first])
    new = task_at(row, row.next_at + HOUR, input={"topic": "other"})
    known, made = await fired(store, firing(row, task_at(row, row.next_at, input={"topic": "other"}), new))
    assert (known.task_id, known.created) == (first.id, False)
    assert (made.task_id, made.created) == (new.id, True)


async def test_a_key_that_somebody_else_used_keeps_everything_as_it_was(store: ScheduleStore) -> None:
    row = await put(store, nightly())
    await store.submit([replace(task_at(row, row.next_at), fingerprint="of a client")])
    with pytest.raises(IdempotencyMismatch):
        await store.fire(firing(row, task_at(row, row.next_at)))
    after = await row_of(store)
    assert after == replace(row, now=after.now)


async def test_a_fault_is_kept_until_a_time_makes_its_task(store: ScheduleStore) -> None:
    row = await put(store, nightly())
    fault = ScheduleFault(code="unknown_name", detail="it is gone ☃", at=row.next_at)
    assert await store.fire(firing(row, next_at=row.next_at + timedelta(minutes=1), fault=fault)) == ()
    row = await row_of(store)
    assert row.fault == fault
    await fired(store, firing(row, task_at(row, row.next_at)))
    assert (await row_of(store)).fault is None


async def test_of_many_who_see_it_due_one_fires_each_time(store: ScheduleStore, other_store: ScheduleStore) -> None:
    names = [f"s{number}" for number in range(6)]
    for name in names:
        await put(store, nightly(name), 5 * HOUR)
    won: list[int] = []

    async def sweeper(mine: ScheduleStore, chance: random.Random) -> None:
        while due := await mine.due_schedules(10):
            row = chance.choice(list(due))
            made = await mine.fire(firing(row, task_at(row, row.next_at), next_at=row.next_at + HOUR))
            won.append(made is not None)

    await asyncio.gather(*[sweeper(mine, random.Random(at)) for at in range(3) for mine in (store, other_store)])
    keys = [key_of(name, (await row_of(store, name)).last_at or datetime.now(UTC)) for name in names]
    assert len(await store.known_tasks("north", keys)) == len(names)
    tasks = await store.tasks(TaskFilter(limit=1000))
    assert len(tasks) == sum(won) == len(names) * 6
    assert won.count(0) > 0, "nobody came second: this test saw no race"


async def test_whoever_is_refused_holds_nothing_any_more_when_he_hears_of_it(store: ScheduleStore) -> None:
    """Who fires passes by what is locked: also the lock that his own refused transaction still has on the server."""
    row = await put(store, nightly())
    taken = new_task(idempotency_key=key_of("nightly", row.next_at), fingerprint="a client")
    await store.submit([taken])
    for _ in range(30):
        await asyncio.gather(*(store.submit([new_task()]) for _ in range(4)))  # so that there is another connection
        with pytest.raises(IdempotencyMismatch):
            await store.fire(firing(row, task_at(row, row.next_at)))
        assert await store.fire(firing(row, next_at=row.next_at)) == ()
