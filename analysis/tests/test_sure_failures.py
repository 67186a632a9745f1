"""What compiles and fails in every task: said where it can be known, and not where it may be right."""

from __future__ import annotations

from pathlib import Path

import pytest
from agentplat_analysis.checks import check
from agentplat_analysis.knowledge import InstalledSchemas
from agentplat_analysis.reading import installed

from agentplat.domain.errors import WorkflowInvalid
from agentplat.domain.workflow import Workflow
from agentplat.engine.definitions import CatalogNames, diagnosed
from agentplat.language.compiler import compile_document
from agentplat.language.yaml import load

PATTERNS = sorted((Path(__file__).parents[2] / "docs").rglob("*.yaml"))
REGISTRIES = installed()
NAMES = CatalogNames(REGISTRIES)

ROWS = "{type: array, items: {type: object, properties: {a: {type: string}}}}"
HEAD = f"name: w\ninput: {{n: integer, s: string, l: {ROWS}}}\n"


class Names(CatalogNames):
    def workflows(self) -> tuple[str, ...]:
        return (*super().workflows(), "called")


class Schemas(InstalledSchemas):
    def workflow(self, name: str) -> Workflow | None:
        if name != "called":
            return super().workflow(name)
        output = "{found: '${{ steps.research.output }}', b: x}"
        text = f"name: called\ninput: {{n: integer}}\nsteps: [{{agent: research}}]\noutput: {output}\n"
        return compile_document(load(text, "called.yaml"), NAMES)


def said(text: str) -> list[str]:
    document = load(text, "w.yaml")
    found = check(compile_document(document, Names(REGISTRIES)), document, Schemas(REGISTRIES))
    return [str(fault).removeprefix("w.yaml:") for fault in found]


def steps(*lines: str, head: str = HEAD) -> list[str]:
    return said(head + "steps:\n" + "".join(f"  - {line}\n" for line in lines))


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{agent: research, input: {tpic: x}}", "4:30: invalid_input: agent `research` does not take this: `topic`"),
        ("{tool: calculator, input: 5}", "4:31: invalid_input: tool `calculator` does not take this"),
        (
            "{tool: calculator, input: {expression: '${{ input.n }}'}}",
            "4:44: invalid_input: tool `calculator` takes a value of type string here, and this is of type integer",
        ),
        ("{tool: calculator, input: '${{ input.n }}'}", "4:31: invalid_input"),
        ("{workflow: called, input: {n: '${{ input.s }}'}}", "4:35: invalid_input: workflow `called` takes"),
        ("{workflow: called, input: {n: 'x ${{ input.n }}'}}", "4:35: invalid_input: workflow `called` takes"),
        ("{name: x, wait: {until: '${{ input.n }}'}}", "4:29: invalid_time: `until` needs a time as a text"),
        (
            "{name: x, foreach: '${{ input.l }}', emit: {event: e, data: '${{ item.b }}'}}",
            "4:75: unknown_value: `item`: there is no `b`",
        ),
        ("{name: x, emit: {event: e, data: '${{ task.id.x }}'}}", "4:51: unknown_value: `task.id`: a value of type"),
        ("{name: x, when: input.s >= 0.9, emit: {event: e}}", "4:21: wrong_type: this compares a value of type string"),
        (
            "{name: x, emit: {event: e, data: '${{ 3 < input.l }}'}}",
            "4:42: wrong_type: this compares a value of type num",
        ),
        ("{agent: research, model: 'nope:nope'}", "4:30: unknown_model: "),
        ("{agent: research, model: nope}", "4:30: unknown_model: "),
    ],
)
def test_what_fails_in_every_task_is_said(line: str, fault: str) -> None:
    (found,) = steps(line)
    assert found.startswith(fault), found


@pytest.mark.parametrize(
    "line",
    [
        "{agent: research, input: {topic: '${{ input.n }}${{ input.s }}'}}",
        "{tool: calculator, input: {expression: '${{ input.n ~ 1 }}'}}",
        "{tool: calculator, input: {expression: '${{ input.s }}'}}",
        "{workflow: called, input: {n: '${{ input.n }}'}}",
        "{name: x, when: input.n >= 0.9, emit: {event: e, data: '${{ input.s < \"b\" }}'}}",
        "{name: x, when: input.s | float >= 0.9 or input.n < 3, emit: {event: e}}",
        "{name: x, wait: {until: '${{ task.created_at }}'}}",
        "{name: x, foreach: '${{ input.l }}', emit: {event: e, data: '${{ item.a }} ${{ index }}'}}",
        "{agent: research, model: offline}",
    ],
)
def test_what_may_be_right_is_left_in_peace(line: str) -> None:
    assert steps(line) == []


def test_what_another_workflow_is_said_to_give_is_all_that_it_gives() -> None:
    call, use = (
        "{workflow: called, input: {n: 1}}",
        "{name: x, emit: {event: e, data: '${{ steps.called.output.%s }}'}}",
    )
    assert steps(call, use % "found.anything") == []
    (found,) = steps(call, use % "nope")
    assert found.startswith("5:63: unknown_value: `steps.called.output`: there is no `nope`")


@pytest.mark.parametrize("strategy", ["sequential", "parallel"])
def test_an_output_that_nobody_can_have_given_yet_is_said(strategy: str) -> None:
    head = f"{HEAD}strategy: {strategy}\n"
    early, late = "{name: a, %s, emit: {event: e, data: '${{ steps.b.output }}'}}", "{name: b, emit: {event: f}}"
    (found,) = steps(early % "description: x", late, head=head)
    assert ": unknown_value: `steps.b.output` is not there when this step begins" in found
    assert steps(early % "when: input.n > 3", late, head=head) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("strategy: parallel\njoin: {n_of: 5}\n", "waits for 5 steps"),
        ("strategy: router\nroute: ${{ input.s }}\nroutes: {b: nope}\n", "names 'nope', which is no branch"),
        ("strategy: router\nroute: ${{ input.s }}\nroutes: {b: ask}\n", ""),
        ("strategy: parallel\njoin: {n_of: 1}\n", ""),
    ],
)
def test_a_block_that_its_strategy_refuses_is_said(options: str, words: str) -> None:
    found = said(f"{HEAD}{options}steps:\n  - {{name: ask, emit: {{event: e}}}}\n")
    assert [": invalid_option: strategy `" in fault and words in fault for fault in found] == ([True] if words else [])


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ("", ["`a` is missing"]),
        (", input: {a: x, b: y}", ["at /b"]),
        (", input: {a: '${{ schedule.date }}', c: 3}", []),
        (", input: {a: x, b: '${{ schedule.date }}'}", ["of type integer here, and this is of type string"]),
        (", input: {a: 'x', b: '${{ schedule.date | length }}'}", []),
    ],
)
def test_the_input_of_a_schedule_is_held_to_that_of_its_workflow(given: str, faults: list[str]) -> None:
    head = "name: w\ninput: {a: string, b: {type: integer, default: 1}, c: {default: 1}}\n"
    found = steps("{agent: research}", head=f'{head}schedule: {{cron: "* * * * *"{given}}}\n')
    assert len(found) == len(faults)
    assert all(words in fault for words, fault in zip(faults, found, strict=True))


def test_a_model_that_all_steps_shall_have_is_looked_for_where_that_stands() -> None:
    (found, *_) = steps("{agent: research}", head=f"{HEAD}defaults: {{model: nope}}\n")
    assert found.startswith("3:19: unknown_model: ")


def test_one_fault_of_the_compiler_hides_none_of_the_schemas() -> None:
    lines = [
        "name: w",
        "steps:",
        "  - {agent: research, input: {topic: 3}}",
        "  - {agent: rsearch, input: {topic: 3}}",
        "  - {name: n, tool: calculator, when: 'steps.nope.output', input: {expression: [1]}}",
        "  - {name: o, tool: calculator, input: {expression: '${{ steps.research.output.finding }}'}}",
        "  - {name: p, wait: {duration: soon}}",
        "schedule: {cron: '* * * *'}",
    ]
    found = [fault.split(":")[1:4] for fault in diagnosed(REGISTRIES, "\n".join(lines), "w.yaml")]
    assert [(line, code) for line, _, code in found] == [
        ("3", " invalid_input"),
        ("4", " unknown_agent"),
        ("5", " unknown_step"),
        ("5", " invalid_input"),
        ("6", " unknown_value"),
        ("7", " invalid_duration"),
        ("8", " invalid_cron"),
    ]


def test_a_strategy_with_a_wrong_name_is_not_taken_for_another_one() -> None:
    text = "name: w\nstrategy: dagg\nsteps:\n  - {agent: research, input: {topic: '${{ steps.b.output }}'}}\n"
    (found,) = diagnosed(REGISTRIES, text + "  - {name: b, emit: {event: e}}\n", "w.yaml")
    assert "unknown_strategy" in found


@pytest.mark.parametrize("text", ["- a", "name: [", "", "steps: 3", "name: w\nsteps: [{}, 3, {wait: 3}]\noutput: 5\n"])
def test_what_cannot_be_read_is_left_to_the_compiler(text: str) -> None:
    assert diagnosed(REGISTRIES, text, "w.yaml")


def test_of_the_workflows_of_the_documentation_there_is_nothing_to_say() -> None:
    said: dict[str, object] = {}
    for file in PATTERNS:
        try:
            document = load(file.read_bytes(), file.name)
            workflow = compile_document(document, NAMES)
        except WorkflowInvalid:  # what names agents of its own is tried by the tests of the documentation
            continue
        said[file.name] = check(workflow, document, InstalledSchemas(REGISTRIES))
    assert len(said) > 30
    assert not any(said.values()), said
