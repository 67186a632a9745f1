"""The events that the commands of the interpreter lead to, where nothing but the command has a say in it."""

from __future__ import annotations

from datetime import timedelta
from typing import assert_never

from agentplat.domain.commands import (
    BeginEnding,
    CancelBlock,
    CatchFailure,
    DispatchChild,
    ExpandBlock,
    FailBlock,
    FinishBlock,
    GiveUp,
    SettleStep,
    StartBlock,
    StopBlock,
)
from agentplat.domain.events import (
    BlockCancelled,
    BlockCaught,
    BlockEnding,
    BlockExpanded,
    BlockFailed,
    BlockFinished,
    BlockStarted,
    BlockStopping,
    ChildDispatched,
    Event,
    StepCancelled,
    StepFailed,
    StepGivenUp,
    StepSucceeded,
)
from agentplat.domain.ids import ExecutionId

BlockCommand = (
    StartBlock | FinishBlock | FailBlock | StopBlock | CancelBlock | CatchFailure | BeginEnding | ExpandBlock | GiveUp
)


def seconds(delay: timedelta | None) -> float | None:
    """A delay as events keep it."""
    return None if delay is None else delay.total_seconds()


def event_of_block(command: BlockCommand) -> Event:
    """The event of a command about a block as a whole."""
    match command:
        case ExpandBlock():
            return BlockExpanded(path=command.path, steps=command.steps)
        case GiveUp():
            return StepGivenUp(path=command.path)
        case StartBlock():
            delay = seconds(command.delay)
            return BlockStarted(path=command.path, input=command.input, delay=delay, revision=command.revision)
        case CatchFailure():
            return BlockCaught(path=command.path, clause=command.clause, failure=command.failure)
        case BeginEnding():
            return BlockEnding(
                path=command.path,
                status=command.status,
                output=command.output,
                failure=command.failure,
                delay=seconds(command.delay),
            )
        case FinishBlock():
            return BlockFinished(path=command.path, output=command.output)
        case FailBlock():
            return BlockFailed(path=command.path, failure=command.failure)
        case StopBlock():
            return BlockStopping(path=command.path)
        case CancelBlock():
            return BlockCancelled(path=command.path)
        case _:
            assert_never(command)


def dispatched(command: DispatchChild, id: ExecutionId) -> Event:
    """The task of that id, which is one attempt."""
    return ChildDispatched(
        path=command.path,
        execution_id=id,
        attempt=command.attempt,
        try_number=command.try_number,
        input=command.input,
        queue=command.queue,
        concurrency_key=command.concurrency_key,
    )


def settled(command: SettleStep) -> Event:
    """The outcome that the interpreter itself decided on."""
    if command.cancelled:
        return StepCancelled(path=command.path, attempt=command.attempt, usage=command.usage)
    if command.failure is not None:
        failure = command.failure
        return StepFailed(path=command.path, attempt=command.attempt, failure=failure, usage=command.usage)
    return StepSucceeded(path=command.path, attempt=command.attempt, output=command.output, usage=command.usage)
