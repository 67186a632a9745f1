"""`agentplat workflows bounds`, `graph` and `schema`, and what `validate` says besides, in a folder with a workflow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentplat import UnknownName, WorkflowInvalid
from agentplat.runtime.cli.main import run_command

MINE = """\
name: mine
strategy: iterative_refinement
max_iterations: 4
until: ${{ steps.two.output.result }}
steps:
  - name: one
    agent: summarizer
  - {name: two, tool: calculator}
  - {name: wait, wait: {signal: go}}
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "mine.yaml").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AGENTPLAT_PROJECT", raising=False)
    return tmp_path


def called(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        run_command(arguments)
    return int(ended.value.code or 0)


def test_bounds_are_said_with_the_loop_that_dominates_and_what_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("workflows", "bounds", "mine") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("The worst case of workflow mine (")
    said = " ".join(lines[1].split())
    assert said.startswith("step executions 12 dominated by the workflow (iterative_refinement, at most 12 executions;")
    assert lines[1].endswith("workflows/mine.yaml:3)")
    assert "  money            $0" in lines  # the offline model costs nothing
    (wait,) = (line for line in lines if line.startswith("No bound on time: wait ("))
    assert wait.endswith("mine.yaml:9): it waits for the signal `go` without a timeout.")


def test_programs_get_the_same_as_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("workflows", "bounds", "workflows/mine.yaml", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["workflow"], told["file"]) == ("mine", "workflows/mine.yaml")
    assert told["bounds"]["executions"]["most"] == 12
    assert told["bounds"]["executions"]["dominated_by"] == {
        "path": "",
        "place": "workflows/mine.yaml:3",
        "kind": "iterative_refinement, at most 12 executions",
    }
    assert told["bounds"]["seconds"]["most"] is None
    assert [cause["place"] for cause in told["bounds"]["seconds"]["causes"]] == ["workflows/mine.yaml:9"]
    assert told["bounds"]["usd"] == {"most": 0, "unpriced": []}


def test_a_budget_is_said_and_taken_for_no_bound(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "workflows" / "mine.yaml").write_text(MINE + "budget: {usd: 0.5, tokens: 1000}\n")
    assert called("workflows", "bounds", "mine") == 0
    said = capsys.readouterr().out
    assert "The budget that it declares (tokens 1000, usd 0.5) is kept with it; nothing stops" in said
    assert "  tokens           unbounded" in said


def test_what_is_wrong_is_checked_with_its_place_and_ends_with_1(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called("workflows", "validate", "mine") == 0
    assert capsys.readouterr().out.endswith("workflows/mine.yaml: valid\n")
    (project / "b.yaml").write_text("name: b\nsteps: [{agent: nobody}]\n")
    (project / "c.yaml").write_text("name: c\nsteps:\n  - {tool: calculator, input: {expresion: 1 + 1}}\n")
    assert called("workflows", "validate", "b.yaml", "c.yaml", "mine") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("b.yaml:2:17: unknown_agent: ")
    assert lines[1].startswith("c.yaml:3:31: invalid_input: tool `calculator` does not take this")


def test_the_schema_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("workflows", "schema") == 0
    assert json.loads(capsys.readouterr().out)["$schema"] == "http://json-schema.org/draft-07/schema#"


def test_a_picture_is_drawn_where_one_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("workflows", "graph", "mine", "--svg") == 0
    assert capsys.readouterr().out.startswith("<svg ")


def test_the_stock_workflows_have_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    for name, executions in (("research_assessment", 6), ("simple_sequential", 2), ("content_review", 2)):
        assert called("workflows", "bounds", name, "--json") == 0
        assert json.loads(capsys.readouterr().out)["bounds"]["executions"]["most"] == executions


def test_a_workflow_is_drawn_by_its_name_or_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert called("workflows", "graph", "mine") == 0
    by_name = capsys.readouterr().out
    assert called("workflows", "graph", "workflows/mine.yaml") == 0
    assert capsys.readouterr().out == by_name
    assert by_name.startswith("flowchart TD")


def test_an_unknown_or_broken_workflow_is_said_as_everywhere(project: Path) -> None:
    with pytest.raises(UnknownName, match="Workflow 'nobody' not found"):
        run_command(["workflows", "bounds", "nobody"])
    (project / "broken.yaml").write_text("name: broken\nsteps: [{agent: nobody}]\n")
    with pytest.raises(WorkflowInvalid, match=r"broken\.yaml:2:\d+: unknown_agent"):
        run_command(["workflows", "graph", "broken.yaml"])


ORDER = """\
name: order
steps:
  - {name: billed, workflow: bill, input: {}, retry: {max_attempts: 2}}
  - {workflow: mine, when: input.more, timeout: 10m}
"""
BILL = """\
name: bill
input: {number: integer}
steps:
  - {name: add, tool: calculator, input: {expression: 1 + 1}, queue: ledger}
  - {name: each, tool: calculator, foreach: [1, 2, 3], input: {expression: "1 + ${{ item }}"}}
"""


@pytest.fixture
def order(project: Path) -> Path:
    (project / "workflows" / "order.yaml").write_text(ORDER)
    (project / "workflows" / "bill.yaml").write_text(BILL)
    return project


def test_what_other_workflows_of_the_project_take_is_counted_and_said_where_they_are_called(
    order: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called("workflows", "bounds", "workflows/order.yaml", "--json") == 0
    told = json.loads(capsys.readouterr().out)["bounds"]
    assert told["executions"]["most"] == (1 + 2 * 4) + (1 + 12)
    assert told["executions"]["dominated_by"]["path"] == "mine"
    assert told["executions"]["dominated_by"]["place"] == "workflows/order.yaml:4"
    assert told["seconds"]["most"] is not None, "ten minutes for the one that waits without an end"
    (order / "workflows" / "bill.yaml").write_text("name: bill\nsteps: []\n")
    assert called("workflows", "bounds", "workflows/order.yaml") == 0
    said = capsys.readouterr().out
    assert "billed (workflows/order.yaml:3): workflow `bill` is not known here, or at fault." in said
    assert "unknown: no price of what `bill` uses" in said


def test_an_input_that_another_workflow_of_the_project_does_not_take_is_said(
    order: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called("workflows", "validate", "workflows/order.yaml") == 1
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("workflows/order.yaml:3:43: invalid_input: workflow `bill` does not take this: `number`")


def test_the_workflows_of_the_project_are_in_the_schema_with_their_inputs(
    order: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called("workflows", "schema") == 0
    told = json.loads(capsys.readouterr().out)
    names = [each.get("const") for each in told["definitions"]["step"]["properties"]["workflow"]["anyOf"]]
    assert {"bill", "mine", "order"} <= set(names)
    assert "number" in json.dumps(told["definitions"]["workflow.bill"])
