from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from agentplat.domain.errors import WorkflowInvalid
from agentplat.domain.retry import RetryPolicy
from agentplat.domain.tree import build
from agentplat.domain.workflow import AgentCall, Block, SignalWait, Step, TimerWait, ToolCall, leaves
from agentplat.language.compiler import definition_hash, normalise
from agentplat.language.yaml import load

if TYPE_CHECKING:
    from .conftest import Compiler

OLD = """\
name: research_assessment
description: Research with quality feedback loop
coordination_type: iterative_refinement
max_iterations: 3
convergence_check: assessment_approved
steps:
  - agent_type: research
    name: conduct_research
  - agent_type: assessment
    name: assess_quality
"""

WHOLE = """\
name: publish_article
description: Draft, check and publish
version: 3
input:
  topic: {type: string, minLength: 1}
  urls: {type: array, items: {type: string}, default: []}
budget: {wall_time: 1h30m}
defaults: {timeout: 2m, retry: {max_attempts: 5, initial: 500ms}}
steps:
  - name: gather
    description: Look things up
    agent: research
    input: {url: "${{ input.urls[0] }}", topic: "${{ input.topic }}"}
    retry: {backoff: constant, max: 10, on: [rate_limited, timeout]}
    timeout: 30s
  - name: polish
    when: ${{ steps.gather.status == 'succeeded' }}
    strategy: iterative_refinement
    max_iterations: 4
    until: steps.critique.output.score >= 0.9
    options: {tone: calm}
    input: ${{ steps.gather.output }}
    steps:
      - {name: critique, agent: assessment}
      - {name: rewrite, agent: writer}
  - tool: calculator
    input: {expression: "1 + ${{ steps.gather.output.count | default(0) }}"}
  - {name: pause, wait: {duration: 10m}}
  - {name: sign_off, wait: {signal: approved, timeout: 3d}}
output: ${{ steps.polish.output }}
"""


def test_an_existing_file_loads_unchanged(compiler: Compiler) -> None:
    workflow = compiler.compile(OLD)
    root = workflow.root
    assert (workflow.name, workflow.description) == ("research_assessment", "Research with quality feedback loop")
    assert (root.strategy, root.max_iterations) == ("iterative_refinement", 3)
    assert root.convergence_check == "assessment_approved"
    assert [(step.name, step.body) for step in leaves(root)] == [
        ("conduct_research", AgentCall("research")),
        ("assess_quality", AgentCall("assessment")),
    ]


def test_all_that_a_workflow_can_say_arrives_in_its_tree(compiler: Compiler) -> None:
    workflow = compiler.compile(WHOLE)
    assert (workflow.version, workflow.deadline) == ("3", timedelta(minutes=90))
    assert workflow.output == "${{ steps.polish.output }}"
    gather, polish, calculator, pause, sign_off = workflow.root.steps
    assert gather == Step(
        name="gather",
        description="Look things up",
        body=AgentCall("research"),
        input={"url": "${{ input.urls[0] }}", "topic": "${{ input.topic }}"},
        retry=RetryPolicy(
            max_attempts=5,
            backoff="constant",
            initial=timedelta(milliseconds=500),
            max=timedelta(seconds=10),
            on=frozenset({"rate_limited", "timeout"}),
        ),
        timeout=timedelta(seconds=30),
    )
    assert isinstance(polish, Block)
    assert (polish.strategy, polish.max_iterations) == ("iterative_refinement", 4)
    assert polish.until == "steps.critique.output.score >= 0.9"
    assert polish.when == "${{ steps.gather.status == 'succeeded' }}"
    assert (polish.input, polish.options) == ("${{ steps.gather.output }}", {"tone": "calm"})
    assert [step.name for step in polish.steps] == ["critique", "rewrite"]
    assert isinstance(calculator, Step)
    assert (calculator.name, calculator.body) == ("calculator", ToolCall("calculator"))
    assert (calculator.timeout, calculator.retry.max_attempts) == (timedelta(minutes=2), 5)
    assert isinstance(pause, Step)
    assert pause.body == TimerWait(timedelta(minutes=10))
    assert isinstance(sign_off, Step)
    assert sign_off.body == SignalWait("approved", timedelta(days=3))


def test_the_short_form_of_an_input_becomes_a_json_schema(compiler: Compiler) -> None:
    schema = compiler.compile(WHOLE).input_schema
    assert schema == {
        "type": "object",
        "properties": {
            "topic": {"type": "string", "minLength": 1},
            "urls": {"type": "array", "items": {"type": "string"}, "default": []},
        },
        "required": ["topic"],
    }


@pytest.mark.parametrize("text", [OLD, WHOLE])
def test_a_normal_form_that_was_kept_gives_the_same_workflow(text: str, compiler: Compiler) -> None:
    kept = json.loads(json.dumps(compiler.normal(text)))
    assert build(kept) == compiler.compile(text)


def test_one_meaning_has_one_hash_however_it_is_written(compiler: Compiler) -> None:
    written = [
        "name: w\nsteps: [{agent: research}]\n",
        "# a remark\nsteps:\n  - {agent_type: research, name: research}\nname: 'w'\n",
        "name: w\nstrategy: sequential\ndefaults: {timeout: 5m}\nsteps: [{agent: research, retry: {max: 1m}}]\n",
    ]
    assert len({definition_hash(compiler.normal(text)) for text in written}) == 1
    other = definition_hash(compiler.normal("name: w\nsteps: [{agent: research, timeout: 6m}]\n"))
    assert other != definition_hash(compiler.normal(written[0]))


def test_a_hash_is_that_of_the_canonical_json_text() -> None:
    assert definition_hash({"b": [1, "é"], "a": None}) == definition_hash({"a": None, "b": [1, "é"]})
    assert definition_hash({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_what_is_not_installed_does_not_matter_to_the_normal_form(compiler: Compiler) -> None:
    text = "name: w\nstrategy: debate\nsteps: [{agent: nobody}]\n"
    assert compiler.normal(text)["strategy"] == "debate"
    assert compiler.codes(text) == ["2:11 unknown_strategy", "3:17 unknown_agent"]


def test_a_block_that_converges_may_try_three_times_unless_it_says_otherwise(compiler: Compiler) -> None:
    text = "name: w\nstrategy: iterative_refinement\n{}steps: [{{agent: research}}]\n"
    assert compiler.compile(text.format("convergence_check: quality_threshold\n")).root.max_iterations == 3
    assert compiler.compile(text.format("until: steps.research.output.ok\n")).root.max_iterations == 3
    assert compiler.compile(text.format("")).root.max_iterations == 1


def test_the_quality_threshold_is_an_option_of_its_check(compiler: Compiler) -> None:
    root = compiler.compile("name: w\nquality_threshold: 0.7\noptions: {a: 1}\nsteps: [{agent: research}]\n").root
    assert root.options == {"a": 1, "quality_threshold": 0.7}


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [
        ("30s", 30),
        ("2m", 120),
        ("3d", 259_200),
        ("1h30m", 5_400),
        ("1d2h3m4s", 93_784),
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("2m250ms", 120.25),
        ("90", 90),
        ("0.25", 0.25),
    ],
)
def test_a_duration_is_read(duration: str, seconds: float, compiler: Compiler) -> None:
    step = compiler.compile(f"name: w\nsteps: [{{agent: research, timeout: {duration}}}]\n").root.steps[0]
    assert isinstance(step, Step)
    assert step.timeout == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "duration", ["soon", "1h 30m", "-5", "0", "30m1h", "1.5h", "''", "true", "[1]", "9999d", "1e300"]
)
def test_what_is_no_duration_is_refused(duration: str, compiler: Compiler) -> None:
    (fault,) = compiler.codes(f"name: w\nsteps: [{{agent: research, timeout: {duration}}}]\n")
    assert fault.split()[1] in ("invalid_duration", "out_of_range")


def test_all_faults_are_told_at_once_in_the_order_of_the_file(compiler: Compiler) -> None:
    text = """\
name: Publish
version: 1.10
stpes: []
max_iterations: 500
quality_threshold: 2
coordination_type: sequentil
convergence_check: assesment_approved
budget: {usd: 0.5}
defaults: {retry: {max_attempts: 0, on: [rate_limitd]}}
steps:
  - agent: reserch
    foreach: ${{ input.urls }}
  - agent: writer
    name: writer
  - agent: writer
    wait: {duration: 1s}
  - tool: http_request
    name: writer
  - {name: w, wait: {duration: 10m, signal: x}, timeout: 3s}
  - steps: [{}, 3]
    retry: {max_attempts: 3}
"""
    assert compiler.codes(text) == [
        "1:7 invalid_name",
        "2:10 wrong_type",
        "3:1 unknown_key",
        "4:17 out_of_range",
        "5:20 out_of_range",
        "6:20 unknown_strategy",
        "7:20 unknown_convergence_check",
        "9:34 out_of_range",
        "9:42 unknown_failure",
        "11:12 unknown_agent",
        "16:5 wrong_body",
        "18:11 duplicate_step",
        "19:21 wrong_body",
        "19:49 misplaced_key",
        "20:5 missing_name",
        "20:13 missing_body",
        "20:17 wrong_type",
        "21:5 misplaced_key",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("stpes: []", "unknown key `stpes`; did you mean `steps`?"),
        ("steps: [{agent: reserch}]", "there is no agent `reserch`; did you mean `research`?"),
        ("steps: [{tool: xyz}]", "there is no tool `xyz`; known: calculator, http_request"),
        ("steps: [{agent: 3}]", "`agent` is a text, not a number 3"),
        ("steps: {agent: research}", "`steps` is a list, not a map"),
        ("steps: []", "a block needs `steps`, a list of at least one step"),
        ("version: 1.10", "the version is read as the number 1.1; put it in quotes"),
        ("options: {x: '${{ input.a }}'}", "expressions are not evaluated here; write the value"),
        ("strategy: sequential\ncoordination_type: sequential", "`strategy` and `coordination_type` are the same key"),
        ("until: 'true'\nconvergence_check: quality_threshold", "`until` and `convergence_check` exclude each other"),
    ],
)
def test_a_fault_says_what_to_write_instead(text: str, fault: str, compiler: Compiler) -> None:
    assert any(fault in line for line in compiler.faults(f"name: w\n{text}\n")), compiler.faults(f"name: w\n{text}\n")


def test_a_document_that_is_no_map_is_refused(compiler: Compiler) -> None:
    assert compiler.codes("- a\n") == ["1:1 wrong_type"]
    assert compiler.codes("") == ["1:1 wrong_type"]
    assert compiler.codes("{}") == ["1:1 missing_name", "1:1 no_steps"]


def test_very_many_faults_are_cut(compiler: Compiler) -> None:
    faults = compiler.faults("name: w\nsteps: [" + "{}, " * 500 + "]\n")
    assert len(faults) == 101
    assert faults[-1] == "1:1: more_faults: 400 more are not shown"


def marked(text: str) -> tuple[str, list[str]]:
    """The text without its marks `^`, and the places, `line:column`, before which they stood."""
    places = []
    while (index := text.find("^")) >= 0:
        before = text[:index]
        places.append(f"{before.count(chr(10)) + 1}:{index - before.rfind(chr(10))}")
        text = before + text[index + 1 :]
    return text, places


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ("input: '${{ input.a | ^uper }}'", "unknown_filter"),
        ("input: '${{ input.a is ^odd_one }}'", "unknown_test"),
        ("input: {a: [1, 'x ${{ ^inptu.a }}']}", "unknown_value"),
        ("input: '${{ ^item }}'", "unknown_value"),
        ("input: '${{ steps.^drafd.output }}'", "unknown_step"),
        ("input: '${{ steps[^\"drafd\"].output }}'", "unknown_step"),
        ("input: '${{ steps.first.^text }}'", "unknown_value"),
        ("input: '${{ task.^name }}'", "unknown_value"),
        ("input: '${{ 1 +^ }}'", "expression"),
        ("input: 'é ^${{ input.a'", "expression"),
        ("input: '${{ input.a.^upper() }}'", "expression"),
        ("input: {^'${{ input.a }}': 1}", "expression"),
        ("when: input.a ^&&  input.b", "expression"),
        ("when: ^${{ input.a }} and ${{ input.b }}", "expression"),
        ("when: ^3", "wrong_type"),
        ("input: |\n          é\n          ${{ input.a }} ${{ ^inptu.b }}\n", "unknown_value"),
        ("input: >-\n          a\n          ^${{ input.a\n            + inptu.b }}\n", "unknown_value"),
        ('input: "\\u0041 ${{ ^inptu.b }}"', "unknown_value"),
        ('input: "${{ ^\\u0041nd }}"', "unknown_value"),
    ],
)
def test_a_fault_in_an_expression_is_told_where_it_stands(step: str, code: str, compiler: Compiler) -> None:
    steps = f"  - {{name: first, agent: writer}}\n  -     {step}\n        agent: writer\n"
    text, (place,) = marked(f"name: w\nsteps:\n{steps}")
    assert compiler.codes(text) == [f"{place} {code}"]


def test_an_expression_sees_the_steps_of_its_own_block(compiler: Compiler) -> None:
    text, places = marked("""\
name: w
steps:
  - {name: outer, agent: writer}
  - name: block
    until: ${{ steps.inner.output.ok }}
    when: ${{ steps.outer.output }}
    input: ${{ steps.^inner.output }}
    steps:
      - {name: inner, agent: writer, input: "${{ steps.^outer.output }}"}
output: ${{ steps.^inner.output }}
""")
    assert compiler.codes(text) == [f"{place} unknown_step" for place in places]


def test_a_condition_may_be_written_as_a_constant(compiler: Compiler) -> None:
    assert compiler.compile("name: w\nsteps: [{agent: writer, when: false}]\n").root.steps[0].when == "false"


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ("{topic: strin}", ["2:16 unknown_type"]),
        ("{topic: 3}", ["2:16 wrong_type"]),
        ("{topic: {type: strin}}", ["2:23 invalid_schema"]),
        ("{topic: {type: string, minLength: -1}}", ["2:42 invalid_schema"]),
        ("{type: object, properties: {a: {type: 5}}}", ["2:46 invalid_schema"]),
        ("{properties: {a: {}}}", ["2:8 invalid_schema"]),
        ("{a: {pattern: '('}}", ["2:22 invalid_schema"]),
        ("{a: {$ref: 'http://example.com/'}}", ["2:13 not_supported"]),
        ("{type: object, $ref: '#/$defs/a'}", ["2:23 not_supported"]),
        ("{type: object, $schema: 'urn:x'}", ["2:8 invalid_schema"]),
        ("[topic]", ["2:8 wrong_type"]),
    ],
)
def test_a_wrong_input_schema_is_told_where_it_is_wrong(given: str, codes: list[str], compiler: Compiler) -> None:
    assert compiler.codes(f"name: w\ninput: {given}\nsteps: [{{agent: writer}}]\n") == codes


def test_a_project_file_may_say_that_it_replaces_an_installed_workflow() -> None:
    text = "name: demo\nreplaces: {}\nstrategy: sequential\nsteps:\n  - agent: research\n"
    said, unsaid = (normalise(load(text.format(word), "demo.yaml")) for word in ("true", "false"))

    assert definition_hash(said) == definition_hash(unsaid)
    with pytest.raises(WorkflowInvalid, match=r"demo\.yaml:2:11: wrong_type"):
        normalise(load(text.format("maybe"), "demo.yaml"))
