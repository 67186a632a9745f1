"""What should happen next to a task: `decide`, a function of the state alone. `evolve` is in `state.py`.

Phases of an open block: it is stopping (the task was cancelled or ran out of time, or the block itself or one
around it has failed): then everything open below it is cancelled, and it closes when nothing is open. Otherwise what
was interrupted or failed is tried again, and when nothing else is open its strategy is asked. A block that has failed
may have a `catch` that deals with it, and one whose end is known may have a `finally` to run before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from agentplat.domain.commands import (
    BeginEnding,
    CancelBlock,
    CancelStep,
    CatchFailure,
    Command,
    DispatchChild,
    EmitEvent,
    ExpandBlock,
    FailBlock,
    FinishTask,
    GiveUp,
    RefuseStep,
    ScheduleRetry,
    SettleStep,
    SkipStep,
    StartBlock,
    StartStep,
    StartWait,
)
from agentplat.domain.errors import StepError
from agentplat.domain.events import CancelRequested
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.interpreter.attempts import retry_of, try_again
from agentplat.domain.interpreter.consulting import consult
from agentplat.domain.interpreter.ending import (
    TIME_TO_END,
    deal_with_failure,
    end,
    end_uncaught,
    go_on_ending,
    timed_out,
    with_what_was_not_undone,
)
from agentplat.domain.interpreter.items import go_through
from agentplat.domain.interpreter.rules import OVERDUE, ROOT, Rules, block_node, revision_of, scope_of, sees_failures
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.domain.state import BlockState, Phase, State
from agentplat.domain.workflow import COMPENSATE, FINALLY, SINGLE, Block


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
        node = state.workflow.root
        return (StartBlock(path=ROOT, input=state.input, delay=node.timeout, revision=revision_of(node, rules)),)
    if not root.phase.is_open:
        return (_finish(state, root, rules),)
    commands: tuple[Command, ...] = ()
    for path in state.open_blocks:
        commands += tuple(_decide_block(state, state.blocks[path], rules))
    if len(commands) < 2:
        return commands
    # What ends goes first, then one refusal, which ends its block: beside either nothing may begin, or it would
    # begin in a block that stops in the same breath.
    ending = tuple(command for command in commands if not isinstance(command, RefuseStep | _Beginning))
    refused = tuple(command for command in commands if isinstance(command, RefuseStep))[:1]
    return ending or refused or commands


_Beginning = (
    StartBlock
    | StartStep
    | DispatchChild
    | StartWait
    | SkipStep
    | ScheduleRetry
    | GiveUp
    | ExpandBlock
    | EmitEvent
    | CatchFailure
)


def _finish(state: State, root: BlockState, rules: Rules) -> FinishTask:
    if root.phase is Phase.FAILED:
        return FinishTask(status="error", failure=root.failure)
    if root.phase is Phase.CANCELLED:
        stopped = _finish_stopped(state)
        assert stopped.failure is not None
        return replace(stopped, failure=with_what_was_not_undone(state, root, stopped.failure))
    output = root.output
    if state.workflow.output is not None:
        try:
            output = rules.evaluate(state.workflow.output, scope_of(state, root))
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
    failure = Failure(code=FailureCode.TIMEOUT, message=OVERDUE)
    return FinishTask(status="error", failure=failure)


def _decide_block(state: State, block: BlockState, rules: Rules) -> Iterable[Command]:
    if block.phase is Phase.CATCHING or block.phase is Phase.ENDING:
        return _decide_end(state, block, rules)
    closing = block.phase is Phase.CANCELLING
    own_failure = _failure_of(state, block, rules) if (block.failed or block.fired) and not closing else None
    if own_failure is not None or _surroundings_stop(state, block.path, rules):
        return _wind_down(state, block, own_failure, rules)
    if closing and block.open:
        return _cancel(state, block)
    unsettled = dict.fromkeys((*block.failed, *block.open)) if block.failed else block.open
    if not closing and (again := [command for path in unsettled for command in try_again(state, path)]):
        return again
    node = block_node(state, block.path)
    if node.foreach is not None:
        return go_through(state, block, node, node.foreach, rules)
    if not block.open or _is_eager(block, node, rules):
        return consult(state, block, node, rules)
    return ()


def _decide_end(state: State, block: BlockState, rules: Rules) -> Iterable[Command]:
    """What follows for a block whose `catch` or `finally` is at work. What is open below it goes on by itself."""
    node, stops = block_node(state, block.path), _surroundings_stop(state, block.path, rules)
    if block.phase is Phase.ENDING and stops and block.delay is None:
        ending = BeginEnding(path=block.path, status=block.ending, output=block.output, failure=block.failure)
        return (replace(ending, delay=TIME_TO_END),)
    if block.open:
        return ()
    if block.phase is Phase.ENDING:
        return go_on_ending(state, block, node, rules)
    if stops:
        return (end_uncaught(state, block, node, CancelBlock(path=block.path)),)
    return deal_with_failure(state, block, node, rules)


def _is_eager(block: BlockState, node: Block, rules: Rules) -> bool:
    # Without a newly settled child the view is the one that the strategy answered with Wait before.
    if node.strategy == SINGLE or not block.settled:
        return False
    try:
        return bool(rules.strategy(node.strategy).consult_always)
    # Foreign code. What is wrong with it is said when nothing is open any more and it has to be asked.
    except (Exception, SystemExit):  # noqa: BLE001
        return False


def _failure_of(state: State, block: BlockState, rules: Rules) -> Failure | None:
    """Why the block fails: by the first child that failed for good. What fails while that ends it changes nothing."""
    node = block_node(state, block.path)
    for path in block.failed if not sees_failures(node, rules) else ():
        execution = state.executions.get(path)
        if execution is None:
            return state.blocks[path].failure
        if execution.phase is Phase.FAILED and retry_of(state, execution) is None:
            return execution.failure
    return timed_out(node) if block.fired else None


def _surroundings_stop(state: State, path: StepPath, rules: Rules) -> bool:
    if state.stop is not None and not _is_of_an_end(path):
        return True
    while path:
        name, path = path[-1][0], path.parent
        around = state.blocks.get(path)
        if around is None:
            continue
        if name in _OF_AN_END:
            return around.fired  # a cancel leaves time for these, and then no more
        if around.phase is Phase.CANCELLING:
            return True
        if (around.failed or around.fired) and _failure_of(state, around, rules) is not None:
            return True
    return False


_OF_AN_END = (FINALLY, COMPENSATE)


def _is_of_an_end(path: StepPath) -> bool:
    return any(name in _OF_AN_END for name, _ in path)


def _wind_down(state: State, block: BlockState, failure: Failure | None, rules: Rules) -> Iterator[Command]:
    node = block_node(state, block.path)
    if block.open:
        yield from _cancel(state, block)
    elif failure is None or (state.stop is not None and not _is_of_an_end(block.path)):
        yield end_uncaught(state, block, node, CancelBlock(path=block.path))
    elif node.catch and not _surroundings_stop(state, block.path, rules):
        yield end(state, block, node, FailBlock(path=block.path, failure=failure))
    else:
        yield end_uncaught(state, block, node, FailBlock(path=block.path, failure=failure))


def _cancel(state: State, block: BlockState) -> Iterator[Command]:
    for path in block.open:
        execution = state.executions.get(path)
        if execution is None or execution.phase is Phase.CANCELLING or execution.phase is Phase.RECALLED:
            continue  # a nested block winds itself down; a cancelling body, or child, gives its outcome
        if execution.phase is Phase.RUNNING or execution.phase is Phase.DISPATCHED:
            yield CancelStep(path=path)
        else:
            yield SettleStep(path=path, attempt=execution.attempt, cancelled=True)
