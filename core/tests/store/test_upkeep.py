"""What was kept long enough is removed, on both databases."""

from contextlib import aclosing

import pytest

from agentplat.contracts.store import Definition, Store
from agentplat.contracts.stored.retention import Retention
from agentplat.domain.errors import NotFound
from agentplat.domain.task import TaskState

from .ageing import age, counted, ended, months_since, open_since
from .making import kinds, new_task, signal, submitted
from .outside import execute

DOCUMENT = Definition(hash="h", name="n", version=None, document={})


async def upkeep(store: Store, **days: int) -> dict[str, int]:
    """What one pass removed, by table."""
    removed: dict[str, int] = {}
    async with aclosing(store.upkeep(Retention(**days))) as steps:
        async for step in steps:
            for table, rows in step.rows.items():
                removed[table] = removed.get(table, 0) + rows
    return {table: rows for table, rows in removed.items() if rows}


async def test_unless_told_otherwise_only_keys_are_removed(store: Store, database_url: str) -> None:
    task_id = await ended(store, database_url, 1000.0, idempotency_key="k", fingerprint="f")
    age(database_url, "audit", "at", 1000.0)
    age(database_url, "submissions", "created_at", 31.0)
    assert await upkeep(store) == {"submissions": 1}
    assert len(await kinds(store, task_id)) == 3
    assert len(await store.audit()) == 2


async def test_a_key_is_kept_for_its_time_and_stands_for_a_new_task_afterwards(store: Store, database_url: str) -> None:
    first = await submitted(store, idempotency_key="k", fingerprint="f")
    age(database_url, "submissions", "created_at", 29.0)
    assert await upkeep(store) == {}
    again = new_task(idempotency_key="k", fingerprint="f")
    assert [result.task_id for result in await store.submit([again])] == [first]
    age(database_url, "submissions", "created_at", 31.0)
    assert await upkeep(store) == {"submissions": 1}
    assert [result.task_id for result in await store.submit([again])] == [again.id]


async def test_more_keys_than_a_step_takes_are_removed_in_several(store: Store, database_url: str) -> None:
    await store.submit([new_task(idempotency_key=f"k{number}") for number in range(1100)])
    age(database_url, "submissions", "created_at", 31.0)
    steps = [step.rows async for step in store.upkeep(Retention())]
    assert steps == [{"submissions": 1000}, {"submissions": 100}]


async def test_audit_is_removed_only_where_that_is_asked_for(store: Store, database_url: str) -> None:
    await submitted(store)
    age(database_url, "audit", "at", 400.0)
    young = await submitted(store)
    assert await upkeep(store, audit=365) == {"audit": 1}
    assert [row.task_id for row in await store.audit()] == [young]


@pytest.fixture
def by_month(database_url: str) -> None:
    """On PostgreSQL, partitions as they are after two years of upkeep."""
    if database_url.startswith("postgresql"):
        months_since(database_url, 730.0)


async def test_the_history_of_an_ended_task_goes_and_the_task_stays(
    store: Store, database_url: str, by_month: None
) -> None:
    old, young = await ended(store, database_url, 100.0), await ended(store, database_url, 0.0)
    await upkeep(store, history=30)
    row = await store.task(old)
    assert (row.status, row.last_seq) == (TaskState.DONE, 0)
    assert (await store.journal(old), await store.calls(old)) == ([], [])
    assert len(await kinds(store, young)) == 3
    assert len(await store.calls(young)) == 1
    assert await upkeep(store, history=30) == {}


async def test_an_open_task_keeps_its_history_however_old_it_is(
    store: Store, database_url: str, by_month: None
) -> None:
    task_id = await open_since(store, database_url, 700.0)
    beside = await ended(store, database_url, 699.0)
    await upkeep(store, history=1, tasks=7, audit=1)
    assert await kinds(store, task_id) == ["TaskSubmitted", "TaskClaimed"]
    assert len(await store.calls(task_id)) == 1
    assert (await store.task(task_id)).status is TaskState.RUNNING
    assert await store.tell(signal(task_id))
    with pytest.raises(NotFound):
        await store.task(beside)


async def test_the_time_counts_from_the_end_of_a_task(store: Store, database_url: str, by_month: None) -> None:
    task_id = await ended(store, database_url, 5.0, lived=500.0)
    assert await upkeep(store, history=30) == {}
    assert len(await kinds(store, task_id)) == 3


async def test_a_task_goes_with_its_history_and_its_audit_stays(
    store: Store, database_url: str, by_month: None
) -> None:
    task_id = await ended(store, database_url, 400.0)
    recent = await ended(store, database_url, 100.0)
    removed = await upkeep(store, history=30, tasks=365)
    assert removed["tasks"] == 1
    with pytest.raises(NotFound):
        await store.task(task_id)
    assert (await store.task(recent)).last_seq == 0
    assert [row.action for row in await store.audit() if row.task_id == task_id] == ["task_done", "task_submitted"]


async def test_history_is_not_kept_longer_than_its_task(store: Store, database_url: str, by_month: None) -> None:
    task_id = await ended(store, database_url, 400.0)
    assert (await upkeep(store, tasks=365))["tasks"] == 1
    assert [counted(database_url, table, task_id) for table in ("tasks", "journal", "calls")] == [0, 0, 0]


async def test_a_definition_goes_a_day_after_the_last_task_that_named_it(store: Store, database_url: str) -> None:
    await store.submit([new_task(definition="h", type="workflow:n")], [DOCUMENT])
    await upkeep(store, tasks=365)
    assert (await store.definition("h")).name == "n"  # named by an open task
    execute(database_url, "delete from agentplat.tasks")
    assert "definitions" not in await upkeep(store, tasks=365)  # nobody names it, from now on
    assert (await store.definition("h")).name == "n"
    age(database_url, "definitions", "unnamed_at", 2.0)
    assert await upkeep(store, tasks=365) == {"definitions": 1}
    with pytest.raises(NotFound):
        await store.definition("h")


async def test_a_definition_that_is_named_again_stays(store: Store, database_url: str) -> None:
    await store.submit([new_task(definition="h", type="workflow:n")], [DOCUMENT])
    execute(database_url, "delete from agentplat.tasks")
    await upkeep(store, tasks=365)
    age(database_url, "definitions", "unnamed_at", 2.0)
    await store.submit([new_task(definition="h", type="workflow:n")], [DOCUMENT])
    assert await upkeep(store, tasks=365) == {}
    assert (await store.definition("h")).name == "n"


async def test_a_pass_that_is_left_half_way_is_taken_up_by_the_next(store: Store, database_url: str) -> None:
    await store.submit([new_task(idempotency_key=f"k{number}") for number in range(1100)])
    age(database_url, "submissions", "created_at", 31.0)
    async with aclosing(store.upkeep(Retention())) as steps:
        await anext(steps)
    assert counted(database_url, "submissions") == 100
    assert await upkeep(store) == {"submissions": 100}
