"""Hints between processes: what makes an idle worker look at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from agentplat_migrations.schema import upgrade
from agentplat_testkit.pytest_plugin import needs_own_sessions

from agentplat.contracts.hints import Hint
from agentplat.contracts.store import End, Park, Store
from agentplat.domain.task import TaskState
from agentplat.runtime.sweeper import sweep_forever
from agentplat.store.connect import open_store
from agentplat.store.renewal import Renewal

from .making import claimed, committed, ending, new_task, signal, working


@needs_own_sessions
async def test_a_hint_reaches_another_process_even_from_one_that_submits_and_ends(
    store: Store, database_url: str
) -> None:
    async with hearing_of(store, Hint.WORK):
        brief = open_store(database_url)
        await brief.open()
        await brief.submit([new_task()])
        await brief.close()


@needs_own_sessions
async def test_the_workers_hear_that_a_keeper_handed_back_what_a_dead_one_owned(
    store: Store, database_url: str
) -> None:
    claim = await claimed(store)
    assert claim.lease.worker_id is not None
    alone = await claimed(store, claim.lease.worker_id)
    await committed(store, alone.lease, 3, under_way=True)
    async with hearing_of(store, Hint.WORK), hearing_of(store, Hint.SUSPECT):
        with Renewal(database_url) as renewal:
            await asyncio.to_thread(renewal.expire, claim.lease.worker_id)


@needs_own_sessions
async def test_what_is_told_to_the_owner_of_a_task_is_heard_in_another_process(
    store: Store, other_store: Store
) -> None:
    claim = await claimed(store)
    async with hearing_of(store, Hint.TOLD):
        await other_store.tell(signal(claim.lease.task_id))


async def test_an_sqlite_file_says_what_there_is_to_look_at_and_nothing_else(tmp_path: Path) -> None:
    """Were everybody told to look at everything, all would queue up for the one who writes."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    await asyncio.to_thread(upgrade, url)
    async with opened(url) as store, opened(url) as other:
        claim = await claimed(other)
        heard: list[Hint] = []
        ended = asyncio.Event()
        store.subscribe(heard.append)
        store.subscribe(lambda hint: ended.set() if hint is Hint.CHANGED else None)
        listening = asyncio.create_task(store.listen())
        await heard_of(ended)  # the first look, after which everything is looked at
        heard.clear()
        await other.commit([ending(claim.lease, 3)])
        await heard_of(ended)
        assert set(heard) == {Hint.CHANGED}
        heard.clear()
        await other.submit([new_task(delay=3600.0)])
        await heard_of(ended)
        assert set(heard) == {Hint.CHANGED, Hint.DELAY, Hint.TIMER}
        heard.clear()
        await other.submit([new_task()])
        await heard_of(ended)
        assert set(heard) == {Hint.CHANGED, Hint.WORK}
        listening.cancel()


async def heard_of(event: asyncio.Event) -> None:
    async with asyncio.timeout(30):
        await event.wait()
    await asyncio.sleep(0)  # whatever came with it has been told as well
    event.clear()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = open_store(url)
    await store.open()
    yield store
    await store.close()


@asynccontextmanager
async def hearing_of(store: Store, expected: Hint) -> AsyncIterator[None]:
    """What is done meanwhile, elsewhere, is heard of here."""
    begun, heard = asyncio.Event(), asyncio.Event()
    unsubscribe = store.subscribe(lambda _: begun.set())
    listening = asyncio.create_task(store.listen())
    async with asyncio.timeout(30):
        await begun.wait()
        unsubscribe()
        unsubscribe = store.subscribe(lambda hint: heard.set() if hint is expected else None)
        yield
        await heard.wait()
    unsubscribe()
    listening.cancel()


async def test_a_task_that_was_told_something_while_it_parked_is_hinted_at_as_work(store: Store) -> None:
    claim = await claimed(store)
    await store.tell(signal(claim.lease.task_id))
    heard: list[Hint] = []
    store.subscribe(heard.append)
    await committed(store, claim.lease, 3, closing=Park(wake_after=None))
    assert {Hint.WORK, Hint.SUSPECT} <= set(heard)


@needs_own_sessions
async def test_a_task_that_another_process_submitted_for_later_is_hinted_at_when_it_is_due(
    store: Store, other_store: Store
) -> None:
    news = asyncio.Event()
    other_store.subscribe(lambda hint: news.set() if hint is Hint.WORK else None)
    beside = [asyncio.create_task(other_store.listen()), asyncio.create_task(sweep_forever(other_store))]
    worker_id = await working(other_store)
    async with asyncio.timeout(60):
        await news.wait()  # it listens, and has swept
        await store.submit([new_task(delay=4.0)])
        found = await other_store.claim(worker_id, 1)
        assert not found
        while not found:
            await news.wait()  # as an idle worker does
            news.clear()
            found = await other_store.claim(worker_id, 1)
    for task in beside:
        task.cancel()


@pytest.mark.parametrize("actor", ["admin", "cancel", "sweeper"])
async def test_an_end_that_is_not_its_workers_is_a_hint_at_what_waits_for_a_limit(
    store: Store, other_store: Store, actor: str
) -> None:
    """Whoever writes it may never have claimed, and knows of no limits."""
    claim = await claimed(store)
    heard: list[Hint] = []
    other_store.subscribe(heard.append)
    end = ending(claim.lease, 3, TaskState.CANCELLED)
    assert isinstance(end.closing, End)
    await other_store.commit([replace(end, closing=replace(end.closing, actor=actor))])
    assert {Hint.WORK, Hint.SUSPECT, Hint.CHANGED} <= set(heard)


async def test_the_end_that_a_worker_writes_is_no_hint_at_work_where_there_are_no_limits(store: Store) -> None:
    claim = await claimed(store)
    heard: list[Hint] = []
    store.subscribe(heard.append)
    await store.commit([ending(claim.lease, 3)])
    assert set(heard) == {Hint.CHANGED}


async def test_a_submission_says_nothing_of_suspects(store: Store) -> None:
    heard: list[Hint] = []
    store.subscribe(heard.append)
    await store.submit([new_task()])
    assert set(heard) == {Hint.WORK, Hint.CHANGED}


async def test_a_claim_that_had_to_choose_and_gave_less_than_asked_for_is_a_hint_at_more(store: Store) -> None:
    await store.submit([new_task(tenant=tenant) for tenant in ("north", "south")])
    worker_id = await working(store)
    heard: list[Hint] = []
    store.subscribe(heard.append)
    assert len(await store.claim(worker_id, 10)) == 2
    assert Hint.WORK in heard
    heard.clear()
    assert await store.claim(worker_id, 10) == []
    assert heard == []
