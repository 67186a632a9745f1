"""How executions begin: their condition, their input, and what they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import assert_never

from agentplat.domain.commands import Command, EmitEvent, RefuseStep, SkipStep, StartBlock, StartStep, StartWait
from agentplat.domain.errors import StepError
from agentplat.domain.failure import FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.interpreter.children import first_child
from agentplat.domain.interpreter.rules import Rules, revision_of, scope_of
from agentplat.domain.json import LAST_YEAR, JsonObject, JsonValue, in_utc, kind_said
from agentplat.domain.state import BlockState, State
from agentplat.domain.strategy import Start
from agentplat.domain.workflow import (
    AgentCall,
    Approval,
    Block,
    Call,
    Emit,
    ForEach,
    SignalWait,
    Step,
    TimerWait,
    ToolCall,
    UntilWait,
    WorkflowCall,
)

MAX_ITEMS = 10_000
"""Of one `foreach`."""


def start(state: State, block: BlockState, node: Block, decision: Start, rules: Rules) -> Iterator[Command]:
    """The first command of each execution that the strategy starts."""
    counts = dict(block.started)
    scope: Mapping[str, JsonValue] | None = None
    for name in decision.steps:
        number = counts[name] = counts.get(name, 0) + 1
        step = node.step(name)
        if scope is None and step.reads_scope:
            scope = scope_of(state, block)
        yield _start_child(block.path.child(name, number), step, decision.input, scope, rules)


def _start_child(
    path: StepPath, step: Step | Block, given: JsonValue, around: Mapping[str, JsonValue] | None, rules: Rules
) -> Command:
    scope = {**(around or {}), "iteration": path.number}
    try:
        if step.when is not None and not rules.truth(step.when, scope):
            return SkipStep(path=path, reason=f"its condition is false: {step.when}")
        return start_body(path, step, given, scope, rules)
    except StepError as error:
        return RefuseStep(path=path, failure=error.failure)


def start_body(
    path: StepPath, step: Step | Block, given: JsonValue, scope: Mapping[str, JsonValue], rules: Rules
) -> Command:
    """The first command of an execution that nothing keeps from starting. Raises StepError for what does."""
    if isinstance(step, Block):
        if step.foreach is not None:
            return StartBlock(path=path, input=_items(step.foreach, scope, rules))
        value = given if step.input is None else rules.evaluate(step.input, scope)
        return StartBlock(path=path, input=value, delay=step.timeout, revision=revision_of(step, rules))
    body = step.body
    if step.dispatch is None and isinstance(body, Call):
        value = given if step.input is None else rules.evaluate(step.input, scope)
        return StartStep(path=path, body=body, attempt=1, try_number=1, input=value, timeout=step.timeout)
    match body:
        case AgentCall() | ToolCall() | WorkflowCall():
            return first_child(path, step, given, scope, rules)
        case TimerWait():
            return StartWait(path=path, delay=body.duration)
        case SignalWait():
            return StartWait(path=path, signal=body.signal, delay=body.timeout)
        case UntilWait():
            return StartWait(path=path, until=_time(rules.evaluate(body.until, scope)))
        case Approval():
            return StartWait(path=path, delay=body.timeout, approval=_question(body, scope, rules))
        case Emit():
            return EmitEvent(path=path, name=body.event, payload=rules.evaluate(body.payload, scope))
        case _:
            assert_never(body)


def _items(foreach: ForEach, scope: Mapping[str, JsonValue], rules: Rules) -> list[JsonValue]:
    items = rules.evaluate(foreach.items, scope)
    if not isinstance(items, list | tuple):
        raise _unfit(f"`foreach` needs a list, and this is {kind_said(items)}")
    if len(items) > MAX_ITEMS:
        raise _unfit(f"`foreach` has {len(items)} items, and at most {MAX_ITEMS} are worked through")
    return [*items]


def _time(value: JsonValue) -> str:
    try:
        return in_utc(datetime.fromisoformat(str(value))).isoformat()
    except ValueError:
        shown = str(value)[:100]
        wanted = f"a time of the years 1 to {LAST_YEAR} such as 2026-03-01T07:00:00Z"
        raise _unfit(f"`until` needs {wanted}, and this is {shown!r}") from None


def _question(approval: Approval, scope: Mapping[str, JsonValue], rules: Rules) -> JsonObject:
    message, assignee = rules.evaluate(approval.message, scope), rules.evaluate(approval.assignee, scope)
    question: JsonObject = {"message": str(message), "assignee": None if assignee is None else str(assignee)}
    return question if approval.form is None else {**question, "form": approval.form}


def _unfit(message: str) -> StepError:
    return StepError(FailureCode.INVALID_INPUT, message, retryable=False)
