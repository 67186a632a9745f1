"""The feed of changes: one reader for all who listen; who may have missed something is told so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from agentplat_interface_rest.hub import Hub

from agentplat import Client, TaskChange, TaskState, TaskView, UnavailableError, Usage


class Feed:
    """The part of a Client that the hub asks, in the hands of a test."""

    def __init__(self) -> None:
        self.entered = 0
        self.open = 0
        self.may_enter = asyncio.Event()
        self.may_enter.set()
        self.may_leave = asyncio.Event()
        self.may_leave.set()
        self.next: asyncio.Queue[TaskChange | Exception] = asyncio.Queue()

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[TaskChange]]:
        await self.may_enter.wait()
        self.entered += 1
        self.open += 1
        try:
            yield self._read()
        finally:
            await self.may_leave.wait()
            self.open -= 1

    async def _read(self) -> AsyncIterator[TaskChange]:
        while True:
            change = await self.next.get()
            if isinstance(change, Exception):
                raise change
            yield change


def change(text: str = "") -> TaskChange:
    now = datetime.now(UTC)
    task = TaskView(
        id=uuid4(),
        type="agent:x",
        status=TaskState.DONE,
        input={},
        output={"text": text},
        failure=None,
        created_at=now,
        updated_at=now,
        tenant="default",
        user_hash=None,
        trace_id="1" * 32,
        usage=Usage(),
    )
    return TaskChange(task=task, seq=1)


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def hub(feed: Feed) -> Hub:
    return Hub(cast("Client", feed))


def told(message: str) -> UUID:
    content: dict[str, Any] = json.loads(message)
    return UUID(content["task_id"])


async def test_one_reader_tells_everybody_and_stops_with_the_last(hub: Hub, feed: Feed) -> None:
    async with hub.joined() as one:
        async with hub.joined() as two:
            assert (len(hub), feed.entered) == (2, 1)
            sent = change()
            feed.next.put_nowait(sent)
            assert told(await one.next()) == told(await two.next()) == sent.task.id
        assert (len(hub), feed.open) == (1, 1)
    assert (len(hub), feed.open) == (0, 0)
    async with hub.joined():
        assert feed.entered == 2


async def test_who_comes_while_the_last_one_leaves_is_not_cut(hub: Hub, feed: Feed) -> None:
    feed.may_leave.clear()
    leaving = asyncio.create_task(stay_until(hub, gone := asyncio.Event()))
    while not feed.entered:  # noqa: ASYNC110 - no event says so
        await asyncio.sleep(0)
    gone.set()
    await asyncio.sleep(0)
    async with hub.joined() as late:
        feed.may_leave.set()
        await leaving
        sent = change()
        feed.next.put_nowait(sent)
        assert told(await late.next()) == sent.task.id
        assert not late.cut.is_set()


async def stay_until(hub: Hub, gone: asyncio.Event) -> None:
    async with hub.joined():
        await gone.wait()


async def test_who_listens_while_the_feed_breaks_is_cut(hub: Hub, feed: Feed) -> None:
    async with hub.joined() as one:
        feed.may_enter.clear()
        feed.next.put_nowait(UnavailableError("the database does not answer"))
        await one.cut.wait()


async def test_who_comes_while_the_feed_is_away_waits_for_it_and_misses_nothing(hub: Hub, feed: Feed) -> None:
    async with hub.joined() as one:
        feed.may_enter.clear()
        feed.next.put_nowait(UnavailableError("the database does not answer"))
        await one.cut.wait()
        coming = asyncio.create_task(first_message(hub))
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(hub) == 2
        assert not coming.done()
        sent = change()
        feed.next.put_nowait(sent)
        feed.may_enter.set()
        assert told(await coming) == sent.task.id


async def first_message(hub: Hub) -> str:
    async with hub.joined() as connection:
        return await connection.next()


async def until_cut(hub: Hub) -> None:
    async with hub.joined() as connection:
        await connection.cut.wait()


async def test_a_fault_nobody_expected_cuts_too_and_the_next_one_begins_anew(hub: Hub, feed: Feed) -> None:
    feed.next.put_nowait(RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        await until_cut(hub)
    sent = change()
    feed.next.put_nowait(sent)
    assert told(await first_message(hub)) == sent.task.id


async def test_who_lets_too_many_messages_wait_is_cut(hub: Hub, feed: Feed) -> None:
    async with hub.joined() as slow, hub.joined() as quick:
        for _ in range(1001):
            feed.next.put_nowait(change())
            await quick.next()
        assert slow.cut.is_set()
        assert not quick.cut.is_set()


async def test_who_lets_too_much_text_wait_is_cut(hub: Hub, feed: Feed) -> None:
    async with hub.joined() as slow, hub.joined() as quick:
        for _ in range(6):
            feed.next.put_nowait(change("x" * 1_000_000))
            await quick.next()
        assert slow.cut.is_set()
        assert not quick.cut.is_set()


async def test_one_message_of_any_size_is_told(hub: Hub, feed: Feed) -> None:
    async with hub.joined() as one:
        feed.next.put_nowait(change("x" * 8_000_000))
        assert len(await one.next()) > 8_000_000
        assert not one.cut.is_set()


async def test_the_end_of_the_application_ends_the_reading(hub: Hub, feed: Feed) -> None:
    async with hub.joined():
        await hub.close()
        assert feed.open == 0
