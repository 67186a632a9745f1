"""How blocks end: `catch` deals with a failure, what is undone and `finally` come before the end itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from agentplat.domain.commands import (
    BeginEnding,
    CancelBlock,
    CatchFailure,
    Command,
    FailBlock,
    FinishBlock,
    StartBlock,
)
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.interpreter.rules import ROOT, Rules, failure_shown, revision_of
from agentplat.domain.json import JsonObject
from agentplat.domain.state import BlockState, Phase, State
from agentplat.domain.workflow import COMPENSATE, FINALLY, Block

TIME_TO_END = timedelta(minutes=5)
"""For `finally` and what is undone, after a cancel."""


def end(state: State, block: BlockState, node: Block, by: FinishBlock | FailBlock | CancelBlock) -> Command:
    """`by`, which ends the block, or what comes before that."""
    may_catch = node.catch and block.phase in (Phase.RUNNING, Phase.CANCELLING)
    if isinstance(by, FailBlock) and may_catch:
        for number, clause in enumerate(node.catch, start=1):
            if clause.takes(by.failure):
                return CatchFailure(path=block.path, clause=number, failure=by.failure)
    return end_uncaught(state, block, node, by)


def end_uncaught(state: State, block: BlockState, node: Block, by: FinishBlock | FailBlock | CancelBlock) -> Command:
    """The same where nothing is caught, since what is around the block has stopped."""
    undoes = block.path == ROOT and not isinstance(by, FinishBlock) and bool(state.undoable)
    if node.final is None and not undoes:
        return by
    match by:
        case FinishBlock():
            return BeginEnding(path=block.path, status="succeeded", output=by.output)
        case FailBlock():
            return BeginEnding(path=block.path, status="failed", failure=by.failure)
        case CancelBlock():
            return BeginEnding(path=block.path, status="cancelled", delay=TIME_TO_END)


def timed_out(node: Block) -> Failure:
    """Why a block fails that took longer than its `timeout`."""
    took = f"{node.timeout.total_seconds():g} s" if node.timeout is not None else "it may"
    name = f"block {node.name!r}" if node.name else "the workflow"
    return Failure(code=FailureCode.TIMEOUT, message=f"{name} took longer than {took}")


def deal_with_failure(state: State, block: BlockState, node: Block, rules: Rules) -> Iterator[Command]:
    """What follows while a block's `catch` is at work."""
    what = node.catch[block.clause - 1].block
    path = block.path.child(what.name, 1)
    handler = state.blocks.get(path)
    if handler is None:
        given: JsonObject = {"failure": failure_shown(state, block), "input": block.input}
        yield StartBlock(path=path, input=given, revision=revision_of(what, rules))
    elif handler.phase is Phase.SUCCEEDED:
        yield end(state, block, node, FinishBlock(path=block.path, output=handler.output))
    elif handler.phase is Phase.FAILED and handler.failure is not None:
        yield end(state, block, node, FailBlock(path=block.path, failure=handler.failure))


def go_on_ending(state: State, block: BlockState, node: Block, rules: Rules) -> Iterator[Command]:
    """What follows while a block is ending, and nothing of that is open."""
    undone = block.started.get(COMPENSATE, 0)
    undoes = block.path == ROOT and block.ending != "succeeded" and not block.fired
    final = block.path.child(FINALLY, 1)
    if undoes and undone < len(state.undoable):
        yield _undo(state, block, undone + 1, rules)
    elif node.final is not None and final not in state.blocks and not block.fired:
        given: JsonObject = {"failure": failure_shown(state, block), "output": block.output, "input": block.input}
        yield StartBlock(path=final, input=given, revision=revision_of(node.final, rules))
    elif block.ending == "cancelled":
        yield CancelBlock(path=block.path)
    elif block.ending == "failed" and block.failure is not None:
        yield FailBlock(path=block.path, failure=with_what_was_not_undone(state, block, block.failure))
    elif final in state.blocks and (failure := _failure_of_end(state.blocks[final])) is not None:
        yield FailBlock(path=block.path, failure=failure)
    else:
        yield FinishBlock(path=block.path, output=block.output)


def _failure_of_end(final: BlockState) -> Failure | None:
    if final.phase is Phase.CANCELLED:
        return Failure(code=FailureCode.TIMEOUT, message="`finally` was ended by a cancel of the task")
    return final.failure


def _undo(state: State, block: BlockState, number: int, rules: Rules) -> StartBlock:
    path = state.undoable[-number]
    of, how = state.executions.get(path) or state.blocks[path], state.node(path).compensate
    return StartBlock(
        path=block.path.child(COMPENSATE, number),
        input={"input": of.input, "output": of.output},
        revision=1 if how is None else revision_of(how, rules),
    )


def with_what_was_not_undone(state: State, block: BlockState, failure: Failure) -> Failure:
    """The failure by which the block ends; if it is the task's, with the steps that were to be undone and were not."""
    undone = block.started.get(COMPENSATE, 0)
    numbers = range(1, len(state.undoable) + 1)
    left = [
        str(state.undoable[-number])
        for number in numbers
        if number > undone or state.blocks[block.path.child(COMPENSATE, number)].phase is not Phase.SUCCEEDED
    ]
    return replace(failure, details={**failure.details, "not_undone": left}) if left and not block.path else failure
