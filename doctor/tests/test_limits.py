"""A limit that comes to be below what runs is no broken promise, however that came about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from agentplat_doctor.checks import examine
from agentplat_migrations.schema import upgrade
from agentplat_testkit.databases import Migrate

from agentplat.contracts.limits import Limit
from agentplat.contracts.store import Claim, NewTask, Release, Store, WorkerRow, Write
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.store.connect import open_store

KEY = "printer"
WORKER = WorkerId(uuid4())


@pytest.fixture(scope="session")
def migrate() -> Migrate:
    """Here the database begins empty."""

    def migrated(url: str) -> None:
        upgrade(url)

    return migrated


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[Store]:
    """With a worker, and with six tasks that share a key."""
    store = open_store(database_url)
    await store.open()
    worker = WorkerRow(id=WORKER, host="here", pid=1, version="0.1.0", capacity=9, plugins={})
    await store.register_worker(worker, 3600.0)
    await store.submit([_task() for _ in range(6)])
    yield store
    await store.close()


def _task() -> NewTask:
    return NewTask(id=TaskId(uuid4()), tenant="north", type="agent:a", input={}, trace_id="0" * 32, concurrency_key=KEY)


async def _given_back(store: Store, *claims: Claim) -> None:
    writes = [Write(lease=claim.lease, first_seq=len(claim.journal) + 1, closing=Release()) for claim in claims]
    await store.commit(writes)


def _exceeded(url: str) -> bool:
    return "limit_exceeded" in [finding.predicate.code for finding in examine(url).errors]


@pytest.mark.parametrize("key", ["", KEY], ids=["tenant", "key"])
async def test_a_limit_that_was_lowered_under_tasks_that_run_is_no_alarm(
    store: Store, database_url: str, key: str
) -> None:
    await store.set_limit(Limit(tenant="north", key=key, at_once=3), "somebody")
    claims = [*await store.claim(WORKER, 5)]
    assert len(claims) == 3
    await store.set_limit(Limit(tenant="north", key=key, at_once=1), "somebody")
    assert not _exceeded(database_url)
    while claims:
        await _given_back(store, claims.pop())
        assert len(await store.claim(WORKER, 5)) == (0 if claims else 1)
        assert not _exceeded(database_url)


async def test_a_limit_that_a_workflow_declares_over_tasks_that_run_is_no_alarm(
    store: Store, database_url: str
) -> None:
    assert len(await store.claim(WORKER, 5)) == 5
    for most in (3, 2):
        await store.declare_limit(Limit(tenant="north", key=KEY, at_once=most))
        assert not _exceeded(database_url)
