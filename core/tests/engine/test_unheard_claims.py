"""A claim that the database has committed, or commits later, and that the worker never heard of."""

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from agentplat_testkit.pytest_plugin import needs_own_sessions
from agentplat_testkit.relay import Fault, Relay

from agentplat.contracts.store import Store
from agentplat.domain.ids import TaskId
from agentplat.domain.task import TaskState
from agentplat.store.address import Address
from agentplat.store.connect import open_store

from .harness import Engine, until


@pytest.fixture
def relay(postgres_url: str) -> Iterator[Relay]:
    with Relay(postgres_url) as relay:
        yield relay


@pytest.fixture
async def store(relay: Relay) -> AsyncIterator[Store]:
    """In place of the usual one: that of the engine, behind the relay."""
    store = open_store(relay.url)
    await store.open()
    yield store
    await store.close()


async def test_a_task_does_not_stay_for_ever_with_a_worker_that_does_not_know_that_it_owns_it(
    engine: Engine, relay: Relay, postgres_url: str
) -> None:
    direct = open_store(postgres_url)
    task_id = TaskId(await engine.submit("agent:one"))
    relay.cut_acknowledgement(of="NOT q.suspect", then=relay.refuse)  # the claim, not the look for suspects
    engine.start_worker(lease_seconds=600.0)  # it lives, and is renewed: no sweeper will help
    await until(lambda: relay.struck[Fault.ACKNOWLEDGEMENT_CUT] == 1)
    refused = relay.struck[Fault.REFUSAL]
    await until(lambda: relay.struck[Fault.REFUSAL] > refused + 8)  # it has given up that claim
    assert (await direct.task(task_id)).status is TaskState.RUNNING, "the fault did not strike"
    await direct.close()
    relay.mend()

    assert (await engine.ended(task_id)).status is TaskState.DONE


_HANGS = """
    create function agentplat.hang() returns trigger language plpgsql
    as 'begin perform pg_advisory_xact_lock_shared(1); return null; end';
    create constraint trigger hang after update on agentplat.queue deferrable initially deferred
    for each row when (old.worker_id is null and new.worker_id is not null) execute function agentplat.hang();
    select pg_advisory_lock(1)
"""


@needs_own_sessions  # what the claim hangs on is a lock of a session
async def test_nor_one_whose_claim_is_committed_when_nobody_waits_for_it_any_more(
    engine: Engine, relay: Relay, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentplat.runtime.worker._SELDOM", 0.1)
    direct = open_store(postgres_url)
    task_id = TaskId(await engine.submit("agent:one"))
    with psycopg.connect(Address.parse(postgres_url).libpq, autocommit=True) as session:
        session.execute(_HANGS)
        relay.cut_commit(1_000_000, of="NOT q.suspect")  # all of it reaches the server
        worker = engine.start_worker(lease_seconds=600.0)
        await until(lambda: relay.struck[Fault.COMMIT_CUT] == 1)
        looks = worker._look_at
        await until(lambda: worker._look_at > looks + 0.5)  # it has claimed again and given back what it saw
        assert (await direct.task(task_id)).status is TaskState.PENDING, "the fault did not strike"
    await direct.close()

    assert (await engine.ended(task_id)).status is TaskState.DONE
    assert (await engine.kinds(task_id)).count("task_claimed") == 1
