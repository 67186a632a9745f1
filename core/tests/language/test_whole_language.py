"""Every key of the language that is more than a call, and what is said where it is wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from agentplat.domain.json import JsonObject
from agentplat.domain.workflow import AgentCall, Approval, Block, Emit, ForEach, Step, UntilWait

if TYPE_CHECKING:
    from .conftest import Compiler

WHOLE = """\
name: publish_article
input:
  topic: string
  urls: {type: array, default: []}
defaults: {model: "openrouter:openai/gpt-4o-mini", timeout: 2m}
budget: {usd: 0.50, tokens: 200000, wall_time: 30m}
timeout: 20m
steps:
  - name: gather
    agent: research
    foreach: ${{ input.urls }}
    max_parallel: 8
    join: {n_of: 2}
    input: {url: "${{ item }}", at: "${{ index }}", topic: "${{ input.topic }}"}
    model: ollama:llama3.2
  - name: polish
    timeout: 10m
    steps:
      - {name: critique, agent: assessment}
    catch:
      - {on: [permanent], steps: [{name: apologise, agent: writer, input: "${{ failure.message }}"}]}
  - name: sign_off
    approval:
      message: Publish ${{ input.topic }}?
      form: {comment: string}
      assignee: role:editor
      timeout: 3d
      on_timeout: reject
  - name: publish
    tool: http_request
    input: {last: "${{ last }}"}
    compensate: {tool: http_request, input: {url: "${{ steps.publish.output.url }}", why: "${{ failure.code }}"}}
  - {name: announce, emit: {event: published, data: {topic: "${{ input.topic }}"}}}
  - {name: settle, wait: {until: "${{ steps.publish.output.at }}"}}
finally:
  - {name: notify, tool: http_request, input: {of: "${{ steps.publish.status | default('none') }}"}}
output: ${{ steps.polish.output }}
schedule: {cron: "0 7 * * mon-fri", timezone: Europe/Copenhagen}
"""


def test_the_whole_language_becomes_a_tree(compiler: Compiler) -> None:
    workflow = compiler.compile(WHOLE)
    root = workflow.root
    gather, polish, sign_off, publish, announce, settle = root.steps

    assert isinstance(gather, Block)
    assert gather.foreach == ForEach(items="${{ input.urls }}", max_parallel=8, join=2)
    assert isinstance(gather.steps[0], Step)
    assert gather.steps[0].body == AgentCall("research", "ollama:llama3.2")
    assert isinstance(polish, Block)
    assert polish.timeout == timedelta(minutes=10)
    assert polish.catch[0].on == {"permanent"}
    assert isinstance(polish.steps[0], Step)
    assert polish.steps[0].body == AgentCall("assessment", "openrouter:openai/gpt-4o-mini")
    assert isinstance(sign_off, Step)
    form: JsonObject = {"type": "object", "properties": {"comment": {"type": "string"}}, "required": ["comment"]}
    assert sign_off.body == Approval(
        message="Publish ${{ input.topic }}?",
        form=form,
        assignee="role:editor",
        timeout=timedelta(days=3),
        on_timeout="reject",
    )
    assert publish.compensate is not None
    assert publish.compensate.names == ("http_request",)
    assert isinstance(announce, Step)
    assert announce.body == Emit(event="published", payload={"topic": "${{ input.topic }}"})
    assert isinstance(settle, Step)
    assert settle.body == UntilWait("${{ steps.publish.output.at }}")
    assert root.final is not None
    assert root.final.names == ("notify",)
    assert (root.timeout, workflow.deadline) == (timedelta(minutes=20), timedelta(minutes=30))
    assert workflow.budget == {"usd": 0.5, "tokens": 200_000}
    assert workflow.schedule == {"cron": "0 7 * * mon-fri", "timezone": "Europe/Copenhagen"}


STEP = "name: w\nsteps:\n- {agent: writer}\n- "


@pytest.mark.parametrize(
    ("step", "codes"),
    [
        ("{agent: research, foreach: ^3}", "wrong_type"),
        ("{agent: research, foreach: [1], max_parallel: ^0}", "out_of_range"),
        ("{agent: research, foreach: [1], join: ^some}", "unknown_join"),
        ("{agent: research, foreach: [1], join: {^n: 1}}", "unknown_key"),
        ("{agent: research, ^max_parallel: 2}", "misplaced_key"),
        ("{agent: research, input: '${{ ^item }}'}", "unknown_value"),
        ("{agent: research, foreach: [1], when: '${{ ^item }}'}", "unknown_value"),
        ("{agent: research, input: '${{ ^failure }}'}", "unknown_value"),
        ("{name: a, approval: ^{}}", "missing_key"),
        ("{name: a, approval: {message: m, form: {^by: string}}}", "reserved_name"),
        ("{name: a, approval: {message: m, form: {x: ^strin}}}", "unknown_type"),
        ("{name: a, approval: {message: m, ^on_timeout: reject}}", "missing_key"),
        ("{name: a, approval: {message: m, timeout: 1d, on_timeout: ^no}}", "unknown_on_timeout"),
        ("{name: a, approval: {message: '${{ steps.^b.output }}'}}", "unknown_step"),
        ("{name: a, approval: {message: m}, ^retry: {max_attempts: 2}}", "misplaced_key"),
        ("{name: a, wait: {until: ^tomorrow}}", "invalid_time"),
        ("{name: a, wait: {until: ^'9999-12-31T23:59:59Z'}}", "invalid_time"),
        ("{name: a, wait: ^{until: '2026-01-01T00:00:00Z', duration: 1s}}", "wrong_body"),
        ("{name: a, emit: ^{data: 1}}", "missing_key"),
        ("{name: a, emit: {event: ^'No Name'}}", "invalid_name"),
        ("^{emit: {event: e}}", "missing_name"),
        ("{tool: calculator, ^model: x}", "misplaced_key"),
        ("{tool: calculator, compensate: ^{}}", "missing_body"),
        ("{tool: calculator, compensate: {agent: ^wirter}}", "unknown_agent"),
        ("{tool: calculator, compensate: {agent: writer, ^compensate: {agent: writer}}}", "misplaced_key"),
        ("{name: b, steps: [{agent: research}], catch: [{on: [^never], steps: ^[]}]}", "unknown_failure no_steps"),
        ("{name: b, steps: [{agent: research}], catch: [^{^when: x}]}", "no_steps unknown_key"),
        ("{name: b, steps: [{agent: research}], finally: ^[]}", "no_steps"),
        ("{name: b, steps: [{agent: research}], finally: [^{agent: research}]}", "duplicate_step"),
        ("{name: b, steps: [{agent: research}], ^retry: {max_attempts: 2}}", "misplaced_key"),
        ("{name: b, steps: [{agent: research}], timeout: ^soon}", "invalid_duration"),
    ],
)
def test_a_mistake_is_told_where_it_stands(step: str, codes: str, compiler: Compiler) -> None:
    pieces = step.split("^")
    places = [3 + sum(map(len, pieces[: number + 1])) for number in range(len(pieces) - 1)]

    expected = [f"4:{place} {code}" for place, code in zip(places, codes.split(), strict=True)]
    assert compiler.codes(f"{STEP}{''.join(pieces)}\n") == expected


@pytest.mark.parametrize(
    ("schedule", "codes"),
    [
        ("{cron: '* * * * *'}", []),
        ("{cron: '*/5 0-6,22 1 jan,mar-jun SUN'}", []),
        ("{cron: '0 7 * * 7', timezone: Asia/Kathmandu}", []),
        ("{}", ["2:11 missing_key"]),
        ("{cron: '* * * *'}", ["2:18 invalid_cron"]),
        ("{cron: '60 * * * *'}", ["2:18 invalid_cron"]),
        ("{cron: '* * 0 * *'}", ["2:18 invalid_cron"]),
        ("{cron: '*/0 * * * *'}", ["2:18 invalid_cron"]),
        ("{cron: '5-2 * * * *'}", ["2:18 invalid_cron"]),
        ("{cron: '* * * foo *'}", ["2:18 invalid_cron"]),
        ("{cron: '* * * * *', timezone: Mars/Olympus}", ["2:41 unknown_timezone"]),
        ("{cron: '* * * * *', timezone: ../../etc/passwd}", ["2:41 unknown_timezone"]),
    ],
)
def test_a_schedule_is_a_cron_expression_in_a_timezone(schedule: str, codes: list[str], compiler: Compiler) -> None:
    text = f"name: w\nschedule: {schedule}\nsteps: [{{agent: writer}}]\n"

    if codes:
        assert compiler.codes(text) == codes
    else:
        assert compiler.compile(text).schedule is not None


def test_a_join_beside_foreach_is_that_of_the_items(compiler: Compiler) -> None:
    block = "name: b, foreach: [1], join: any, strategy: strict, options: {join: all}, steps: [{agent: writer}]"
    text = f"name: w\nsteps: [{{{block}}}]\n"

    each = compiler.compile(text).root.steps[0]

    assert isinstance(each, Block)
    assert each.foreach is not None
    assert each.foreach.join == "any"
    inner = each.steps[0]
    assert isinstance(inner, Block)
    assert inner.options == {"join": "all"}


def test_an_old_file_has_the_normal_form_that_it_had(compiler: Compiler) -> None:
    text = "name: w\nbudget: {wall_time: 1h}\nsteps: [{agent: writer}]\n"

    assert compiler.normal(text) == {
        "name": "w",
        "deadline": 3600,
        "strategy": "sequential",
        "max_iterations": 1,
        "steps": [
            {
                "name": "writer",
                "agent": "writer",
                "timeout": 300,
                "retry": {
                    "max_attempts": 3,
                    "backoff": "exponential",
                    "initial": 1,
                    "max": 60,
                    "on": ["retryable"],
                },
            }
        ],
    }
