"""Which indexes PostgreSQL uses, with many tasks, whether or not its statistics are fresh."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import pytest
from agentplat_testkit.databases import PostgresDatabases
from agentplat_testkit.pytest_plugin import needs_own_sessions

from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.limits import Limit
from agentplat.contracts.store import CallRow, Definition, End, Park, Release, Store
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.task import TaskState
from agentplat.domain.usage import Usage
from agentplat.store import statements
from agentplat.store.connect import open_store
from agentplat.store.script import parameters
from agentplat.store.sql_store import SqlStore
from agentplat.store.transactions import partitions, retention
from agentplat.store.transactions.partitions import first_id

from .making import block, new_task, signal, started, working, writing
from .plans import (
    MANY,
    Plans,
    divided_at,
    filled_and_analyzed,
    filled_behind_statistics,
    filled_without_statistics,
    scans,
    walks,
)

pytestmark = needs_own_sessions  # the plans are of a session whose settings are the store's

TASK = TaskId(UUID(f"01900000-0000-7000-8000-{MANY - 97:012x}"))  # one that a worker owns
OWNER = WorkerId(UUID(f"01900000-0000-4000-8000-{(MANY - 97) % 50:012x}"))
SOME = "array['01900000-0000-7000-8000-000000007000', '01900000-0000-7000-8000-000000007001']::uuid[]"
ONE = "'01900000-0000-4000-8000-000000000003'::uuid"

ON_SQLITE = {"choice", "choose_fairly", "claim_chosen", "news"}
STATEMENTS = sorted({each.stem for each in (Path(statements.__file__).parent / "sql").glob("*.sql")} - ON_SQLITE)
CHOICE = [ONE, ONE, "'default'", "'2020-01-01'", "5", "1", "1"]
FILLED = [filled_and_analyzed, filled_without_statistics, filled_behind_statistics]


@pytest.fixture(params=FILLED, ids=["analyzed", "no statistics", "believed empty"])
async def filled_url(request: pytest.FixtureRequest, postgres_databases: PostgresDatabases) -> AsyncIterator[str]:
    with postgres_databases.fresh(request.param) as url:
        yield url


@pytest.fixture
async def store(filled_url: str) -> AsyncIterator[Store]:
    store = open_store(filled_url)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def plans(store: Store, filled_url: str) -> Iterator[Plans]:
    with closing(Plans(store, filled_url)) as plans:
        yield plans


async def test_a_claim_reads_only_what_is_claimable(plans: Plans, store: Store) -> None:
    worker_id = await working(store)
    with plans.recorded() as found:
        assert len(await store.claim(worker_id, 5)) == 5
        assert await store.claim_suspect(worker_id)
    assert not scans(found)
    assert not walks(found)
    for name in ("ix_queue_claim", "ix_queue_suspect"):
        assert sum(f"Scan using {name}" in plan for plan in found) == 1
    assert not any("Sort" in plan for plan in found if "ix_queue_claim" in plan)


async def test_a_claim_that_has_to_choose_reads_no_more_than_it_needs(plans: Plans, store: Store) -> None:
    worker_id = await working(store)
    await store.submit([new_task(tenant="south"), new_task(concurrency_key="k"), new_task(concurrency_key="k")])
    await store.set_limit(Limit(tenant="north", key="k", at_once=1), "somebody")
    await store.set_limit(Limit(tenant="south", at_once=1, starts=1, seconds=60.0), "somebody")
    with plans.recorded() as found:
        assert len(await store.claim(worker_id, 50)) == 26  # a full turn of the one tenant, and all that the other has
    assert not scans(found)
    assert not walks(found)
    [chosen] = [plan for plan in found if "WITH RECURSIVE own" in plan]
    for name in ("ix_queue_claim", "ix_queue_keyed", "ix_queue_live", "ix_queue_due", "pk_queue"):
        assert f"Scan using {name}" in chosen, name
    assert not any(
        "ix_queue_live" in plan for plan in found if "agentplat.journal" in plan or "agentplat.tasks" in plan
    )


async def test_a_claim_that_has_to_choose_counts_only_limits_of_keys_that_it_saw(plans: Plans) -> None:
    """A tenant may have as many as a workflow has customers, and who chooses holds the lock for which all wait."""
    plans._connection.execute("set enable_seqscan = off")  # as it is where scripts are carried out
    plan = plans.generic("claim_fairly", *CHOICE)
    looks = re.findall(r"Scan using pk_limits on limits .*\n *(.*)", plan)
    assert len(looks) >= 4
    assert all(look.startswith("Index Cond: ((tenant_id = ") and "(key = " in look for look in looks), looks


@pytest.mark.parametrize(
    ("name", "arguments", "index"),
    [
        ("claim", ["'default'", ONE, "5", ONE], "Scan using ix_queue_claim"),
        ("claim_fairly", CHOICE, "Scan using ix_queue_claim"),
        ("claim_fairly", CHOICE, "Scan using ix_queue_keyed"),
        ("claim_fairly", CHOICE, "Scan using ix_queue_due"),
        (
            "claim_nearby",
            [
                "'default'",
                "'north'",
                "'2020-01-01'",
                ONE,
                "'{1,0,0}'",
                "'{9,0,0}'",
                "'{null,2020-01-01,null}'",
                "9",
                ONE,
            ],
            "Scan using ix_queue_claim",
        ),
        ("claim_suspect", [ONE, ONE, "'default'", "1"], "Index Scan using ix_queue_suspect"),
        ("claimed_tasks", [ONE, ONE], "ix_queue_worker"),
        ("claimed_journals", [ONE, ONE, "100"], "ix_queue_worker"),
        ("count_starts", [ONE, ONE], "ix_queue_worker"),
        ("note_limits", [ONE, ONE], "ix_queue_worker"),
        ("lock_tasks", [SOME], "pk_queue"),
        ("lock_owned", [ONE], "ix_queue_worker"),
        ("return_owned", ["true", ONE, ONE], "ix_queue_worker"),
        ("wake_task", ["true", ONE], "pk_queue"),
        ("wake_parents", [SOME], "pk_queue"),
        ("fire_timers", ["1000"], "ix_queue_timer"),
    ],
)
def test_a_prepared_statement_keeps_its_index(plans: Plans, name: str, arguments: list[str], index: str) -> None:
    plan = plans.generic(name, *arguments)
    assert index in plan
    assert not scans([plan])
    assert not walks([plan])


def test_no_statement_goes_through_a_whole_index(plans: Plans) -> None:
    """Its rows are few at the moment of the plan, and a day later they may be behind a million dead ones."""
    found = {name: plans.generic(name, *["null"] * len(parameters(name))) for name in STATEMENTS}
    assert len(found) > 40
    assert {name for name, plan in found.items() if walks([plan])} <= {"due"}  # the first row of a few short indexes


async def test_a_sweep_reads_what_is_due_and_no_more(plans: Plans, store: Store) -> None:
    worker_id = await working(store, -1.0)
    with plans.recorded() as found:
        assert list((await store.sweep()).workers) == [worker_id]
    assert not scans(found, allowed=["inbox"])  # it holds only what is unread
    for name in ("ix_queue_worker", "ix_queue_timer", "ix_queue_poisoned"):
        assert any(name in plan for plan in found), name


async def test_a_commit_reads_its_own_tasks_only(plans: Plans, store: Store) -> None:
    worker_id = await working(store)
    claims = await store.claim(worker_id, 5)
    call = CallRow(path="p", try_number=1, number=1, kind="tool", name="t", status="started", content={})
    ended = End(status=TaskState.DONE, output={}, failure=None)
    closings: list[Any] = [None, Park(wake_after=1.0), Release(), ended]
    writes = [
        writing(claim.lease, 4, started(), closing=closing, calls=[call], taken=[TASK], under_way=True)
        for claim, closing in zip(claims, closings, strict=False)
    ]
    writes.append(writing(claims[4].lease, 4, block(), usage=Usage(input_tokens=1)))
    with plans.recorded() as found:
        results = await store.commit(writes)
    assert {type(result).__name__ for result in results} == {"Committed"}
    assert len(found) >= 10
    assert not scans(found)
    assert not walks(found)


async def test_what_is_about_one_task_reads_that_task_only(plans: Plans, store: Store) -> None:
    with plans.recorded() as found:
        row = await store.task(TASK)
        assert row.worker_id == OWNER
        await store.journal(TASK, after=1, limit=10)
        await store.journals([TASK])
        await store.calls(TASK, "step", 1)
        await store.tell(signal(TASK))
        await store.woken(OWNER)
        await store.submit([new_task(idempotency_key="k")], [Definition(hash="h", name="n", version=None, document={})])
        await store.definition("h")
    assert not scans(found)


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (TaskFilter(), "pk_tasks"),
        (TaskFilter(before=TASK), "pk_tasks"),
        (TaskFilter(tenant="tenant7"), "ix_tasks_tenant"),
        (TaskFilter(user_hash="user7"), "ix_tasks_user"),
        (TaskFilter(type="agent:7"), "ix_tasks_type"),
        (TaskFilter(status=TaskState.CANCELLED), "ix_tasks_status"),
        (TaskFilter(status=TaskState.DONE, before=TASK), "tasks"),
    ],
    ids=repr,
)
async def test_a_list_reads_about_as_many_tasks_as_it_shows(
    plans: Plans, store: Store, wanted: TaskFilter, index: str
) -> None:
    with plans.recorded() as found:
        await store.tasks(wanted)
    assert not scans(found)
    assert index in found[0]


@pytest.mark.parametrize("state", [TaskState.PENDING, TaskState.RUNNING, TaskState.WAITING])
async def test_a_list_of_open_tasks_does_not_read_the_finished_ones(
    plans: Plans, store: Store, state: TaskState
) -> None:
    with plans.recorded() as found:
        assert await store.tasks(TaskFilter(status=state, limit=20))
    assert not scans(found, allowed=["queue"])  # narrow, and all of it is open


async def test_who_asks_people_is_found_without_reading_journals(plans: Plans, store: Store) -> None:
    with plans.recorded() as found:
        await store.asking(before=None, tenant=None, limit=20)
    assert not scans(found, allowed=["queue"])
    # The partitions' own indexes that belong to ix_journal_asking.
    assert "_task_id_idx on journal" in found[0]
    assert "pk_journal" not in found[0]


async def test_readers_of_changes_and_of_the_audit_begin_at_their_place(plans: Plans, store: Store) -> None:
    [newest] = await store.changes(None, 1)
    with plans.recorded() as found:
        await store.changes(None, 1)
        await store.changes((newest.updated_at, newest.id), 100)
        await store.audit(50)
        await store.costs(user_hash="user7")
        await store.costs(tenant="tenant7")
    assert not scans(found)
    assert sum("ix_tasks_updated" in plan for plan in found) == 2
    assert any("pk_audit" in plan for plan in found)


async def test_upkeep_goes_along_indexes(plans: Plans, store: Store, filled_url: str) -> None:
    over_by = datetime.now(UTC) - timedelta(days=30)
    end = first_id(datetime(2025, 1, 1, tzinfo=UTC))
    divided_at(filled_url, end)
    database = cast(SqlStore, store)._database
    with plans.recorded("set enable_seqscan = off") as found:
        walked = await database.write(lambda begun: retention.remove_history(begun, UUID(int=0), end, over_by))
        assert walked.rows["journal"] >= retention.ROWS
        walked = await database.write(lambda begun: retention.remove_tasks(begun, UUID(int=0), end, over_by))
        assert walked.rows == {"tasks": 667}  # whose history has just gone
        assert await database.write(lambda begun: retention.remove_submissions(begun, over_by)) == 1000
        assert await database.write(lambda begun: retention.remove_audit(begun, over_by)) == 1000
        assert await database.write(lambda begun: begun.connection.run_sync(partitions.is_wanted, end, over_by))
    assert not scans(found)
    assert sum("Tid Scan" in plan for plan in found) == 2  # submissions and audit: no join that statistics could turn
    for name in ("ix_submissions_created", "pk_audit", "pk_tasks", "journal_until_2025_pkey"):
        assert any(f"using {name}" in plan for plan in found), name
    [wanted] = [plan for plan in found if "interval" in plan]
    assert "pk_queue" in wanted
    assert "ix_tasks_late" in wanted
