"""Schedules fire: by the clock of the database, after long stops, with targets that are gone, and as files say."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agentplat.contracts.firing import ScheduleRow
from agentplat.contracts.interface import Submission, TaskFilter
from agentplat.contracts.schedules import Schedule
from agentplat.contracts.specs import WorkflowSpec
from agentplat.domain.errors import ConflictError, InputRejected, NotFound
from agentplat.domain.ids import TaskId
from agentplat.engine.client.local import LocalClient
from agentplat.engine.client.schedules.firing import Scheduler
from agentplat.engine.client.schedules.planning import key_of, plan
from agentplat.language.cron import next_times
from agentplat.plugins.registry import Registries, RegistryBuilder
from agentplat.runtime.sweeper import sweep_forever, sweep_once

from .harness import Engine

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
STEPS = "steps: [{name: first, agent: one}]\n"


class Office:
    """An engine whose workflows are files of the test."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.store = engine.store
        self.registries: Registries = engine.registries
        self.client = LocalClient(
            self.store,
            lambda: self.registries,
            engine.definitions,
            hash_user=lambda user: user.encode().hex(),
            plugins=list,
            development=True,
            project=folder,
            reload=self.reload,
        )
        self.scheduler = Scheduler(self.store, lambda: self.registries, engine.definitions)

    async def with_time_left_of_the_minute(self) -> None:
        """Wait for the next one where this one is about to end."""
        if (now := await self.store.clock()).second >= 40:
            await asyncio.sleep(61 - now.second)

    def write(self, name: str, more: str = "") -> None:
        (self.folder / "workflows").mkdir(exist_ok=True)
        (self.folder / "workflows" / f"{name}.yaml").write_text(f"name: {name}\n{more}{STEPS}")
        self.reload()

    def remove(self, name: str) -> None:
        (self.folder / "workflows" / f"{name}.yaml").unlink()
        self.reload()

    def reload(self) -> None:
        builder = RegistryBuilder()
        for name in self.engine.registries.agents.names:
            builder.register(self.engine.registries.agents.spec(name))
        for name in self.engine.registries.strategies.names:
            builder.register(self.engine.registries.strategies.spec(name))
        for file in sorted((self.folder / "workflows").glob("*.yaml")):
            builder.register(WorkflowSpec(name=file.stem, file=str(file)))
        self.registries = builder.build()

    async def stopped(self, schedule: Schedule, since: timedelta) -> ScheduleRow:
        """As if nothing had run for so long: its next time is the first one after the stop."""
        await self.client.schedules.put(schedule)
        await self.store.remove_schedule(schedule.tenant, schedule.name, source="api", actor="test")
        zone = ZoneInfo(schedule.timezone)
        [next_at] = next_times(schedule.cron, zone, await self.store.clock() - since, 1)
        await self.store.put_schedule(schedule, source="api", next_at=next_at, user_hash=None, actor="test")
        return await self.row(schedule.name)

    async def row(self, name: str) -> ScheduleRow:
        [row] = await self.store.schedules("default", name)
        return row

    async def times(self, row: ScheduleRow, most: int = 3000) -> list[datetime]:
        """Which due times made a task, of those that could."""
        zone = ZoneInfo(row.schedule.timezone)
        now = await self.store.clock()
        candidates = [at for at in next_times(row.schedule.cron, zone, now - 8 * DAY, 30_000) if at <= now][-most:]
        keys = {key_of(row.schedule.name, at): at for at in candidates}
        asked = list(keys)
        found: dict[str, Any] = {}
        for start in range(0, len(asked), 200):
            found |= await self.store.known_tasks("default", asked[start : start + 200])
        assert len({*found.values()}) == len(found) == len(await self.store.tasks(TaskFilter(limit=5000)))
        return sorted(keys[key] for key in found)


@pytest.fixture
def office(engine: Engine, tmp_path: Path) -> Office:
    made = Office(engine, tmp_path)
    made.write("report")
    return made


def report(**values: Any) -> Schedule:
    return Schedule(**{"name": "daily", "target": "report", "cron": "0 * * * *", **values})


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"catch_up": "skip"}, 0),
        ({"catch_up": "last"}, 1),
        ({"catch_up": "all"}, 72),
        ({"catch_up": "all", "catch_up_limit": 10}, 10),
    ],
)
async def test_after_a_long_stop_the_policy_says_what_is_made_up_for(
    values: Mapping[str, Any], expected: int, office: Office
) -> None:
    # Not at the hour: a time within the last minute is on time, whatever the policy.
    now = await office.store.clock()
    minute = (now - 20 * MINUTE).minute
    row = await office.stopped(report(cron=f"{minute} * * * *", **values), 3 * DAY)
    await sweep_once(office.store, office.scheduler)
    due = [at for at in next_times(row.schedule.cron, UTC, row.next_at - MINUTE, 100) if at <= now]
    assert len(due) == 72
    assert await office.times(row) == due[len(due) - expected :]
    after = await office.row("daily")
    assert after.next_at == next_times(row.schedule.cron, UTC, now, 1)[0]
    assert after.last_at == (due[-1] if expected else None)
    await sweep_once(office.store, office.scheduler)
    assert len(await office.times(row)) == expected


async def test_a_time_that_is_late_by_seconds_is_not_missed(office: Office) -> None:
    await office.with_time_left_of_the_minute()
    row = await office.stopped(report(cron="* * * * *"), MINUTE)
    assert timedelta(0) <= row.now - row.next_at < MINUTE
    await sweep_once(office.store, office.scheduler)
    assert await office.times(row) == [row.next_at]


async def test_a_year_of_missed_minutes_is_passed_over_at_once(office: Office) -> None:
    row = await office.stopped(report(cron="* * * * *", catch_up="last"), 365 * DAY)
    planned = plan(row)
    assert len(planned.times) == 1
    assert row.now - planned.times[0] < MINUTE
    assert timedelta(0) < planned.next_at - row.now <= MINUTE


async def test_the_task_has_the_input_the_workflow_and_an_actor(office: Office) -> None:
    office.write("report", "input: {topic: string, depth: {type: integer, default: 3}}\n")
    await office.stopped(report(input={"topic": "bees"}, catch_up="last"), DAY)
    await office.scheduler.fire()
    [task] = await office.store.tasks(TaskFilter())
    assert (task.type, task.input, task.user_hash) == ("workflow:report", {"topic": "bees", "depth": 3}, None)
    assert task.definition is not None
    assert [row.actor for row in await office.store.audit() if row.task_id == task.id] == ["schedule:daily"]
    view = await office.client.schedules.one("daily")
    assert view.last_task_id == task.id
    office.engine.start_worker()
    assert (await office.engine.ended(task.id)).output == {"from": "one"}


async def test_the_input_may_name_the_time_for_which_a_task_is(office: Office) -> None:
    """In the schedule's timezone: a day there is not a day in UTC."""
    given = {
        "topic": "news of ${{ schedule.date }}",
        "of": {"due": "${{ schedule.due }}", "by": "${{ schedule.name }}"},
    }
    await office.client.schedules.put(report(cron="30 23 * * *", timezone="America/New_York", input=given))
    since = datetime(2026, 3, 7, 12, tzinfo=UTC)
    made = await office.client.schedules.backfill("daily", since, since + 2 * DAY)
    tasks = [await office.store.task(TaskId(each.task_id)) for each in made if each.task_id is not None]
    assert [task.input for task in tasks] == [
        {"topic": "news of 2026-03-07", "of": {"due": "2026-03-07T23:30:00-05:00", "by": "daily"}},
        {"topic": "news of 2026-03-08", "of": {"due": "2026-03-08T23:30:00-04:00", "by": "daily"}},
    ]
    assert [each.at.hour for each in made] == [4, 3]


@pytest.mark.parametrize("text", ["${{ input.topic }}", "${{ schedule.dew }}", "${{ schedule"])
async def test_an_input_that_cannot_be_evaluated_is_refused(text: str, office: Office) -> None:
    with pytest.raises(InputRejected, match="/input"):
        await office.client.schedules.put(report(input={"topic": text}))
    assert not await office.client.schedules.all()


async def test_a_workflow_that_is_gone_is_said_on_the_schedule_and_comes_back_with_it(office: Office) -> None:
    office.write("letter")
    row = await office.stopped(report(target="letter", catch_up="last"), DAY)
    office.remove("letter")
    for _ in range(3):
        await sweep_once(office.store, office.scheduler)
    broken = await office.client.schedules.one("daily")
    assert broken.fault is not None
    assert broken.fault.code == "unknown_name"
    assert "letter" in broken.fault.detail
    assert broken.next_at is not None
    assert broken.next_at > row.now
    assert (broken.last_at, broken.last_task_id) == (broken.fault.at, None)
    assert not await office.store.tasks(TaskFilter())
    office.write("letter")
    await office.stopped(report(target="letter", catch_up="last"), DAY)
    await office.scheduler.fire()
    assert (await office.client.schedules.one("daily")).fault is None
    assert len(await office.store.tasks(TaskFilter())) == 1


async def test_an_input_that_is_no_longer_valid_is_said_on_the_schedule(office: Office) -> None:
    await office.stopped(report(catch_up="last"), DAY)
    office.write("report", "input: {topic: string}\n")
    await office.scheduler.fire()
    fault = (await office.client.schedules.one("daily")).fault
    assert fault is not None
    assert fault.code == "input_rejected"
    assert "/input/topic" in fault.detail


async def test_a_timezone_that_is_not_known_any_more_is_looked_at_again_later(office: Office) -> None:
    at = await office.store.clock() - HOUR
    strange = report(timezone="Europe/Atlantis")
    assert await office.store.put_schedule(strange, source="api", next_at=at, user_hash=None, actor="test")
    await office.scheduler.fire()
    view = await office.client.schedules.one("daily")
    assert view.fault is not None
    assert (view.fault.code, view.fault.at) == ("input_rejected", at)
    assert not await office.store.due_schedules(10)


async def test_a_key_that_a_client_used_is_said_on_the_schedule(office: Office) -> None:
    row = await office.stopped(report(catch_up="last"), DAY)
    last = plan(row).times[-1]
    taken = Submission(type="workflow:report", input={}, idempotency_key=key_of("daily", last))
    await office.client.submit(taken)
    await office.scheduler.fire()
    fault = (await office.client.schedules.one("daily")).fault
    assert fault is not None
    assert fault.code == "idempotency_mismatch"
    assert not await office.store.due_schedules(10)


@pytest.mark.parametrize("lacks", ["the workflow", "its agent"])
@pytest.mark.parametrize("catch_up", ["skip", "all"])
async def test_a_process_that_lacks_the_workflow_leaves_its_time_to_others(
    catch_up: str, lacks: str, office: Office
) -> None:
    await office.with_time_left_of_the_minute()  # others have three quarters of it
    row = await office.stopped(report(cron="* * * * *", catch_up=catch_up), MINUTE)
    builder = RegistryBuilder()
    if lacks == "its agent":
        builder.register(office.registries.workflows.spec("report"))
    without = builder.build()
    other = Scheduler(office.store, lambda: without, office.engine.definitions)
    for _ in range(3):
        assert await sweep_once(office.store, other) > 0.05, "it looks again and again for what is not its business"
    assert (await office.row("daily")).next_at == row.next_at
    await sweep_once(office.store, office.scheduler)
    view = await office.client.schedules.one("daily")
    assert (view.last_at, view.fault) == (row.next_at, None)
    assert len(await office.store.tasks(TaskFilter())) == 1


@pytest.mark.parametrize("catch_up", ["skip", "last", "all"])
async def test_what_no_process_has_for_long_is_said_before_its_time_counts_as_missed(
    catch_up: str, office: Office
) -> None:
    row = await office.stopped(report(cron="* * * * *", catch_up=catch_up), MINUTE)
    office.remove("report")
    early, late = (replace(row, now=row.next_at + timedelta(seconds=seconds)) for seconds in (44, 46))
    firing = office.scheduler._decided(late)

    assert office.scheduler._decided(early) is None
    assert firing is not None
    assert firing.fault is not None
    assert (firing.fault.code, firing.last_at) == ("unknown_name", row.next_at)
    assert firing.next_at == row.next_at + MINUTE


async def test_sweepers_wait_for_the_next_time_and_no_longer(office: Office) -> None:
    sweeping = asyncio.create_task(sweep_forever(office.store, office.scheduler))
    try:
        await asyncio.sleep(0.2)  # it sleeps by now, for ten seconds if nobody says otherwise
        due = await office.store.clock() + timedelta(seconds=1)
        assert await office.store.put_schedule(report(), source="api", next_at=due, user_hash=None, actor="test")
        async with asyncio.timeout(30):
            while (await office.row("daily")).next_at == due:  # noqa: ASYNC110  # the database is looked at
                await asyncio.sleep(0.02)
        # `due` is no time of its cron expression, so nothing is made; but it was looked at, when it came.
        assert not await office.store.tasks(TaskFilter())
        assert not sweeping.done()
    finally:
        sweeping.cancel()


# --- files ---------------------------------------------------------------------------------------------------


async def test_a_file_makes_changes_and_removes_its_schedule(office: Office) -> None:
    office.write(
        "weekly", 'schedule: {cron: "0 7 * * 1", timezone: Europe/Copenhagen, catch_up: last, input: {a: 1}}\n'
    )
    await office.scheduler.follow()
    made = await office.client.schedules.one("weekly")
    assert made.schedule == Schedule(
        name="weekly",
        target="weekly",
        cron="0 7 * * 1",
        timezone="Europe/Copenhagen",
        catch_up="last",
        input={"a": 1},
    )
    assert made.source == "file"
    office.write("weekly", 'schedule: {cron: "0 8 * * 1"}\n')
    await office.scheduler.follow()
    changed = await office.client.schedules.one("weekly")
    assert changed.schedule.cron == "0 8 * * 1"
    office.write("weekly")
    await office.scheduler.follow()
    with pytest.raises(NotFound):
        await office.client.schedules.one("weekly")


async def test_one_that_somebody_paused_stays_paused_over_an_edit(office: Office) -> None:
    office.write("weekly", 'schedule: {cron: "0 7 * * 1"}\n')
    await office.scheduler.follow()
    await office.client.schedules.pause("weekly")
    office.write("weekly", 'schedule: {cron: "0 8 * * 1"}\n')
    await office.scheduler.follow()
    found = await office.client.schedules.one("weekly")
    assert (found.paused, found.schedule.cron, found.upcoming) == (True, "0 8 * * 1", ())


async def test_a_restart_does_not_drop_what_is_due(office: Office) -> None:
    office.write("weekly", 'schedule: {cron: "* * * * *", catch_up: last}\n')
    await office.scheduler.follow()
    row = await office.row("weekly")
    await office.store.remove_schedule("default", "weekly", source="file", actor="test")
    long_ago = row.next_at - DAY
    await office.store.put_schedule(row.schedule, source="file", next_at=long_ago, user_hash=None, actor="test")
    restarted = Scheduler(office.store, lambda: office.registries, office.engine.definitions)
    await restarted.follow()
    assert (await office.row("weekly")).next_at == long_ago
    await restarted.fire()
    assert len(await office.store.tasks(TaskFilter())) == 1


async def test_nothing_is_written_while_the_files_say_the_same(office: Office) -> None:
    office.write("weekly", 'schedule: {cron: "0 7 * * 1"}\n')
    await office.scheduler.follow()
    before = await office.row("weekly")
    audited = len(await office.store.audit())
    office.write("weekly", 'description: other\nschedule: {cron: "0  7 * * 1"}\n')
    await office.scheduler.follow()
    after = await office.row("weekly")
    assert (after.revision, len(await office.store.audit())) == (before.revision, audited)


@pytest.mark.parametrize("broken", ["gone", "invalid"])
async def test_a_file_that_is_gone_or_broken_keeps_its_schedule(broken: str, office: Office) -> None:
    office.write("weekly", 'schedule: {cron: "0 7 * * 1"}\n')
    await office.scheduler.follow()
    if broken == "gone":
        office.remove("weekly")
    else:
        office.write("weekly", "nonsense: true\n")
    await Scheduler(office.store, lambda: office.registries, office.engine.definitions).follow()
    assert (await office.client.schedules.one("weekly")).source == "file"


async def test_a_file_that_the_database_refuses_stops_nothing(office: Office) -> None:
    office.write("strange", 'schedule: {cron: "0 7 * * 1", input: {a: "\\0"}}\n')
    office.write("weekly", 'schedule: {cron: "0 7 * * 1"}\n')
    await office.scheduler.follow()
    assert (await office.client.schedules.one("weekly")).source == "file"


async def test_a_fault_is_said_whatever_is_in_its_text(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    await office.stopped(report(catch_up="last"), DAY)

    def refuse(*_: object) -> None:
        raise InputRejected("The input", [("/a", "is \0 or \ud800 " + "x" * 5000)])

    monkeypatch.setattr("agentplat.engine.client.schedules.firing.tasks_of", refuse)
    await office.scheduler.fire()
    fault = (await office.client.schedules.one("daily")).fault
    assert fault is not None
    assert fault.code == "input_rejected"
    assert fault.detail.startswith("The input does not fit: /a is ")
    assert len(fault.detail) == 2000


async def test_a_name_that_was_set_otherwise_stays_as_it_was_set(office: Office) -> None:
    await office.client.schedules.put(report(name="weekly"))
    office.write("weekly", 'schedule: {cron: "0 7 * * 1"}\n')
    await office.scheduler.follow()
    assert (await office.client.schedules.one("weekly")).schedule == report(name="weekly")


async def test_a_workflow_that_is_put_has_its_schedule_at_once(office: Office) -> None:
    text = f'name: weekly\nschedule: {{cron: "0 7 * * 1"}}\n{STEPS}'
    file = await office.client.put_workflow("weekly", text, None)
    assert (await office.client.schedules.one("weekly")).schedule.cron == "0 7 * * 1"
    await office.client.put_workflow("weekly", f"name: weekly\n{STEPS}", file.text_hash)
    assert not await office.client.schedules.all()


async def test_what_a_file_states_is_changed_by_its_file_only(office: Office) -> None:
    office.write("weekly", 'schedule: {cron: "0 7 * * 1"}\n')
    await office.scheduler.follow()
    with pytest.raises(ConflictError, match="workflow's file"):
        await office.client.schedules.put(report(name="weekly"))
    with pytest.raises(ConflictError, match="workflow's file"):
        await office.client.schedules.remove("weekly")


# --- clients -------------------------------------------------------------------------------------------------


async def test_what_is_put_is_shown_with_its_next_times(office: Office) -> None:
    made = await office.client.schedules.put(report(cron="0 7 * * *", timezone="Europe/Copenhagen"))
    now = await office.store.clock()
    assert made.upcoming == tuple(next_times("0 7 * * *", ZoneInfo("Europe/Copenhagen"), now, 5))
    assert made.next_at == made.upcoming[0]
    assert await office.client.schedules.all() == [made]
    await office.client.schedules.remove("daily")
    assert not await office.client.schedules.all("default")


@pytest.mark.parametrize(
    ("values", "pointers"),
    [
        ({"cron": "0 25 * * *"}, ["/cron"]),
        ({"cron": "0 0 31 2 *"}, ["/cron"]),
        ({"cron": "0 7 * *", "timezone": "Mars/Olympus"}, ["/cron", "/timezone"]),
        ({"timezone": "../../etc/passwd"}, ["/timezone"]),
        ({"timezone": ""}, ["/timezone"]),
        ({"target": "letter"}, ["/target"]),
        ({"target": ""}, ["/target"]),
        ({"input": {"a": "\0"}}, ["/input/a"]),
        ({"name": "a b"}, ["/name"]),
        ({"catch_up_limit": 0}, ["/catch_up_limit"]),
        ({"catch_up_limit": 1001}, ["/catch_up_limit"]),
        ({"catch_up": "some"}, ["/catch_up"]),
        ({"cron": " ".join("*" * 300)}, ["/cron"]),
        ({"tenant": ""}, ["/tenant_id"]),
    ],
)
async def test_nonsense_is_refused_at_the_door(values: Mapping[str, Any], pointers: list[str], office: Office) -> None:
    with pytest.raises(InputRejected) as refused:
        await office.client.schedules.put(report(**values))
    assert [pointer for pointer, _ in refused.value.faults] == pointers
    assert not await office.client.schedules.all()


async def test_an_input_that_the_workflow_does_not_take_is_refused(office: Office) -> None:
    office.write("report", "input: {topic: string}\n")
    with pytest.raises(InputRejected, match="/input/topic"):
        await office.client.schedules.put(report())


async def test_an_address_in_the_input_is_kept_nowhere(office: Office) -> None:
    given = {"user_email": "ada@example.org", "note": "for ada@example.org", "_trace_context": {"trace_id": "0" * 32}}
    made = await office.client.schedules.put(report(input=given))
    assert made.schedule.input == {"note": "for [user]"}
    row = await office.row("daily")
    assert row.user_hash == b"ada@example.org".hex()
    audited = [entry.content for entry in await office.store.audit()]
    assert "ada@example.org" not in f"{row} {audited}"


async def test_time_that_passes_while_it_is_paused_is_not_missed(office: Office) -> None:
    await office.stopped(report(catch_up="all"), DAY)
    paused = await office.client.schedules.pause("daily")
    assert (paused.paused, paused.next_at) == (True, None)
    await sweep_once(office.store, office.scheduler)
    resumed = await office.client.schedules.resume("daily")
    assert not resumed.paused
    assert resumed.next_at is not None
    assert resumed.next_at > await office.store.clock()
    await sweep_once(office.store, office.scheduler)
    assert not await office.store.tasks(TaskFilter())
    # To resume what runs changes nothing.
    assert await office.client.schedules.resume("daily") == resumed


async def test_a_backfill_makes_up_for_what_was_missed_and_doubles_nothing(office: Office) -> None:
    row = await office.stopped(report(catch_up="last"), DAY)
    await office.scheduler.fire()
    [ran] = await office.times(row)
    since = ran - 5 * HOUR
    quoted = await office.client.schedules.backfill("daily", since, ran, quote=True)
    assert [each.at for each in quoted] == [ran - back * HOUR for back in range(5, -1, -1)]
    assert [each.task_id is not None for each in quoted] == [False] * 5 + [True]
    assert not any(each.created for each in quoted)
    assert len(await office.times(row)) == 1
    made = await office.client.schedules.backfill("daily", since, ran)
    assert [each.created for each in made] == [True] * 5 + [False]
    again = await office.client.schedules.backfill("daily", since, ran)
    assert [(each.at, each.task_id) for each in again] == [(each.at, each.task_id) for each in made]
    assert not any(each.created for each in again)
    assert await office.times(row) == [each.at for each in made]
    assert (await office.row("daily")).last_at == ran


async def test_a_paused_schedule_can_be_backfilled_and_with_its_newest_input(office: Office) -> None:
    row = await office.stopped(report(), DAY)
    await office.client.schedules.pause("daily")
    await office.client.schedules.put(report(input={"a": 1}))
    [made] = await office.client.schedules.backfill("daily", row.next_at, row.next_at)
    assert made.task_id is not None
    assert (await office.client.task(made.task_id)).input == {"a": 1}


@pytest.mark.parametrize(
    ("since", "until", "pointer"),
    [
        (-DAY, HOUR, "/to"),
        (-HOUR, -DAY, "/from"),
        (-3 * DAY, -HOUR, "/to"),
    ],
)
async def test_a_backfill_has_bounds(since: timedelta, until: timedelta, pointer: str, office: Office) -> None:
    await office.client.schedules.put(report(cron="* * * * *"))
    now = await office.store.clock()
    with pytest.raises(InputRejected) as refused:
        await office.client.schedules.backfill("daily", now + since, now + until)
    assert [at for at, _ in refused.value.faults] == [pointer]
    assert not await office.store.tasks(TaskFilter())


async def test_a_backfill_without_a_time_zone_is_refused(office: Office) -> None:
    await office.client.schedules.put(report())
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    with pytest.raises(InputRejected, match="/from has no time zone; /to has no time zone"):
        await office.client.schedules.backfill("daily", naive, naive)


@pytest.mark.parametrize("verb", ["one", "remove", "pause", "resume"])
async def test_an_unknown_schedule_is_not_found(verb: str, office: Office) -> None:
    with pytest.raises(NotFound, match="no schedule 'unknown'"):
        await getattr(office.client.schedules, verb)("unknown")
