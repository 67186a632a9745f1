"""A server that is gone without a word, while something in between still takes what is said to it.

Neither keepalives nor `tcp_user_timeout` notice that: whoever waits has to have a limit of his own.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from agentplat_testkit.relay import Fault, Relay

from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.store import Claim, Store
from agentplat.domain.errors import StoreUnavailable
from agentplat.store.connect import open_store
from agentplat.store.renewal import Renewal

from .making import block, claimed, submitted, writing

PATIENCE = 60.0  # far beyond every limit that a call may have


@pytest.fixture
def relay(postgres_url: str) -> Iterator[Relay]:
    with Relay(postgres_url) as relay:
        yield relay


@pytest.fixture
async def store(relay: Relay) -> AsyncIterator[Store]:
    store = open_store(relay.url)
    await store.open()
    yield store
    await store.close()


async def has_ended(call: Awaitable[object], relay: Relay) -> bool:
    """Whether the call ends by itself: in whatever way, while the connection stays silent."""
    calling = asyncio.ensure_future(call)
    done, _ = await asyncio.wait([calling], timeout=PATIENCE)
    relay.mend()
    await asyncio.wait([calling])
    assert relay.struck[Fault.HALF_OPEN] == 1, "the fault did not strike"
    assert calling.exception() is None or isinstance(calling.exception(), StoreUnavailable)
    return bool(done)


@pytest.mark.parametrize(
    "call",
    [
        lambda store, claim: store.commit([writing(claim.lease, 3, block())]),
        lambda store, claim: store.claim(claim.lease.worker_id, 1),
        lambda store, claim: store.tasks(TaskFilter()),
        lambda store, claim: submitted(store),
        lambda store, claim: store.sweep(),
    ],
    ids=["commit", "claim", "read", "submit", "sweep"],
)
async def test_a_call_on_a_connection_that_says_nothing_any_more_ends(
    relay: Relay, store: Store, call: Callable[[Store, Claim], Awaitable[object]]
) -> None:
    claim = await claimed(store)
    relay.half_open()
    assert await has_ended(call(store, claim), relay)


async def test_a_renewal_on_a_connection_that_says_nothing_any_more_ends(relay: Relay, store: Store) -> None:
    worker_id = (await claimed(store)).lease.worker_id
    assert worker_id is not None
    with Renewal(relay.url) as renewal:
        assert renewal.renew(worker_id, 60.0)
        relay.half_open()
        assert await has_ended(asyncio.to_thread(renewal.renew, worker_id, 60.0), relay)
