"""What should happen next to a task: `decide`, a function of the state alone. `evolve` is in `state.py`.

Three phases of an open block: it is stopping (the task was cancelled or ran out of time, or the block itself or one
around it has failed): then everything open below it is cancelled, and it closes when nothing is open. Otherwise what
was interrupted or failed is tried again, and when nothing else is open its strategy is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, assert_never

from agentplat.domain.commands import (
    CancelBlock,
    CancelStep,
    Command,
    FailBlock,
    FinishBlock,
    FinishTask,
    RefuseStep,
    ScheduleRetry,
    SettleStep,
    SkipStep,
    StartBlock,
    StartStep,
    StartWait,
    StopBlock,
)
from agentplat.domain.errors import StepError
from agentplat.domain.events import CancelRequested
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.json import JsonObject, JsonValue, storable_text
from agentplat.domain.retry import delay_after, least_delay
from agentplat.domain.state import BlockState, Execution, Phase, State
from agentplat.domain.strategy import BlockView, Decision, Fail, Finish, Start, Strategy, Wait, checked
from agentplat.domain.workflow import SINGLE, AgentCall, Block, SignalWait, Step, TimerWait, ToolCall

MAX_EXECUTIONS = 1_000
"""Executions that one block may start; a strategy without an end fails its block there.

Each is looked at for every later decision, so the work grows with the square; if all are skipped it is done in one go.
"""


class Rules(Protocol):
    """What the interpreter is handed from outside. Free of I/O, clock and randomness, like the interpreter itself."""

    def evaluate(self, template: JsonValue, scope: Mapping[str, JsonValue]) -> JsonValue:
        """The template with its expressions evaluated. Raises StepError when one cannot be."""

    def truth(self, expression: str, scope: Mapping[str, JsonValue]) -> bool:
        """Whether the expression holds. Raises StepError when it cannot be evaluated."""

    def strategy(self, name: str) -> Strategy: ...

    def check(self, name: str, output: JsonValue, options: Mapping[str, JsonValue]) -> bool:
        """Whether the convergence check of that name is satisfied by `output`."""


ROOT = StepPath()


def decide(state: State, rules: Rules) -> tuple[Command, ...]:
    """The commands that follow from `state`. Nothing once the task has finished.

    Fold the events that they lead to and ask again, until there are none: then the task waits for an outcome.
    """
    if state.finished is not None:
        return ()
    root = state.blocks.get(ROOT)
    if root is None:
        if state.stop is not None:
            return (_finish_stopped(state),)
        return (StartBlock(path=ROOT, input=state.input),)
    if not root.phase.is_open:
        return (_finish(state, root, rules),)
    commands: tuple[Command, ...] = ()
    for block in state.blocks.values():
        if block.phase.is_open:
            commands += tuple(_decide_block(state, block, rules))
    if len(commands) < 2:
        return commands
    # What ends goes first, then one refusal, which ends its block: beside either nothing may begin, or it would
    # begin in a block that stops in the same breath.
    ending = tuple(command for command in commands if not isinstance(command, RefuseStep | _Beginning))
    refused = tuple(command for command in commands if isinstance(command, RefuseStep))[:1]
    return ending or refused or commands


_Beginning = StartBlock | StartStep | StartWait | SkipStep | ScheduleRetry


def _finish(state: State, root: BlockState, rules: Rules) -> FinishTask:
    if root.phase is Phase.FAILED:
        return FinishTask(status="error", failure=root.failure)
    if root.phase is Phase.CANCELLED:
        return _finish_stopped(state)
    output = root.output
    if state.workflow.output is not None:
        try:
            output = rules.evaluate(state.workflow.output, _scope(state, root))
        except StepError as error:
            return FinishTask(status="error", failure=error.failure)
    return FinishTask(status="done", output=as_object(output))


def as_object(output: JsonValue) -> JsonObject:
    """What clients read: a scalar or a list becomes `{"result": ...}`, nothing becomes `{}`."""
    if isinstance(output, Mapping):
        return output
    return {} if output is None else {"result": output}


def _finish_stopped(state: State) -> FinishTask:
    if isinstance(state.stop, CancelRequested):
        failure = Failure(code=FailureCode.CANCELLED, message=f"The task was cancelled: {state.stop.reason}")
        return FinishTask(status="cancelled", failure=failure)
    failure = Failure(code=FailureCode.TIMEOUT, message="The task took longer than its workflow allows.")
    return FinishTask(status="error", failure=failure)


def _decide_block(state: State, block: BlockState, rules: Rules) -> Iterable[Command]:
    closing = block.phase is Phase.CANCELLING
    own_failure = _failure_of(state, block) if block.failed and not closing else None
    if own_failure is not None or _surroundings_stop(state, block.path):
        return _wind_down(state, block, own_failure)
    if closing and block.open:
        return _cancel(state, block)
    unsettled = dict.fromkeys((*block.failed, *block.open)) if block.failed else block.open
    if not closing and (again := [command for path in unsettled for command in _try_again(state, path)]):
        return again
    node = _block_node(state, block.path)
    if not block.open or _is_eager(block, node, rules):
        return _consult(state, block, node, rules)
    return ()


def _is_eager(block: BlockState, node: Block, rules: Rules) -> bool:
    # Without a newly settled child the view is the one that the strategy answered with Wait before.
    if node.strategy == SINGLE or not block.settled:
        return False
    try:
        return bool(rules.strategy(node.strategy).consult_always)
    # Foreign code. What is wrong with it is said when nothing is open any more and it has to be asked.
    except Exception:  # noqa: BLE001
        return False


def _failure_of(state: State, block: BlockState) -> Failure | None:
    """Why the block fails: by the first child that failed for good. What fails while that ends it changes nothing."""
    for path in block.failed:
        execution = state.executions.get(path)
        if execution is None:
            return state.blocks[path].failure
        if execution.phase is Phase.FAILED and _retry_of(state, execution) is None:
            return execution.failure
    return None


def _surroundings_stop(state: State, path: StepPath) -> bool:
    if state.stop is not None:
        return True
    while path:
        path = path.parent
        around = state.blocks.get(path)
        if around is None:
            continue
        if around.phase is Phase.CANCELLING or _failure_of(state, around) is not None:
            return True
    return False


def _wind_down(state: State, block: BlockState, failure: Failure | None) -> Iterator[Command]:
    if block.open:
        yield from _cancel(state, block)
    elif failure is not None and state.stop is None:
        yield FailBlock(path=block.path, failure=failure)
    else:
        yield CancelBlock(path=block.path)


def _cancel(state: State, block: BlockState) -> Iterator[Command]:
    for path in block.open:
        execution = state.executions.get(path)
        if execution is None or execution.phase is Phase.CANCELLING:
            continue  # a nested block winds itself down; a cancelling body gives its outcome
        if execution.phase is Phase.RUNNING:
            yield CancelStep(path=path)
        else:
            yield SettleStep(path=path, attempt=execution.attempt, cancelled=True)


def _retry_of(state: State, execution: Execution) -> ScheduleRetry | None:
    step = state.node(execution.path)
    if not isinstance(step, Step) or not isinstance(step.body, AgentCall | ToolCall):
        return None  # a wait that is over, or a block that could not start, is not tried again
    if execution.failure is None or execution.attempt == 0:
        return None
    most = delay_after(step.retry, execution.try_number, execution.failure)
    if most is None:
        return None
    least = least_delay(execution.failure)
    return ScheduleRetry(path=execution.path, try_number=execution.try_number + 1, least=least, most=most)


def _try_again(state: State, path: StepPath) -> Iterable[Command]:
    execution = state.executions.get(path)
    if execution is None or execution.phase is Phase.RUNNING:  # a nested block, or what goes on by itself
        return ()
    return _taken_up(state, execution)


def _taken_up(state: State, execution: Execution) -> Iterator[Command]:
    path = execution.path
    match execution.phase:
        case Phase.FAILED:
            retry = _retry_of(state, execution)
            if retry is not None:
                yield retry
        case Phase.INTERRUPTED:
            yield _start_attempt(state, execution)
        case Phase.BACKING_OFF if execution.fired:
            yield _start_attempt(state, execution)
        case Phase.WAITING if execution.answered:
            yield SettleStep(path=path, attempt=execution.attempt, output=execution.output)
        case Phase.WAITING if execution.fired:
            yield _time_up(execution)
        case _:
            return


def _start_attempt(state: State, execution: Execution) -> StartStep:
    step = state.node(execution.path)
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


def _time_up(execution: Execution) -> SettleStep:
    if execution.signal is None:
        return SettleStep(path=execution.path, attempt=execution.attempt, output={})
    message = f"The signal {execution.signal!r} did not come in time."
    failure = Failure(code=FailureCode.TIMEOUT, message=message, retryable=False)
    return SettleStep(path=execution.path, attempt=execution.attempt, failure=failure)


def _consult(state: State, block: BlockState, node: Block, rules: Rules) -> Iterator[Command]:
    decision = _ask_safely(state, block, node, rules)
    closing = block.phase is Phase.CANCELLING
    if isinstance(decision, Finish | Fail) and block.open:
        # What is under way is cancelled first; then the strategy is asked again.
        yield StopBlock(path=block.path)
        return
    match decision:
        case Finish():
            yield FinishBlock(path=block.path, output=decision.output)
        case Fail():
            yield FailBlock(path=block.path, failure=decision.failure)
        case Start() | Wait() if closing:
            yield _fail(block, f"strategy {node.strategy!r} finished its block and then asked for more")
        case Wait():
            if not block.open:
                yield _fail(block, f"strategy {node.strategy!r} waits, but nothing of its block is under way")
        case Start():
            yield from _start(state, block, node, decision, rules)
        case _:
            assert_never(decision)


def _ask_safely(state: State, block: BlockState, node: Block, rules: Rules) -> Decision:
    try:
        try:
            decision = checked(_ask(state, block, node, rules), node)
        except StepError as error:
            decision = checked(Fail(error.failure.message, error.failure.code, error.failure.details), node)
    # A strategy is foreign code: whatever it raises fails its block, and nothing else.
    except Exception as error:  # noqa: BLE001
        return Fail(f"strategy {node.strategy!r} failed: {_words_of(error)}")
    if isinstance(decision, Start) and len(block.children) + len(decision.steps) > MAX_EXECUTIONS:
        return Fail(f"strategy {node.strategy!r} wants more than {MAX_EXECUTIONS} executions in one block")
    return decision


def _words_of(error: Exception) -> str:
    try:
        text = str(error)
    # The text of a foreign exception is foreign code, too.
    except Exception:  # noqa: BLE001
        text = "(its text cannot be had)"
    return storable_text(f"{type(error).__name__}: {text}")[:2_000]


def _fail(block: BlockState, message: str) -> FailBlock:
    return FailBlock(path=block.path, failure=Failure(code=FailureCode.AGENT_FAILED, message=message))


def _ask(state: State, block: BlockState, node: Block, rules: Rules) -> Decision:
    if node.strategy == SINGLE:
        if not block.settled:
            return Start(node.steps[0].name, input=block.input)
        return Finish(block.results[-1].output)

    def converged(output: JsonValue) -> bool:
        if node.until is not None:
            return rules.truth(node.until, _scope(state, block))
        return node.convergence_check is not None and rules.check(node.convergence_check, output, node.options)

    view = BlockView(
        steps=node.names,
        input=block.input,
        settled=block.results,
        open=tuple([path.step for path in block.open]),
        max_iterations=node.max_iterations,
        options=node.options,
        converged=converged,
    )
    return rules.strategy(node.strategy).decide(view)


def _start(state: State, block: BlockState, node: Block, decision: Start, rules: Rules) -> Iterator[Command]:
    counts = dict(block.started)
    scope: Mapping[str, JsonValue] | None = None
    for name in decision.steps:
        number = counts[name] = counts.get(name, 0) + 1
        step = node.step(name)
        if scope is None and (step.when is not None or step.input is not None):
            scope = _scope(state, block)
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


def _scope(state: State, block: BlockState) -> dict[str, JsonValue]:
    """What an expression may name. `steps` has the latest settled execution of each step of the block."""
    return {
        "input": state.input,
        "steps": block.latest,
        "iteration": block.iteration,
        "signals": {signal.name: signal.payload for signal in state.signals} if state.signals else {},
        "task": state.task,
    }


def _block_node(state: State, path: StepPath) -> Block:
    node = state.node(path)
    if not isinstance(node, Block):
        raise KeyError(f"{path} is not a block")
    return node
