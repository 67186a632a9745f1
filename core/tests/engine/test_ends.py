"""Waiting for the end of a task: all who wait are told of by one look, and nobody waits longer than asked for."""

import asyncio
from collections.abc import Sequence

import pytest

from agentplat import Submission
from agentplat.contracts.store import Store
from agentplat.domain.errors import StoreUnavailable
from agentplat.domain.ids import TaskId
from agentplat.domain.task import TaskState
from agentplat.engine.client.news import Ends

from .harness import Engine

WAITING = 200


class Looks:
    """Which tasks were looked for, look by look. It can be told that the database is away."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[int] = []
        self.away = False
        self.all_at_once = asyncio.Event()
        self._ended = store.ended
        monkeypatch.setattr(store, "ended", self._look)

    async def _look(self, task_ids: Sequence[TaskId]) -> Sequence[TaskId]:
        self.asked.append(len(task_ids))
        if len(task_ids) == WAITING:
            self.all_at_once.set()
        if self.away:
            raise StoreUnavailable("The database does not answer.")
        return await self._ended(task_ids)


@pytest.fixture
def looks(store: Store, monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(store, monkeypatch)


async def pending(engine: Engine) -> list[TaskId]:
    """Tasks that nobody works on."""
    submissions = [Submission(type="agent:one", input={}) for _ in range(WAITING)]
    return [TaskId(each.id) for each in await engine.client.submit_all(submissions)]


async def test_one_look_is_for_all_who_wait(engine: Engine, store: Store, looks: Looks) -> None:
    task_ids = await pending(engine)
    waiting = [asyncio.create_task(engine.client.ended(task_id, 60)) for task_id in task_ids]
    async with asyncio.timeout(60):
        await looks.all_at_once.wait()
    before = len(looks.asked)
    await engine.client.administer(task_ids[7], status=TaskState.CANCELLED)
    assert (await waiting[7]).status is TaskState.CANCELLED
    assert sum(task.done() for task in waiting) == 1
    for task_id in task_ids[:7] + task_ids[8:]:
        await engine.client.administer(task_id, status=TaskState.CANCELLED)
    ended = await asyncio.gather(*waiting)
    assert [view.id for view in ended] == task_ids
    assert all(view.status.is_terminal for view in ended)
    assert len(looks.asked) - before <= 2 * WAITING  # at most one for each change, not one for each who waits


async def test_nobody_waits_longer_than_asked_for_and_then_nobody_looks(
    engine: Engine, store: Store, looks: Looks
) -> None:
    task_ids = await pending(engine)
    views = await asyncio.gather(*(engine.client.ended(task_id, 0.3) for task_id in task_ids))
    assert {view.status for view in views} == {TaskState.PENDING}
    ends = Ends(store)
    await ends.awaited(task_ids[0], 0.0)
    assert ends._waiting == {}


async def test_what_ended_before_somebody_waits_is_told_at_once(engine: Engine) -> None:
    [task_id, *_] = await pending(engine)
    await engine.client.administer(task_id, status=TaskState.CANCELLED)
    async with asyncio.timeout(60):
        assert (await engine.client.ended(task_id, 3600)).status is TaskState.CANCELLED


async def test_who_waits_while_the_database_is_away_is_let_go(store: Store, engine: Engine, looks: Looks) -> None:
    [task_id, *_] = await pending(engine)
    looks.away = True
    async with asyncio.timeout(60):
        await Ends(store).awaited(task_id, 3600)
    assert looks.asked == [1]
