"""Steps that run as tasks of their own: each attempt is a child."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agentplat.domain.commands import DispatchChild
from agentplat.domain.errors import StepError
from agentplat.domain.failure import FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.interpreter.rules import Rules
from agentplat.domain.json import JsonObject, JsonValue, kind_said
from agentplat.domain.state import Execution
from agentplat.domain.workflow import AgentCall, Step, ToolCall, WorkflowCall

MAX_KEY = 255
"""Characters of a concurrency key."""


def first_child(
    path: StepPath, step: Step, given: JsonValue, scope: Mapping[str, JsonValue], rules: Rules
) -> DispatchChild:
    """The first attempt of `step`. Raises StepError when no task can be made of it."""
    value = given if step.input is None else rules.evaluate(step.input, scope)
    concurrency = step.dispatch.concurrency if step.dispatch is not None else None
    key = None if concurrency is None else _key(rules.evaluate(concurrency.key, scope))
    return _child(path, step, _input(value), key)


def next_child(step: Step, execution: Execution) -> DispatchChild:
    """The attempt after the one that `execution` had, with the same input and key."""
    child = _child(execution.path, step, _input(execution.input), execution.concurrency_key)
    return replace(child, attempt=execution.attempt + 1, try_number=execution.try_number)


def _child(path: StepPath, step: Step, value: JsonObject, key: str | None) -> DispatchChild:
    body = step.body
    if step.dispatch is None or not isinstance(body, AgentCall | ToolCall | WorkflowCall):
        raise KeyError(f"{path} is no task of its own")
    concurrency = step.dispatch.concurrency
    return DispatchChild(
        path=path,
        body=body,
        attempt=1,
        try_number=1,
        input=value,
        timeout=body.timeout if isinstance(body, WorkflowCall) else step.timeout,
        queue=step.dispatch.queue,
        concurrency_key=key,
        limit=None if concurrency is None else concurrency.limit,
    )


def _input(value: JsonValue) -> JsonObject:
    if isinstance(value, Mapping):
        return value
    if value is None:
        return {}
    raise _unfit(f"it runs as a task of its own, whose input has to be an object, and this is {kind_said(value)}")


def _key(value: JsonValue) -> str:
    if isinstance(value, Mapping | list | tuple) or value is None or value == "":
        raise _unfit(f"the key of its `concurrency` has to be a text or a number, and this is {kind_said(value)}")
    if len(key := str(value)) > MAX_KEY:
        raise _unfit(f"the key of its `concurrency` is longer than {MAX_KEY} characters: {key[:40]!r}...")
    return key


def _unfit(message: str) -> StepError:
    return StepError(FailureCode.INVALID_INPUT, message, retryable=False)
