"""A task stays with the rules by which it was submitted and begun: who has only older ones leaves it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agentplat import BlockView, Decision, Expand, Start, StrategySpec, WorkflowSpec
from agentplat.contracts.interface import TaskFilter
from agentplat.domain.task import TaskState
from agentplat.engine import ownership
from agentplat.plugins.registry import Registries, RegistryBuilder
from agentplat.runtime.sweeper import sweep_once

from .harness import Engine, Given, InOrder, Script

NEEDS_NEWER = "this worker has revision 1 of the strategy 'turns', and the task needs 2"
SEEN: list[tuple[int, int]] = []  # the revision of the rule that was asked, and that of the block
TURNS = """\
name: turns
strategy: turns
steps:
  - {name: first, agent: one}
  - {name: second, agent: two}
"""
CALLER = """\
name: caller
steps:
  - {name: below, workflow: turns}
"""
PLANNED = """\
name: planned
strategy: plans
steps:
  - {name: first, agent: one}
"""


class Turns(InOrder):
    name = "turns"

    def decide(self, block: BlockView) -> Decision:
        SEEN.append((self.revision, block.revision))
        return super().decide(block)


class LaterTurns(Turns):
    revision = 2


class Plans(InOrder):
    """Adds a step of an agent that not everybody has, and a block of a strategy that not everybody has."""

    name = "plans"

    def decide(self, block: BlockView) -> Decision:
        if not block.settled:
            return Start("first", input=block.input)
        if not block.planned:
            inner = [{"name": "one", "agent": "one"}, {"name": "again", "agent": "one"}]
            return Expand([{"name": "second", "agent": "two"}, {"name": "third", "strategy": "turns", "steps": inner}])
        return super().decide(block)


def installed(engine: Engine, folder: Path, *strategies: type[InOrder], without: str = "") -> Registries:
    """What the engine has, the workflows of this page, and these strategies."""
    builder = RegistryBuilder()
    for specs in (engine.registries.agents, engine.registries.strategies):
        for spec in specs:
            if spec.name != without and spec.name not in ("turns", "plans"):
                builder.register(spec)
    for strategy in strategies:
        factory = f"{__name__}:{strategy.__name__}"
        builder.register(StrategySpec(name=strategy.name, description="", factory=factory))
    for text in (TURNS, CALLER, PLANNED):
        name = text.split()[1]
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        builder.register(WorkflowSpec(name=name, file=str(folder / f"{name}.yaml")))
    return builder.build()


@pytest.fixture(autouse=True)
def _soon_offered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    SEEN.clear()
    monkeypatch.setattr(ownership, "HAND_BACK_DELAY", 0.1)


async def left_because(engine: Engine, task_id: Any, reason: str) -> None:
    """Wait until a worker left the task, and said this."""
    async with asyncio.timeout(30):
        while reason not in (said := (await engine.client.why(task_id)).sentence):
            await sweep_once(engine.store)
            await asyncio.sleep(0.02)
    assert "A worker handed it back" in said


def held(script: Script) -> tuple[asyncio.Event, asyncio.Event]:
    """Let agent `two` say that it runs, and wait until it may end."""
    runs, may_end = asyncio.Event(), asyncio.Event()

    async def body(_given: Given, _ctx: Any) -> Given:
        runs.set()
        await may_end.wait()
        return {"from": "two"}

    script.bodies["two"] = body
    return runs, may_end


@pytest.mark.parametrize("type", ["workflow:turns", "workflow:caller"])
async def test_a_worker_with_an_older_rule_leaves_the_task_and_says_which(
    engine: Engine, tmp_path: Path, type: str
) -> None:
    newer, older = installed(engine, tmp_path, LaterTurns), installed(engine, tmp_path, Turns)
    engine.registries = newer
    task_id = await engine.submit(type)
    engine.registries = older
    engine.start_worker()
    left = task_id
    if type == "workflow:caller":
        await engine.until(task_id, lambda task: task.status is TaskState.WAITING)
        (left,) = [child.id for child in await engine.client.tasks(TaskFilter(parent=task_id))]
    await left_because(engine, left, NEEDS_NEWER)
    assert not SEEN
    engine.registries = newer  # it was installed
    assert (await engine.ended(task_id)).status is TaskState.DONE
    assert set(SEEN) == {(2, 2)}


async def test_what_a_newer_rule_began_is_left_by_an_older_one(engine: Engine, tmp_path: Path, script: Script) -> None:
    newer, older = installed(engine, tmp_path, LaterTurns), installed(engine, tmp_path, Turns)
    runs, may_end = held(script)
    engine.registries = older
    task_id = await engine.submit("workflow:turns")  # anybody may begin it
    engine.registries = newer
    first = engine.start_worker()
    await asyncio.wait_for(runs.wait(), 30)
    await engine.crash(first)
    engine.registries = older
    engine.start_worker()
    await left_because(engine, task_id, NEEDS_NEWER)
    may_end.set()
    engine.registries = newer
    assert (await engine.ended(task_id)).status is TaskState.DONE
    assert set(SEEN) == {(2, 2)}


async def test_a_cancel_is_not_lost_on_a_worker_that_leaves_the_task(
    engine: Engine, tmp_path: Path, script: Script
) -> None:
    newer, older = installed(engine, tmp_path, LaterTurns), installed(engine, tmp_path, Turns)
    runs, _ = held(script)
    engine.registries = older
    task_id = await engine.submit("workflow:turns")
    engine.registries = newer
    first = engine.start_worker()
    await asyncio.wait_for(runs.wait(), 30)
    _, serving = engine.workers[0]
    serving.cancel()
    await asyncio.wait([serving])
    await engine.client.cancel(task_id)  # into the inbox: the dead worker's row is still there
    await engine.lapse(first)
    engine.registries = older
    engine.start_worker()
    await left_because(engine, task_id, NEEDS_NEWER)
    runs.clear()
    engine.registries = newer
    assert (await engine.ended(task_id)).status is TaskState.CANCELLED
    assert not runs.is_set()


async def test_a_block_keeps_the_revision_by_which_it_began(engine: Engine, tmp_path: Path, script: Script) -> None:
    """Newer code is told, and an older worker may have the task again."""
    newer, older = installed(engine, tmp_path, LaterTurns), installed(engine, tmp_path, Turns)
    runs, may_end = held(script)
    engine.registries = older
    task_id = await engine.submit("workflow:turns")
    first = engine.start_worker()
    await asyncio.wait_for(runs.wait(), 30)
    await engine.crash(first)
    may_end.set()
    engine.registries = newer
    engine.start_worker()
    assert (await engine.ended(task_id)).status is TaskState.DONE
    assert set(SEEN) == {(1, 1), (2, 1)}


@pytest.mark.parametrize(
    ("without", "strategies", "reason"),
    [
        ("two", (Plans, Turns), "this worker has no agent 'two'"),
        ("", (Plans,), "this worker has no strategy 'turns'"),
    ],
    ids=["agent", "strategy"],
)
async def test_planned_steps_wait_for_a_worker_that_has_what_they_need(
    engine: Engine, tmp_path: Path, script: Script, without: str, strategies: tuple[type[InOrder], ...], reason: str
) -> None:
    full = installed(engine, tmp_path, Plans, Turns)
    bare = installed(engine, tmp_path, *strategies, without=without)
    runs, may_end = held(script)
    engine.registries = full
    task_id = await engine.submit("workflow:planned")
    first = engine.start_worker()
    await asyncio.wait_for(runs.wait(), 30)
    await engine.crash(first)
    engine.registries = bare
    engine.start_worker()
    await left_because(engine, task_id, reason)
    may_end.set()
    engine.registries = full
    assert (await engine.ended(task_id)).status is TaskState.DONE
