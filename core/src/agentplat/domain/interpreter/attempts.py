"""How an execution goes on: another try, another attempt after its owner was lost, the end of a wait."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agentplat.domain.commands import Command, DispatchChild, GiveUp, ScheduleRetry, SettleStep, StartStep
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.interpreter.children import next_child
from agentplat.domain.json import JsonObject
from agentplat.domain.retry import delay_after, least_delay
from agentplat.domain.state import Execution, Phase, State
from agentplat.domain.workflow import AgentCall, Approval, Step, ToolCall, WorkflowCall


def retry_of(state: State, execution: Execution) -> ScheduleRetry | None:
    """The next try of what failed; None when it failed for good."""
    step = state.node(execution.path)
    if not isinstance(step, Step) or not isinstance(step.body, AgentCall | ToolCall | WorkflowCall):
        return None  # a wait that is over, or a block that could not start, is not tried again
    if execution.failure is None or execution.attempt == 0:
        return None
    most = delay_after(step.retry, execution.try_number, execution.failure)
    if most is None:
        return None
    least = least_delay(execution.failure)
    return ScheduleRetry(path=execution.path, try_number=execution.try_number + 1, least=least, most=most)


def try_again(state: State, path: StepPath) -> Iterable[Command]:
    """What follows for what is at `path`, in a block that goes on; nothing for what goes on by itself."""
    execution = state.executions.get(path)
    if execution is None:
        return (GiveUp(path=path),) if state.blocks[path].phase is Phase.FAILED else ()
    return () if execution.phase is Phase.RUNNING else _taken_up(state, execution)


def _taken_up(state: State, execution: Execution) -> Iterator[Command]:
    path = execution.path
    match execution.phase:
        case Phase.FAILED:
            yield retry_of(state, execution) or GiveUp(path=path)
        case Phase.INTERRUPTED:
            yield _start_attempt(state, execution)
        case Phase.BACKING_OFF if execution.fired:
            yield _start_attempt(state, execution)
        case Phase.WAITING if execution.answered:
            yield SettleStep(path=path, attempt=execution.attempt, output=execution.output)
        case Phase.WAITING if execution.fired:
            yield _time_up(state, execution)
        case _:
            return


def _start_attempt(state: State, execution: Execution) -> StartStep | DispatchChild:
    step = state.node(execution.path)
    if isinstance(step, Step) and step.dispatch is not None:
        return next_child(step, execution)
    if not isinstance(step, Step) or not isinstance(step.body, AgentCall | ToolCall):
        raise KeyError(f"{execution.path} has no body to run")
    return StartStep(
        path=execution.path,
        body=step.body,
        attempt=execution.attempt + 1,
        try_number=execution.try_number,
        input=execution.input,
        timeout=step.timeout,
    )


def _time_up(state: State, execution: Execution) -> SettleStep:
    body = step.body if isinstance(step := state.node(execution.path), Step) else None
    if isinstance(body, Approval) and body.on_timeout != "fail":
        answer: JsonObject = {"approved": body.on_timeout == "approve", "by": None}
        return SettleStep(path=execution.path, attempt=execution.attempt, output=answer)
    if execution.signal is None and execution.approval is None:
        return SettleStep(path=execution.path, attempt=execution.attempt, output={})
    what = "An answer" if execution.signal is None else f"The signal {execution.signal!r}"
    message = f"{what} did not come in time."
    failure = Failure(code=FailureCode.TIMEOUT, message=message, retryable=False)
    return SettleStep(path=execution.path, attempt=execution.attempt, failure=failure)
