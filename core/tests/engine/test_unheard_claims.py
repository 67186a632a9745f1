"""A claim that the database has committed, and that the worker never heard of."""

from collections.abc import AsyncIterator, Iterator

import pytest
from agentplat_testkit.relay import Fault, Relay

from agentplat.contracts.store import Store
from agentplat.domain.ids import TaskId
from agentplat.domain.task import TaskState
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
