from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from agentplat_cli.output import Printer

from agentplat import TaskState, TaskView, Usage

NOW = datetime(2026, 11, 23, tzinfo=UTC)
WAITING = TaskView(
    id=uuid4(),
    type="agent:greeter",
    status=TaskState.PENDING,
    input={},
    output=None,
    failure=None,
    created_at=NOW,
    updated_at=NOW,
    tenant="default",
    user_hash=None,
    trace_id="0" * 32,
    usage=Usage(),
    reason="this worker has no agent 'greeter'",
)


def test_why_nobody_works_on_a_task_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    printer = Printer(json_lines=False)
    for _ in range(3):
        printer.update(WAITING)
    printer.update(replace(WAITING, reason="this worker has no tool 'x'"))

    said = capsys.readouterr().err
    assert said.count("no agent 'greeter'") == 1
    assert said.count("no tool 'x'") == 1


def test_what_a_model_wrote_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    output = {"result": "[red]not markup[/red] \x1b[2J"}
    Printer(json_lines=False).task(replace(WAITING, status=TaskState.DONE, reason=None, output=output))

    said = capsys.readouterr().out
    assert "[red]not markup[/red]" in said
    assert "\x1b[2J" not in said
