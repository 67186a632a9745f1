"""Values that JSON or a database cannot hold, or should not: they cost one step, or one signal, and nothing else."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from agentplat import AgentContext, StepError
from agentplat.domain.errors import InputRejected
from agentplat.domain.failure import FailureCode
from agentplat.domain.task import TaskState
from agentplat.runtime.sweeper import sweep_once

from .harness import Engine, Given, Script


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


# Made where they are needed: nobody should have to print them.
HOSTILE: dict[str, Callable[[], Any]] = {
    "a zero character": lambda: "a\x00b",
    "half a surrogate pair": lambda: "\ud800",
    "NaN": lambda: float("nan"),
    "1e400": lambda: float("1e400"),
    "5,000 digits": lambda: 10**5000,
    "200 levels": lambda: nested(200),
    "100,000 levels": lambda: nested(100_000),
    "a zero character in a key": lambda: {"\x00": 1},
    "10 MB": lambda: "x" * 10_000_000,
}
hostile = pytest.mark.parametrize("name", HOSTILE)
texts = pytest.mark.parametrize("name", ["a zero character", "half a surrogate pair", "10 MB"])


@hostile
async def test_an_output_that_cannot_be_kept_costs_its_step_and_nothing_else(
    engine: Engine, script: Script, name: str
) -> None:
    both = asyncio.Barrier(2)

    async def give(given: Given, ctx: AgentContext) -> Given:
        await both.wait()
        return {"value": HOSTILE[name]()}

    async def beside(given: Given, ctx: AgentContext) -> Given:
        await both.wait()
        return {"from": "the neighbour"}

    script.bodies["one"], script.bodies["two"] = give, beside
    worker = engine.start_worker(lease_seconds=300.0)
    task_id, neighbour = await engine.submit("workflow:once"), await engine.submit("agent:two")
    task = await engine.ended(task_id)

    assert task.status is TaskState.ERROR
    assert task.failure is not None
    assert task.failure.code is FailureCode.INVALID_OUTPUT
    assert (await engine.ended(neighbour)).output == {"from": "the neighbour"}
    assert (await engine.kinds(task_id))[-1] == "task_finished"
    assert worker.state == "running"


@texts
async def test_an_error_with_a_text_that_cannot_be_kept_is_kept_as_far_as_it_can(
    engine: Engine, script: Script, name: str
) -> None:
    async def fail(given: Given, ctx: AgentContext) -> Given:
        text = HOSTILE[name]()
        raise StepError(FailureCode.REFUSED, text) if given.get("typed") else ValueError(text)

    script.bodies["one"] = fail
    engine.start_worker(lease_seconds=300.0)
    foreign = await engine.ended(await engine.submit("workflow:once"))
    typed = await engine.ended(await engine.submit("workflow:once", {"typed": True}))

    assert foreign.failure is not None
    assert typed.failure is not None
    assert (foreign.failure.code, typed.failure.code) == (FailureCode.AGENT_FAILED, FailureCode.REFUSED)
    assert max(len(foreign.failure.message), len(typed.failure.message)) < 10_000


@hostile
async def test_a_signal_that_cannot_be_kept_wakes_nobody_and_its_key_stays_free(
    engine: Engine, script: Script, name: str
) -> None:
    engine.start_worker(lease_seconds=300.0)
    task_id = await engine.submit("workflow:patient")
    await engine.until(task_id, lambda t: t.workflow_state is not None and t.workflow_state.current == "answer")
    claims = (await engine.kinds(task_id)).count("task_claimed")
    with pytest.raises(InputRejected):
        await engine.client.signal(task_id, "go", {"value": HOSTILE[name]()}, key="1")
    await asyncio.sleep(0.1)
    assert (await engine.kinds(task_id)).count("task_claimed") == claims
    await engine.client.signal(task_id, "go", {"say": "yes"}, key="1")

    assert (await engine.ended(task_id)).status is TaskState.DONE
    assert script.asked[-1] == ("two", {"say": "yes"})


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+12:00"])
async def test_a_time_that_no_database_gives_back_is_refused_and_keeps_no_sweep_from_its_work(
    engine: Engine, at: str
) -> None:
    with pytest.raises(InputRejected, match="/run_at is not within the years 1 to 9998"):
        await engine.submit("agent:one", run_at=datetime.fromisoformat(at))
    engine.start_worker()
    task = await engine.ended(await engine.submit("workflow:until", {"at": at}))

    assert task.failure is not None
    assert task.failure.code is FailureCode.INVALID_INPUT
    assert at in task.failure.message


@pytest.mark.parametrize("at", ["9998-12-31T23:59:59+14:00", "9998-12-31T23:59:59Z", "0001-01-02T00:00:00Z"])
async def test_the_first_and_the_last_time_that_are_kept_can_be_read_and_swept(engine: Engine, at: str) -> None:
    delayed = await engine.submit("agent:one", run_at=datetime.fromisoformat(at))
    waiting = await engine.submit("workflow:until", {"at": at})
    engine.start_worker()
    if at < "2000":
        assert [(await engine.ended(task_id)).status for task_id in (delayed, waiting)] == [TaskState.DONE] * 2
        return
    await engine.until(waiting, lambda task: task.status is TaskState.WAITING)

    assert await sweep_once(engine.store) > 0
    assert (await engine.client.why(delayed)).code == "delayed"
    assert (await engine.client.why(waiting)).until == datetime.fromisoformat(at)
