"""The keeper is told on what a worker decides: a strategy is foreign code, which may never return."""

from __future__ import annotations

from typing import Any

import pytest

from agentplat import BlockView, Decision
from agentplat.domain.task import TaskState

from .harness import Engine, InOrder, Script


async def test_a_worker_says_on_which_task_it_decides(
    engine: Engine, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    while_deciding: list[Any] = []
    decide = InOrder.decide

    def noted(self: InOrder, block: BlockView) -> Decision:
        while_deciding.append(said[-1])
        return decide(self, block)

    monkeypatch.setattr(InOrder, "decide", noted)
    engine.start_worker_that(decides=said.append)
    task_id = await engine.submit("workflow:pair")
    assert (await engine.ended(task_id)).status is TaskState.DONE
    assert set(while_deciding) == {str(task_id)}
    assert said[-1] == ""
    assert set(said) == {str(task_id), ""}
