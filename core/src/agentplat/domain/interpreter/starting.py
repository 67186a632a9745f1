"""How executions begin: their condition, their input, and what they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_never

from agentplat.domain.commands import Command, RefuseStep, SkipStep, StartBlock, StartStep, StartWait
from agentplat.domain.errors import StepError
from agentplat.domain.ids import StepPath
from agentplat.domain.interpreter.rules import Rules, scope_of
from agentplat.domain.json import JsonValue
from agentplat.domain.state import BlockState, State
from agentplat.domain.strategy import Start
from agentplat.domain.workflow import AgentCall, Block, SignalWait, Step, TimerWait, ToolCall


def start(state: State, block: BlockState, node: Block, decision: Start, rules: Rules) -> Iterator[Command]:
    """The first command of each execution that the strategy starts."""
    counts = dict(block.started)
    scope: Mapping[str, JsonValue] | None = None
    for name in decision.steps:
        number = counts[name] = counts.get(name, 0) + 1
        step = node.step(name)
        if scope is None and (step.when is not None or step.input is not None):
            scope = scope_of(state, block)
        yield _start_child(block.path.child(name, number), step, decision.input, scope, rules)


def _start_child(
    path: StepPath, step: Step | Block, given: JsonValue, around: Mapping[str, JsonValue] | None, rules: Rules
) -> Command:
    scope = {**(around or {}), "iteration": path.number}
    try:
        if step.when is not None and not rules.truth(step.when, scope):
            return SkipStep(path=path, reason=f"its condition is false: {step.when}")
        value = given if step.input is None else rules.evaluate(step.input, scope)
    except StepError as error:
        return RefuseStep(path=path, failure=error.failure)
    if isinstance(step, Block):
        return StartBlock(path=path, input=value)
    match step.body:
        case AgentCall() | ToolCall():
            return StartStep(path=path, body=step.body, attempt=1, try_number=1, input=value, timeout=step.timeout)
        case TimerWait():
            return StartWait(path=path, signal=None, delay=step.body.duration)
        case SignalWait():
            return StartWait(path=path, signal=step.body.signal, delay=step.body.timeout)
        case _:
            assert_never(step.body)
