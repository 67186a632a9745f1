"""What schemas tell of a workflow that compiles: each fault with its place, and nothing of what may be right."""

from __future__ import annotations

import pytest
from agentplat_analysis.checks import check
from agentplat_analysis.knowledge import InstalledSchemas
from agentplat_analysis.reading import installed

from agentplat.contracts.tool import Effect
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.strategy import Strategy
from agentplat.domain.workflow import Workflow
from agentplat.language.compiler import compile_document
from agentplat.language.yaml import load

from .conftest import Anything
from .test_schema import STOCK, WHOLE, names

FINDINGS: JsonObject = {
    "type": "object",
    "properties": {
        "findings": {"type": "string"},
        "sources": {"type": "array", "items": {"$ref": "#/$defs/Source"}},
        "either": {"anyOf": [{"type": "string"}, {"type": "object"}]},
        "notes": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "$defs": {"Source": {"type": "object", "properties": {"url": {"type": "string"}}}},
}
TOPIC: JsonObject = {
    "type": "object",
    "properties": {"topic": {"type": "string"}, "depth": {"type": "integer"}},
    "required": ["topic"],
    "additionalProperties": False,
}


class Schemas:
    """Of `research` all is known, and what workflow `invoice` takes; `calculator` acts at most once.

    Of `invoice`, which `summarise` calls, `STEPS` are the steps.
    """

    def workflow(self, name: str) -> Workflow | None:
        steps = {"invoice": STEPS[-1], "summarise": "[{workflow: invoice}]"}.get(name)
        if steps is None:
            return None
        return compile_document(load(f"name: {name}\nsteps: {steps}\n", f"{name}.yaml"), Ring())

    def input(self, kind: str, name: str) -> JsonObject | None:
        return TOPIC if name in ("research", "invoice") else None

    def output(self, kind: str, name: str) -> JsonObject | None:
        return FINDINGS if name == "research" else None

    def refused(self, kind: str, name: str, given: JsonValue) -> list[tuple[str, str]]:
        return []

    def strategy(self, name: str) -> Strategy | None:
        return None

    def model(self, named: str) -> str | None:
        return None

    def effect(self, tool: str) -> Effect:
        return Effect.AT_MOST_ONCE if tool == "calculator" else Effect.IDEMPOTENT


class Ring(Anything):
    def workflows(self) -> list[str]:
        return ["invoice", "summarise", "w"]


STEPS = ["[{agent: writer}]"]


def said(text: str) -> list[str]:
    document = load(text, "w.yaml")
    found = check(compile_document(document, Anything()), document, Schemas())
    return [str(fault).removeprefix("w.yaml:") for fault in found]


def reading(expression: str) -> list[str]:
    return said(
        f"name: w\nsteps:\n  - agent: research\n  - agent: writer\n    input: {{x: '${{{{ {expression} }}}}'}}\n"
    )


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("steps.research.output.finding", "5:43: unknown_value: `steps.research.output`: there is no `finding`"),
        (
            "steps.research.output.findings.text",
            "5:52: unknown_value: `steps.research.output.findings`: a value of type",
        ),
        ("steps.research.output.sources.url", "5:51: unknown_value: `steps.research.output.sources`: a list has"),
        (
            "steps.research.output.sources[0].link",
            "5:54: unknown_value: `steps.research.output.sources.0`: there is no",
        ),
        ("1 + steps.research.output.sum", "5:47: unknown_value: `steps.research.output`: there is no `sum`"),
    ],
)
def test_a_path_that_leads_nowhere_is_said_where_it_goes_astray(expression: str, fault: str) -> None:
    (found,) = reading(expression)
    assert found.startswith(fault)


def test_the_nearest_name_is_said() -> None:
    assert reading("steps.research.output.finding")[0].endswith("; did you mean `findings`?")


@pytest.mark.parametrize(
    "expression",
    [
        "steps.research.output",
        "steps.research.output.findings",
        "steps.research.output.sources[3].url",
        "steps.research.output.either.anything",
        "steps.research.output.notes.anything",
        "steps.research.output.finding | default(0)",
        "input.anything.at.all",
    ],
)
def test_what_may_be_there_is_left_in_peace(expression: str) -> None:
    assert reading(expression) == []


def test_the_input_that_is_declared_is_all_that_there_is() -> None:
    text = (
        "name: w\ninput: {topic: string}\nsteps:\n  - {agent: writer, when: input.tpic, input: '${{ input.topic }}'}\n"
    )
    assert said(text) == ["4:33: unknown_value: `input`: there is no `tpic`; did you mean `topic`?"]


def test_steps_of_other_blocks_and_of_handlers_are_known_where_they_are_seen() -> None:
    text = """\
name: w
steps:
  - name: block
    steps:
      - {name: inner, agent: research}
      - {agent: writer, input: "${{ steps.inner.output.nothing }}"}
catch:
  - steps: [{name: sorry, agent: writer, input: "${{ steps.block.output.anything }}"}]
finally:
  - {name: ask, approval: {message: Well?, form: {comment: string}}}
  - {name: end, agent: writer, input: "${{ steps.ask.output.comment }} ${{ steps.ask.output.remark }}"}
output: ${{ steps.block.output }}
"""
    assert [fault.split(": ")[0] for fault in said(text)] == ["6:56", "11:93"]


def test_an_input_that_does_not_fit_is_said() -> None:
    text = "name: w\nsteps:\n  - {agent: research, input: {topic: 3, dept: 2, depth: '${{ input.depth }}'}}\n"
    found = said(text)
    assert [fault.split(": ")[1] for fault in found] == ["invalid_input", "invalid_input"]
    assert any("at /topic" in fault for fault in found)
    assert any("dept" in fault for fault in found)


def test_an_input_that_another_workflow_does_not_take_is_said_with_what_is_missing() -> None:
    text = "name: w\nsteps:\n  - {workflow: invoice, input: {depth: 'three'}}\n  - {workflow: summarise, input: {}}\n"
    found = said(text)
    assert [fault.split(": ")[:2] for fault in found] == [["3:32", "invalid_input"]] * 2
    assert any("at /depth" in fault for fault in found)
    assert any("workflow `invoice` does not take this: `topic` is missing" in fault for fault in found)
    assert said("name: w\nsteps:\n  - {workflow: invoice, input: {topic: '${{ input.topic }}'}}\n") == []
    assert said("name: w\nsteps:\n  - {workflow: invoice}\n") == []


@pytest.mark.parametrize(
    ("steps", "is_endless"),
    [
        ("[{workflow: w}]", True),
        ("[{name: inner, steps: [{agent: writer}, {workflow: w}]}]", True),
        ("[{workflow: w, when: input.more}]", False),
        ("[{workflow: w, foreach: [1, 2]}]", False),
        ("[{name: inner, strategy: dag, steps: [{workflow: w}]}]", False),
        ("[{agent: writer, compensate: {workflow: w}}]", False),
        ("[{agent: writer}]", False),
    ],
)
def test_workflows_that_call_each_other_in_every_task_are_said(
    steps: str, is_endless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"{__name__}.STEPS", [steps])
    some = "{name: some, workflow: summarise, when: input.more}"
    found = said(f"name: w\nsteps:\n  - {some}\n  - workflow: summarise\n")
    text = "these workflows call each other in every task: w -> summarise -> invoice -> w; say by `when` in which tasks"
    assert [fault.startswith(f"4:15: endless_recursion: {text}") for fault in found] == ([True] if is_endless else [])
    assert said("name: w\nsteps:\n  - {workflow: summarise, when: input.more}\n") == []


def test_items_that_are_no_list_are_said() -> None:
    text = "name: w\ninput: {{urls: {kind}}}\nsteps:\n  - {{agent: writer, foreach: '${{{{ input.urls }}}}'}}\n"
    assert said(text.format(kind="array")) == []
    (found,) = said(text.format(kind="string"))
    assert found.startswith("4:30: wrong_type: `foreach` needs a list")


def test_a_retry_of_what_acts_at_most_once_is_said_where_somebody_asked_for_it() -> None:
    text = "name: w\nsteps:\n  - {{tool: {tool}, retry: {{max_attempts: {tries}}}}}\n"
    assert [fault.split(": ")[:2] for fault in said(text.format(tool="calculator", tries=3))] == [
        ["3:24", "unsafe_retry"]
    ]
    assert said(text.format(tool="calculator", tries=1)) == []
    assert said(text.format(tool="http_request", tries=3)) == []
    assert said("name: w\nsteps:\n  - {tool: calculator}\n") == []


def test_a_clause_that_an_earlier_one_leaves_nothing_to_is_said() -> None:
    def clauses(*on: str) -> list[str]:
        lines = "".join(f"  - {{on: [{each}], steps: [{{name: s{n}, agent: writer}}]}}\n" for n, each in enumerate(on))
        return [fault.split(": ")[1] for fault in said(f"name: w\nsteps: [{{agent: writer}}]\ncatch:\n{lines}")]

    assert clauses("timeout", "permanent", "retryable") == []
    assert clauses("retryable, permanent", "timeout") == ["unreachable_catch"]
    assert clauses("timeout, refused", "timeout") == ["unreachable_catch"]


@pytest.mark.parametrize("file", [*STOCK, WHOLE], ids=lambda file: file.stem)
def test_of_good_workflows_there_is_nothing_to_say(file: object) -> None:
    from pathlib import Path

    assert isinstance(file, Path)
    document = load(file.read_bytes(), file.name)
    assert check(compile_document(document, names()), document, InstalledSchemas(installed())) == []
