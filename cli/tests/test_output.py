"""How tasks look: for people, and for programs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from agentplat_cli.output import Printer, cost_text

from agentplat import Failure, FailureCode, JournalView, StepView, TaskState, TaskView, Usage

AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
ID = UUID("01a20916-608e-7216-9ca7-f3f923c66582")
TASK = TaskView(
    id=ID,
    type="workflow:hello",
    status=TaskState.DONE,
    input={},
    output={"text": "Hello"},
    failure=None,
    created_at=AT,
    updated_at=AT,
    tenant="default",
    user_hash=None,
    trace_id="0" * 32,
    usage=Usage(model="offline:extractive", input_tokens=7, output_tokens=3, cost=1500),
)
STEP = StepView(
    id=ID,
    task_id=ID,
    path="greet#2",
    kind="agent",
    target="greeter",
    iteration=2,
    attempt=3,
    status=TaskState.DONE,
    input={},
    output={},
    failure=None,
    usage=Usage(),
    created_at=AT,
    updated_at=AT,
)


@pytest.mark.parametrize(("cost", "text"), [(None, "unknown"), (0, "$0"), (1, "$0.000001"), (2_500_000, "$2.500000")])
def test_an_unknown_cost_is_not_zero(cost: int | None, text: str) -> None:
    assert cost_text(cost) == text


def test_people_read_status_steps_output_and_cost(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(json_lines=False).task(replace(TASK, steps=(STEP,)))
    assert capsys.readouterr().out.splitlines() == [
        f"done workflow:hello {ID}",
        "  greet#2: done, attempt 3",
        "{",
        '  "text": "Hello"',
        "}",
        "cost $0.001500, tokens 7 in, 3 out",
    ]


def test_a_failure_is_shown_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    failure = Failure(code=FailureCode.TIMEOUT, message="It took [red]too[/red] long.")
    Printer(json_lines=False).task(replace(TASK, status=TaskState.ERROR, output=None, failure=failure))
    assert "timeout It took [red]too[/red] long." in capsys.readouterr().out


def test_what_comes_from_outside_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    failure = Failure(code=FailureCode.TOOL_FAILED, message="\x1b[2J\x07gone\u202e")
    Printer(json_lines=False).task(replace(TASK, failure=failure))
    assert "tool_failed \\x1b[2J\\x07gone\\x202e" in capsys.readouterr().out


def test_programs_read_the_whole_task_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(json_lines=True).task(replace(TASK, steps=(STEP,), output={"text": "two\nlines"}))
    (line,) = capsys.readouterr().out.splitlines()
    task = json.loads(line)
    assert (task["id"], task["status"], task["created_at"]) == (str(ID), "done", "2026-03-01T12:30:00+00:00")
    assert task["usage"] == {"model": "offline:extractive", "input_tokens": 7, "output_tokens": 3, "cost": 1500}
    assert task["steps"][0]["path"] == "greet#2"


def test_an_event_is_a_line_of_its_own_and_a_quiet_one_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    events = [
        JournalView(seq=1, at=AT, kind="task_claimed", content={"fence": 1}),
        JournalView(seq=2, at=AT, kind="step_started", content={"path": "greet"}),
    ]
    for event in events:
        Printer(json_lines=False).event(event)
    shown = capsys.readouterr()
    assert (shown.out, shown.err.splitlines()) == ("", ["12:30:00 step_started greet"])
    Printer(json_lines=False).journal(events)
    assert "task_claimed" in capsys.readouterr().out
    Printer(json_lines=True).journal(events)
    assert [json.loads(line)["seq"] for line in capsys.readouterr().out.splitlines()] == [1, 2]


def test_columns_are_aligned_and_nothing_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(json_lines=False).table(("id", "text"), [(ID, "x" * 200), ("short", None)], "Nothing.")
    heads, first, second = capsys.readouterr().out.splitlines()
    assert heads.index("text") == first.index("xxx") == 38
    assert first.endswith("x" * 200)
    assert second.rstrip() == "short"


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Printer(json_lines=False).table(("id",), [], "No task yet.")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "No task yet.\n")
