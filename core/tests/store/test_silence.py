"""A server that is gone without a word, while something in between still takes what is said to it.

Neither keepalives nor `tcp_user_timeout` notice that: whoever waits has to have a limit of his own.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack

import pytest
from agentplat_migrations.schema import upgrade
from agentplat_testkit.databases import PostgresDatabases
from agentplat_testkit.pooler import Pooler, as_pooled
from agentplat_testkit.pytest_plugin import needs_own_sessions
from agentplat_testkit.relay import Fault, Relay

from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.store import Claim, Store
from agentplat.domain.errors import StoreUnavailable
from agentplat.domain.ids import WorkerId
from agentplat.store import postgres
from agentplat.store.connect import open_store
from agentplat.store.renewal import Renewal

from .making import block, claimed, submitted, writing

PATIENCE = 60.0  # far beyond every limit that a call may have


def owner_of(claim: Claim) -> WorkerId:
    assert claim.lease.worker_id is not None
    return claim.lease.worker_id


CALLS: dict[str, Callable[[Store, Claim], Awaitable[object]]] = {
    "commit": lambda store, claim: store.commit([writing(claim.lease, 3, block())]),
    "claim": lambda store, claim: store.claim(owner_of(claim), 1),
    "read": lambda store, _: store.tasks(TaskFilter()),
    "submit": lambda store, _: submitted(store),
    "sweep": lambda store, _: store.sweep(),
}


async def has_ended(call: Awaitable[object], relay: Relay) -> bool:
    """Whether the call ends by itself: in whatever way, while the connection stays silent."""
    calling = asyncio.ensure_future(call)
    done, _ = await asyncio.wait([calling], timeout=PATIENCE)
    relay.mend()
    await asyncio.wait([calling])
    assert relay.struck[Fault.HALF_OPEN] == 1, "the fault did not strike"
    assert calling.exception() is None or isinstance(calling.exception(), StoreUnavailable)
    return bool(done)


async def test_a_call_on_a_connection_that_says_nothing_any_more_ends(postgres_url: str) -> None:
    """All at once, each on a connection of its own: the limit is half a minute long."""
    with ExitStack() as relays:
        calls = {}
        for name, call in CALLS.items():
            relay = relays.enter_context(Relay(postgres_url))
            store = open_store(relay.url)
            await store.open()
            calls[name] = (relay, store, await claimed(store), call)
        for relay, *_ in calls.values():
            relay.half_open()
        ended = [has_ended(call(store, claim), relay) for relay, store, claim, call in calls.values()]
        assert dict(zip(calls, await asyncio.gather(*ended), strict=True)) == dict.fromkeys(CALLS, True)
        for _, store, *_ in calls.values():
            await store.close()


async def test_a_read_behind_a_pooler_ends_when_the_answer_to_its_end_does_not_come(
    postgres_databases: PostgresDatabases,
) -> None:
    """That is a transaction there, and its end is one more way to the server and back."""
    with postgres_databases.fresh(upgrade) as direct, Pooler(direct) as pooler, Relay(pooler.url) as relay:
        store = open_store(as_pooled(relay.url))
        await store.open()
        relay.half_open(of="COMMIT")
        assert await has_ended(store.tasks(TaskFilter()), relay)
        await store.close()


async def hearing(store: Store, hears: bool) -> None:
    """Return when the store hears, or does not any more."""
    async with asyncio.timeout(PATIENCE):
        while store.hears is not hears:  # noqa: ASYNC110 - nobody says when
            await asyncio.sleep(0.01)


@needs_own_sessions
async def test_who_listens_on_a_connection_that_says_nothing_any_more_hears_again(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_STILL_THERE", 0.2)
    with Relay(postgres_url) as relay:
        store = open_store(relay.url)
        listening = asyncio.create_task(store.listen())
        await hearing(store, True)
        relay.half_open(of="SELECT 1")
        await hearing(store, False)
        await hearing(store, True)
        assert relay.struck[Fault.HALF_OPEN] == 1
        listening.cancel()
        await asyncio.wait([listening])
        await store.close()


async def test_a_renewal_on_a_connection_that_says_nothing_any_more_ends(
    postgres_url: str, store_on_postgres: Store
) -> None:
    worker_id = owner_of(await claimed(store_on_postgres))
    with Relay(postgres_url) as relay, Renewal(relay.url) as renewal:
        assert renewal.renew(worker_id, 60.0)
        relay.half_open()
        assert await has_ended(asyncio.to_thread(renewal.renew, worker_id, 60.0), relay)
