"""Values that JSON or a database cannot hold, or should not: they cost one step, or one signal, and nothing else."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

import pytest
from sqlalchemy import update

from agentplat import AgentContext, StepError
from agentplat.contracts.interface import TaskFilter
from agentplat.domain.errors import InputRejected
from agentplat.domain.failure import FailureCode
from agentplat.domain.task import TaskState
from agentplat.runtime.sweeper import sweep_once
from agentplat.store.database import Transaction
from agentplat.store.sql_store import SqlStore
from agentplat.store.tables import tasks

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


WAITS: dict[str, Callable[[], Any]] = {
    "400 digits": lambda: 10**400,
    "infinity": lambda: float("inf"),
    "NaN": lambda: float("nan"),
    "a text": lambda: "30",
    "less than nothing": lambda: -1,
}


@pytest.mark.parametrize("name", WAITS)
async def test_a_wait_that_is_none_ends_no_worker_and_keeps_nobody_from_reading(
    engine: Engine, script: Script, name: str
) -> None:
    async def fail(given: Given, ctx: AgentContext) -> Given:
        raise StepError(FailureCode.RATE_LIMITED, "Busy.", retry_after=WAITS[name]())

    script.bodies["one"] = fail
    worker = engine.start_worker(lease_seconds=300.0)
    task_id = await engine.submit("workflow:once")
    task = await engine.ended(task_id)

    assert task.failure is not None
    assert (task.failure.code, task.failure.message) == (FailureCode.RATE_LIMITED, "Busy.")
    assert task.failure.retry_after in (None, 86_400.0)
    assert [shown.id for shown in await engine.client.tasks(TaskFilter())] == [task_id]
    assert "step_failed" in await engine.kinds(task_id)
    assert worker.state == "running"


@pytest.mark.parametrize("name", ["NaN", "a text", "less than nothing"])
async def test_a_wait_that_is_none_is_no_reason_not_to_try_again(engine: Engine, script: Script, name: str) -> None:
    async def fail_once(given: Given, ctx: AgentContext) -> Given:
        if len(script.asked) == 1:
            raise StepError(FailureCode.RATE_LIMITED, "Busy.", retry_after=WAITS[name]())
        return given

    script.bodies["one"] = fail_once
    engine.start_worker(lease_seconds=300.0)
    task_id = await engine.submit("agent:one", {"a": 1})
    task = await engine.ended(task_id)

    assert (task.status, task.output) == (TaskState.DONE, {"a": 1})
    assert (await engine.kinds(task_id)).count("retry_scheduled") == 1
    assert len(script.asked) == 2


async def test_a_wait_that_an_older_version_kept_can_still_be_read(engine: Engine, script: Script) -> None:
    async def fail(given: Given, ctx: AgentContext) -> Given:
        raise StepError(FailureCode.RATE_LIMITED, "Busy.")

    script.bodies["one"] = fail
    worker = engine.start_worker(lease_seconds=300.0)
    task_id = await engine.submit("workflow:once")
    await engine.ended(task_id)
    kept = {"code": "rate_limited", "message": "Busy.", "retryable": True, "retry_after": 10**400, "details": {}}

    async def write(transaction: Transaction) -> None:
        await transaction.connection.execute(update(tasks).where(tasks.c.id == task_id).values(failure=kept))

    await cast(SqlStore, engine.store)._database.write(write)
    task = await engine.client.task(task_id)

    assert task.failure is not None
    assert task.failure.retry_after == 86_400.0
    assert worker.state == "running"


async def test_details_without_a_bound_are_cut_with_a_word_about_it(engine: Engine, script: Script) -> None:
    async def fail(given: Given, ctx: AgentContext) -> Given:
        raise StepError(FailureCode.REFUSED, "No.", details={"page": "é" * 600_000})

    script.bodies["one"] = fail
    engine.start_worker(lease_seconds=300.0)
    task = await engine.ended(await engine.submit("workflow:once"))

    assert task.failure is not None
    assert (task.failure.code, task.failure.message) == (FailureCode.REFUSED, "No.")
    assert task.failure.details == {"left_out": "1,200,011 bytes as JSON; 1,048,576 are allowed"}


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
