"""The report of the demonstration, for a task that went another way than planned."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from agentplat_cli.output import Printer
from agentplat_cli.report import Report

from agentplat import Failure, FailureCode, TaskState, TaskView

from .test_output import TASK


def reported(task: TaskView, capsys: pytest.CaptureFixture[str]) -> str:
    Report(Printer(json_lines=False)).ending(task)
    return capsys.readouterr().out


def test_a_task_that_failed_is_shown_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    failure = Failure(code=FailureCode.UNAVAILABLE, message="The provider does not answer.")
    shown = reported(replace(TASK, status=TaskState.ERROR, output=None, failure=failure), capsys)
    assert "unavailable The provider does not answer." in shown
    assert "Where to look next" in shown


def test_an_output_of_another_form_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    shown = reported(TASK, capsys)
    assert '"text": "Hello"' in shown


@pytest.mark.parametrize(
    ("program", "called"),
    [
        (".venv/bin/agentplat", ".venv/bin/agentplat"),
        ("/usr/bin/agentplat", "agentplat"),
        ("cli/__main__.py", "agentplat"),
    ],
)
def test_the_commands_can_be_copied(
    program: str,
    called: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [program, "demo"])
    assert f"\n{called} tasks show {TASK.id} --journal " in reported(TASK, capsys)
