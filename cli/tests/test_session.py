"""Waiting for a task while the server is away now and then."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from agentplat_cli import session
from agentplat_cli.remote import RemoteTasks
from agentplat_cli.session import Session

from agentplat import TaskState, UnavailableError

from .conftest import Answers
from .test_output import TASK

SUBMITTED = replace(TASK, status=TaskState.PENDING, output=None)
AWAY = (503, json.dumps({"error_code": "store_unavailable", "detail": "The database does not answer."}))


def answer(status: str) -> tuple[int, str]:
    """What a server says of the task."""
    task: dict[str, Any] = {
        "id": str(TASK.id),
        "type": TASK.type,
        "status": status,
        "input": {},
        "output": {"text": "Hello"},
        "failure": None,
        "created_at": "2026-03-01T12:30:00Z",
        "updated_at": "2026-03-01T12:30:00Z",
        "tenant_id": "default",
        "user_id_hash": None,
        "generation_id": "0" * 32,
        "model_used": None,
        "input_tokens": 7,
        "output_tokens": 3,
        "total_cost": 0.0015,
        "cancel_requested": False,
        "reason": None,
        "retry_of": None,
        "subtasks": [],
        "workflow_state": None,
    }
    return 200, json.dumps(task)


async def test_a_server_that_comes_back_is_waited_for(answers: Answers) -> None:
    seen: list[TaskState] = []
    async with RemoteTasks(answers(answer("pending"), AWAY, AWAY, answer("running"), AWAY, answer("done"))) as tasks:
        task = await Session(tasks).finished(SUBMITTED, lambda task: seen.append(task.status))
    assert (task.status, task.usage.cost) == (TaskState.DONE, 1500)
    assert set(seen) >= {TaskState.PENDING, TaskState.RUNNING}


async def test_a_server_that_stays_away_is_not(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "PATIENCE", 0.2)
    async with RemoteTasks(answers(AWAY)) as tasks:
        with pytest.raises(UnavailableError, match="The database does not answer"):
            await Session(tasks).finished(SUBMITTED, lambda task: None)
