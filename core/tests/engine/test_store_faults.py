"""Faults of the database that are nobody's on whom they fall: neither an agent's, nor an administrator's values'."""

from collections.abc import Sequence

import pytest

from agentplat import AgentContext, Effect
from agentplat.contracts.store import Rejected, Store, Write, WriteResult
from agentplat.domain.errors import InputRejected
from agentplat.domain.task import TaskState
from agentplat.engine import ownership

from .harness import Engine, Given, Script
from .test_races import Look, let_look


class Order(Look):
    """Something that is written down before it is done, and waited for."""

    effect = Effect.IDEMPOTENT


async def test_a_fault_of_the_store_is_no_failure_of_the_agent_whose_call_is_recorded(
    engine: Engine, script: Script, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "HAND_BACK_DELAY", 0.0)
    let_look(engine, Order)
    commit, faults = store.commit, 0

    async def faulty(writes: Sequence[Write]) -> Sequence[WriteResult]:
        nonlocal faults
        if not faults and any(write.calls for write in writes):
            faults += 1
            raise RuntimeError("something that nobody has thought of")
        return await commit(writes)

    async def look(given: Given, ctx: AgentContext) -> Given:
        return {"seen": await ctx.tools.call("look", at="it")}

    monkeypatch.setattr(store, "commit", faulty)
    script.bodies["looking"] = look
    engine.start_worker()
    task = await engine.ended(await engine.submit("agent:looking"))

    assert faults == 1
    assert task.status is TaskState.DONE, task.failure
    assert "step_failed" not in await engine.kinds(task.id)


async def test_an_end_that_the_database_refuses_is_not_told_as_written(
    engine: Engine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = await engine.submit("agent:one", delay=3600.0)

    async def refusing(writes: Sequence[Write]) -> Sequence[WriteResult]:
        return [Rejected(reason="it does not fit") for _ in writes]

    monkeypatch.setattr(store, "commit", refusing)
    with pytest.raises(InputRejected, match="it does not fit"):
        await engine.client.administer(waiting, status=TaskState.CANCELLED)
