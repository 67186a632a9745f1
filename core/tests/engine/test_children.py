"""Steps that are tasks of their own, worked on by real workers on both databases."""

import asyncio
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from agentplat.contracts.interface import TaskFilter, TaskView
from agentplat.contracts.specs import WorkflowSpec
from agentplat.contracts.store import End, Write
from agentplat.contracts.stored.retention import Retention
from agentplat.domain.errors import StepError
from agentplat.domain.events import TaskFinished
from agentplat.domain.failure import FailureCode
from agentplat.domain.ids import TaskId
from agentplat.domain.task import Lease, TaskState
from agentplat.plugins.registry import RegistryBuilder
from agentplat.runtime.sweeper import upkeep_once

from .harness import Engine, Given, Script

NEVER = 300.0
"""A worker that looks this rarely has to be told."""


async def children(engine: Engine, task_id: UUID) -> Sequence[TaskView]:
    """In the order of their dispatch."""
    found = await engine.client.tasks(TaskFilter(parent=task_id, limit=2000))
    return found[::-1]


async def family(engine: Engine, task_id: UUID) -> list[TaskView]:
    """A task and all below it."""
    found = [await engine.client.task(task_id)]
    for child in await children(engine, task_id):
        found += await family(engine, child.id)
    return found


def done(task: TaskView) -> Any:
    assert task.status is TaskState.DONE, task.failure
    return task.output


async def test_a_step_with_a_queue_runs_on_the_workers_that_serve_it(engine: Engine) -> None:
    engine.start_worker(poll_seconds=NEVER)
    task_id = await engine.submit("workflow:asks", {"topic": "tea"}, tenant="north", user="a@b.example", priority=3)
    waiting = await engine.until(task_id, lambda task: task.status is TaskState.WAITING)
    [child] = await children(engine, task_id)
    assert (child.type, child.status, child.tenant) == ("agent:two", TaskState.PENDING, "north")
    assert [step.status for step in waiting.steps] == [TaskState.DONE, TaskState.WAITING]
    engine.start_worker(queues=("elsewhere",), poll_seconds=NEVER)
    assert done(await engine.ended(task_id)) == {"asked": {"from": "two"}}
    parent, row = await engine.store.task(task_id), await engine.store.task(child.id)  # type: ignore[arg-type]
    assert row.parent is not None
    assert (row.parent.id, row.parent.path, row.parent.depth) == (task_id, "ask", 1)
    assert (row.queue, row.priority, row.user_hash, row.trace_id) == ("elsewhere", 3, parent.user_hash, parent.trace_id)
    assert (await engine.client.task(task_id)).steps[1].child == child.id
    shown = await engine.client.task(child.id)
    assert (shown.parent, shown.parent_step) == (task_id, "ask")


async def test_a_workflow_step_gives_what_the_workflow_gives(engine: Engine, script: Script) -> None:
    engine.start_worker(poll_seconds=NEVER)
    task = await engine.ended(await engine.submit("workflow:calls", {"topic": "tea"}))
    assert done(task) == {"got": {"inner": {"from": "one"}}}
    assert script.asked == [("one", {"topic": "tea", "more": 7})]
    [child] = await children(engine, task.id)
    assert (child.type, child.input) == ("workflow:called", {"topic": "tea", "more": 7})
    assert [kind for kind in await engine.kinds(task.id) if kind != "task_claimed"] == [
        *("task_submitted", "block_started", "child_dispatched", "step_succeeded", "block_finished", "task_finished")
    ]


@pytest.mark.parametrize("given", ["text", [1, 2], None, {"result": 1}, 4.5])
async def test_what_an_agent_gives_arrives_as_if_it_had_run_here(engine: Engine, script: Script, given: Any) -> None:
    async def give(_given: Given, _ctx: Any) -> Any:
        return given

    script.bodies["free"] = give
    engine.start_worker(queues=("default", "elsewhere"))
    assert done(await engine.ended(await engine.submit("workflow:scalar"))) == {"child": given, "here": given}


async def test_a_thousand_children_give_a_thousand_results_and_no_more_than_fifty_are_open(
    engine: Engine, script: Script
) -> None:
    number, opened, most = 1000, 0, 0

    async def counted(given: Given, _ctx: Any) -> Given:
        nonlocal opened, most
        opened += 1
        most = max(most, opened)
        await asyncio.sleep(0)
        opened -= 1
        return {"twice": 2 * given["number"]}

    script.bodies["one"] = counted
    for _ in range(2):
        engine.start_worker(queues=("elsewhere",), poll_seconds=NEVER)
    engine.start_worker(poll_seconds=NEVER)
    task_id = await engine.submit("workflow:crowd_of_children", {"numbers": list(range(number))})
    task = await engine.ended(task_id)
    assert done(task) == {"result": [{"twice": 2 * each} for each in range(number)]}
    assert sorted(given["number"] for _, given in script.asked) == list(range(number))
    assert len(await children(engine, task_id)) == number
    assert 1 < most <= 50
    assert most_open([entry.kind for entry in await engine.client.journal(task_id)]) == 50


def most_open(kinds: Sequence[str]) -> int:
    """How many children were open at one time, as the journal has it."""
    now, most = 0, 0
    for kind in kinds:
        now += (kind == "child_dispatched") - (kind == "step_succeeded")
        most = max(most, now)
    return most


async def test_a_concurrency_key_holds_over_parents_and_workers(engine: Engine, script: Script) -> None:
    running, most = dict.fromkeys(("a", "b"), 0), dict.fromkeys(("a", "b"), 0)

    async def counted(given: Given, ctx: Any) -> Given:
        key = "a" if given["number"] < 100 else "b"
        running[key] += 1
        most[key] = max(most[key], running[key])
        await asyncio.sleep(0.005)
        running[key] -= 1
        return {}

    script.bodies["one"] = counted
    for _ in range(3):
        engine.start_worker(poll_seconds=NEVER)
    tasks = [
        await engine.submit("workflow:one_at_a_time", {"key": key, "numbers": [first + each for each in range(6)]})
        for key, first in (("a", 0), ("a", 10), ("b", 100))
    ]
    for task_id in tasks:
        done(await engine.ended(task_id))
    assert len(script.asked) == 18
    assert most == {"a": 1, "b": 1}
    assert {(row.limit.key, row.limit.at_once) for row in await engine.client.limits()} == {("a", 1), ("b", 1)}


async def test_a_workflow_may_call_itself_ten_deep_and_no_deeper(engine: Engine) -> None:
    engine.start_worker(poll_seconds=NEVER)
    task = await engine.ended(await engine.submit("workflow:descends", {"left": 10}))
    assert done(task) == {"below": 10}
    rows = [await engine.store.task(each.id) for each in await family(engine, task.id)]  # type: ignore[arg-type]
    assert [row.parent.depth if row.parent else 0 for row in rows] == list(range(11))
    deeper = await engine.ended(await engine.submit("workflow:descends", {"left": 11}))
    assert deeper.status is TaskState.ERROR
    assert deeper.failure is not None
    assert deeper.failure.code is FailureCode.INVALID_INPUT
    assert "10 tasks are above this step already" in deeper.failure.message
    assert len(await family(engine, deeper.id)) == 11


async def test_a_cancel_goes_down_to_the_last_child(engine: Engine, script: Script) -> None:
    began = asyncio.Event()

    async def wait(_given: Given, _ctx: Any) -> Given:
        began.set()
        await asyncio.Event().wait()
        return {}

    script.bodies["one"] = wait
    engine.start_worker(poll_seconds=NEVER)
    task_id = await engine.submit("workflow:descends", {"left": 3})
    await asyncio.wait_for(began.wait(), 30)
    await engine.client.cancel(task_id)
    assert (await engine.ended(task_id)).status is TaskState.CANCELLED
    assert [task.status for task in await family(engine, task_id)] == [TaskState.CANCELLED] * 4


async def test_a_cancel_ends_a_child_that_no_worker_serves(engine: Engine) -> None:
    engine.start_worker(poll_seconds=NEVER)
    task_id = await engine.submit("workflow:asks", {"topic": "tea"})
    await engine.until(task_id, lambda task: task.status is TaskState.WAITING)
    await engine.client.cancel(task_id)
    assert (await engine.ended(task_id)).status is TaskState.CANCELLED
    [child] = await children(engine, task_id)
    assert child.status is TaskState.CANCELLED
    assert "task_claimed" not in await engine.kinds(child.id)


async def test_whoever_comes_after_the_owner_tells_the_children_once_more(engine: Engine, script: Script) -> None:
    """The owner dies when it has written that a child is to end, and before it has told it."""
    began, may_tell = asyncio.Event(), asyncio.Event()

    async def wait(_given: Given, _ctx: Any) -> Given:
        began.set()
        await asyncio.Event().wait()
        return {}

    script.bodies["one"] = wait
    engine.start_worker(queues=("elsewhere",))
    first = engine.start_worker()
    held = first._recall

    async def hold(*arguments: Any) -> None:
        may_tell.set()
        await asyncio.Event().wait()
        await held(*arguments)

    first._recall = hold  # type: ignore[assignment, method-assign]
    task_id = await engine.submit("workflow:tries")
    await asyncio.wait_for(began.wait(), 30)
    await engine.client.cancel(task_id)
    await asyncio.wait_for(may_tell.wait(), 30)
    [child] = await children(engine, task_id)
    assert not child.cancel_requested
    await engine.crash(first)
    engine.start_worker()
    assert (await engine.ended(task_id)).status is TaskState.CANCELLED
    assert (await engine.client.task(child.id)).status is TaskState.CANCELLED


async def test_an_edit_does_not_reach_a_tree_that_runs(engine: Engine, tmp_path: Path, script: Script) -> None:
    builder = RegistryBuilder()
    for specs in (engine.registries.agents, engine.registries.strategies):
        for spec in specs:
            builder.register(spec)
    texts = {"outer": "workflow: middle", "middle": "workflow: leaf", "leaf": "agent: one, input: {version: 1}"}
    for name, body in texts.items():
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\nsteps:\n  - {{name: go, {body}}}\n")
        builder.register(WorkflowSpec(name=name, file=str(tmp_path / f"{name}.yaml")))
    engine.registries = builder.build()
    task_id = await engine.submit("workflow:outer")
    (tmp_path / "leaf.yaml").write_text("name: leaf\nsteps:\n  - {agent: two, input: {version: 2, edited: true}}\n")
    engine.start_worker(poll_seconds=NEVER)
    done(await engine.ended(task_id))
    assert script.asked == [("one", {"version": 1})]
    done(await engine.ended(await engine.submit("workflow:outer")))
    assert script.asked[1:] == [("two", {"version": 2, "edited": True})]


async def test_a_childs_failure_is_its_parents_and_names_it(engine: Engine, script: Script) -> None:
    async def fail(_given: Given, _ctx: Any) -> Given:
        raise RuntimeError("no tea")

    script.bodies["one"] = fail
    engine.start_worker(poll_seconds=NEVER)
    task = await engine.ended(await engine.submit("workflow:calls", {"topic": "tea"}))
    [child] = await children(engine, task.id)
    assert task.failure is not None
    assert child.failure is not None
    assert (task.failure.code, task.failure.retryable) == (child.failure.code, child.failure.retryable)
    assert task.failure.message == f"The task {child.id} failed: {child.failure.message}"


async def test_each_try_is_another_child(engine: Engine, script: Script) -> None:
    tries = count(1)

    async def third_time_lucky(_given: Given, _ctx: Any) -> Given:
        if (number := next(tries)) < 3:
            raise StepError(FailureCode.UNAVAILABLE, f"not yet {number}")
        return {"try": number}

    script.bodies["one"] = third_time_lucky
    engine.start_worker(queues=("default", "elsewhere"))
    task = await engine.ended(await engine.submit("workflow:tries"))
    assert done(task) == {"try": 3}
    assert [child.status.value for child in await children(engine, task.id)] == ["error", "error", "done"]


async def test_an_input_that_the_workflow_does_not_take_is_the_steps_failure(engine: Engine, script: Script) -> None:
    engine.start_worker()
    task = await engine.ended(await engine.submit("workflow:guards", {"number": 5}))
    assert done(task) == {"from": "two"}
    [(_, given)] = script.asked
    assert given["why"].startswith("The workflow 'called' does not take this input: /input/topic ")
    assert await children(engine, task.id) == []


async def test_the_time_of_a_step_is_that_of_the_whole_workflow(engine: Engine, script: Script) -> None:
    async def wait(_given: Given, _ctx: Any) -> Given:
        await asyncio.Event().wait()
        return {}

    script.bodies["one"] = wait
    engine.start_worker(poll_seconds=NEVER)
    task = await engine.ended(await engine.submit("workflow:hurries"))
    assert task.failure is not None
    assert task.failure.code is FailureCode.TIMEOUT
    statuses = [each.status.value for each in await family(engine, task.id)]
    assert statuses == ["error", "error", "cancelled"]


async def test_a_retry_reuses_the_children_that_have_finished(engine: Engine, script: Script) -> None:
    async def fail_once(given: Given, _ctx: Any) -> Given:
        if len([name for name, _ in script.asked if name == "two"]) == 1:
            raise RuntimeError("no tea")
        return {"second": given["step"]}

    script.bodies["two"] = fail_once
    engine.start_worker(queues=("default", "elsewhere"))
    source = await engine.ended(await engine.submit("workflow:resumes"))
    assert source.status is TaskState.ERROR
    before = await engine.client.journal(source.id)
    again = await engine.ended((await engine.client.retry(source.id)).id)
    assert done(again) == {"first": {"inner": {"from": "one"}}, "second": {"second": "second"}}
    assert [name for name, _ in script.asked] == ["one", "two", "two"]
    assert [child.type for child in await children(engine, again.id)] == ["agent:two"]
    assert await engine.client.journal(source.id) == before


async def test_a_parent_is_not_run_beside_its_child(engine: Engine, script: Script) -> None:
    """What waits for a child holds nothing: one slot is enough for a tree of tasks."""
    engine.start_worker(concurrency=1, poll_seconds=NEVER)
    assert done(await engine.ended(await engine.submit("workflow:descends", {"left": 4}))) == {"below": 4}


async def test_a_worker_need_not_have_what_the_children_need(engine: Engine) -> None:
    """Here the parent's worker lacks the agent, and the child's has it."""
    full = engine.registries
    builder = RegistryBuilder()
    for specs in (full.agents, full.strategies, full.workflows):
        for spec in specs:
            if spec.name != "two":
                builder.register(spec)
    task_id = await engine.submit("workflow:asks", {"topic": "tea"})
    engine.registries = builder.build()
    engine.start_worker(poll_seconds=NEVER)
    await engine.until(task_id, lambda task: task.status is TaskState.WAITING)
    engine.registries = full
    engine.start_worker(queues=("elsewhere",), poll_seconds=NEVER)
    done(await engine.ended(task_id))


async def test_a_worker_that_dies_between_dispatch_and_end_costs_no_child(engine: Engine, script: Script) -> None:
    began = asyncio.Event()

    async def wait_once(_given: Given, _ctx: Any) -> Given:
        if not began.is_set():
            began.set()
            await asyncio.Event().wait()
        return {"late": True}

    script.bodies["one"] = wait_once
    first = engine.start_worker()
    task_id = await engine.submit("workflow:calls", {"topic": "tea"})
    await asyncio.wait_for(began.wait(), 30)
    await engine.crash(first)
    engine.start_worker()
    assert done(await engine.ended(task_id)) == {"got": {"inner": {"late": True}}}
    assert len(await children(engine, task_id)) == 1
    assert (await engine.kinds(task_id)).count("child_dispatched") == 1
    assert (await engine.kinds(task_id)).count("task_finished") == 1


async def test_a_parent_that_is_ended_by_hand_takes_its_children_along(engine: Engine, script: Script) -> None:
    began = asyncio.Event()

    async def wait(_given: Given, _ctx: Any) -> Given:
        began.set()
        await asyncio.Event().wait()
        return {}

    script.bodies["one"] = wait
    engine.start_worker(poll_seconds=NEVER)
    task_id = await engine.submit("workflow:calls", {"topic": "tea"})
    await asyncio.wait_for(began.wait(), 30)
    await engine.client.administer(task_id, status=TaskState.CANCELLED, error="enough")
    [child] = await children(engine, task_id)
    assert (await engine.ended(child.id)).status is TaskState.CANCELLED
    assert (await engine.client.task(task_id)).status is TaskState.CANCELLED


async def test_children_that_nobody_told_of_their_parents_end_are_found(engine: Engine, script: Script) -> None:
    """As when a process dies when it has ended the parent by hand."""
    began = asyncio.Event()

    async def wait(_given: Given, _ctx: Any) -> Given:
        began.set()
        await asyncio.Event().wait()
        return {}

    script.bodies["one"] = wait
    engine.start_worker(poll_seconds=NEVER)
    task_id = await engine.submit("workflow:calls", {"topic": "tea"})
    await asyncio.wait_for(began.wait(), 30)
    assert await engine.store.survived() == []
    row = await engine.store.task(TaskId(task_id))
    assert row.fence is not None
    ended = TaskFinished(status="cancelled", output=None, failure=None)
    closing = End(status=TaskState.CANCELLED, output=None, failure=None, actor="admin")
    lease = Lease(row.id, row.fence, row.worker_id)
    await engine.store.commit([Write(lease=lease, first_seq=row.last_seq + 1, events=[ended], closing=closing)])
    [child] = await children(engine, task_id)
    assert not (await engine.client.task(child.id)).status.is_terminal
    assert await engine.store.survived() == [task_id]

    await upkeep_once(engine.store, Retention())
    assert (await engine.ended(child.id)).status is TaskState.CANCELLED
    assert await engine.store.survived() == []
