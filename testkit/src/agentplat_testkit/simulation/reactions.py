"""The events that the commands of the interpreter lead to, where nothing but the command has a say in it."""

from __future__ import annotations

from typing import assert_never

from agentplat.domain.commands import CancelBlock, FailBlock, FinishBlock, SettleStep, StartBlock, StopBlock
from agentplat.domain.events import (
    BlockCancelled,
    BlockFailed,
    BlockFinished,
    BlockStarted,
    BlockStopping,
    Event,
    StepCancelled,
    StepFailed,
    StepSucceeded,
)


def event_of_block(command: StartBlock | FinishBlock | FailBlock | StopBlock | CancelBlock) -> Event:
    """The event of a command about a block as a whole."""
    match command:
        case StartBlock():
            return BlockStarted(path=command.path, input=command.input)
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


def settled(command: SettleStep) -> Event:
    """The outcome that the interpreter itself decided on."""
    if command.cancelled:
        return StepCancelled(path=command.path, attempt=command.attempt, usage=command.usage)
    if command.failure is not None:
        failure = command.failure
        return StepFailed(path=command.path, attempt=command.attempt, failure=failure, usage=command.usage)
    return StepSucceeded(path=command.path, attempt=command.attempt, output=command.output, usage=command.usage)
