"""Steps that run as tasks of their own, as they are written."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from agentplat.domain.workflow import (
    AgentCall,
    Block,
    Concurrency,
    Dispatch,
    Step,
    ToolCall,
    Workflow,
    WorkflowCall,
    leaves,
)

if TYPE_CHECKING:
    from .conftest import Compiler


def first(workflow: Workflow) -> Step:
    return next(leaves(workflow.root))


def test_a_workflow_is_called_by_its_name_and_named_after_it(compiler: Compiler) -> None:
    step = first(compiler.compile("name: w\nsteps:\n  - {workflow: invoice, input: {n: 1}}\n"))

    assert (step.name, step.body, step.dispatch) == ("invoice", WorkflowCall("invoice"), Dispatch())
    assert step.input == {"n": 1}


def test_of_a_workflow_time_and_tries_are_those_of_the_whole_task_and_no_defaults(compiler: Compiler) -> None:
    text = "name: w\ndefaults: {timeout: 7s, retry: {max_attempts: 2}}\nsteps:\n  - {workflow: invoice%s}\n"

    assert first(compiler.compile(text % "")).body == WorkflowCall("invoice")
    limited = first(compiler.compile(text % ", timeout: 2h, retry: {max_attempts: 5}"))
    assert limited.body == WorkflowCall("invoice", timedelta(hours=2))
    assert (limited.retry.max_attempts, first(compiler.compile(text % "")).retry.max_attempts) == (5, 1)
    assert first(compiler.compile(text % ", retry: {initial: 2s}")).retry.max_attempts == 2


@pytest.mark.parametrize(
    ("written", "body"), [("agent: writer", AgentCall("writer")), ("tool: calculator", ToolCall("calculator"))]
)
def test_an_agent_or_tool_is_a_task_of_its_own_by_its_queue_or_its_key(
    written: str, body: AgentCall | ToolCall, compiler: Compiler
) -> None:
    def dispatch(more: str) -> Dispatch | None:
        step = first(compiler.compile(f"name: w\nsteps:\n  - {{{written}, timeout: 9s{more}}}\n"))
        assert (step.body, step.timeout) == (body, timedelta(seconds=9))
        return step.dispatch

    assert dispatch("") is None
    assert dispatch(", queue: egress") == Dispatch(queue="egress")
    keyed = Dispatch(concurrency=Concurrency("${{ input.topic }}", 3))
    assert dispatch(', concurrency: {key: "${{ input.topic }}", limit: 3}') == keyed


def test_each_item_may_be_a_task_of_its_own_with_its_own_key(compiler: Compiler) -> None:
    text = """\
name: w
steps:
  - name: each
    workflow: invoice
    foreach: [1, 2]
    queue: far
    concurrency: {key: "customer ${{ item }}", limit: 1}
"""
    root = compiler.compile(text).root

    assert isinstance(root.steps[0], Block)
    item = root.steps[0].steps[0]
    assert isinstance(item, Step)
    assert item.dispatch == Dispatch(queue="far", concurrency=Concurrency("customer ${{ item }}", 1))
    assert item.reads_scope


def test_what_is_undone_may_be_a_task_of_its_own(compiler: Compiler) -> None:
    text = "name: w\nsteps:\n  - {agent: writer, compensate: {workflow: invoice, queue: far}}\n"

    assert [step.dispatch for step in leaves(compiler.compile(text).root)] == [None, Dispatch(queue="far")]


@pytest.mark.parametrize(
    "steps",
    [
        "- {workflow: w, when: input.depth > 0}",
        "- {workflow: w, foreach: '${{ input.parts }}'}",
        "- {name: inner, when: input.depth > 0, steps: [{workflow: w}]}",
        "- {name: inner, strategy: strict, join: any, steps: [{workflow: w}, {agent: writer}]}",
        "- {agent: writer, compensate: {workflow: w}}",
        "- {name: inner, steps: [{agent: writer}], catch: [{steps: [{workflow: w}]}]}",
    ],
)
def test_a_workflow_may_call_itself_where_something_decides_whether_it_does(steps: str, compiler: Compiler) -> None:
    assert compiler.compile(f"name: w\nsteps:\n  {steps}\n").name == "w"


def test_a_document_alone_may_name_any_workflow(compiler: Compiler) -> None:
    form = compiler.normal("name: w\nsteps:\n  - {workflow: not_here_yet, queue: far}\n")

    assert form["steps"] == [
        {
            "name": "not_here_yet",
            "workflow": "not_here_yet",
            "queue": "far",
            "retry": {"backoff": "exponential", "initial": 1, "max": 60, "max_attempts": 1, "on": ["retryable"]},
        }
    ]
