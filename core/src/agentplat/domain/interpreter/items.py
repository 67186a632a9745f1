"""`foreach`: one execution per item of a list, a few at a time, and what their outcomes come to together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from agentplat.domain.commands import Command, FailBlock, FinishBlock, RefuseStep, StopBlock
from agentplat.domain.errors import StepError
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.ids import StepPath
from agentplat.domain.interpreter.ending import end
from agentplat.domain.interpreter.rules import Rules, scope_of
from agentplat.domain.interpreter.starting import start_body
from agentplat.domain.json import JsonValue
from agentplat.domain.state import BlockState, Execution, Phase, State
from agentplat.domain.workflow import ITEM, Block, ForEach


def go_through(state: State, block: BlockState, node: Block, foreach: ForEach, rules: Rules) -> Iterator[Command]:
    """What follows for the items of the block: more of them, or its end."""
    total = len(_items(block))
    good, settled = len(block.settled) - block.given_up, len(block.settled)
    enough = 1 if foreach.join == "any" else foreach.join if isinstance(foreach.join, int) else total
    is_over = settled == total or (good >= enough and total > 0)
    if foreach.join != "settled" and total - block.given_up < enough:
        is_over = True
    if is_over and block.open:
        yield StopBlock(path=block.path)
    elif is_over or block.phase is Phase.CANCELLING:
        yield end(state, block, node, _end(state, block, foreach, good, enough))
    else:
        yield from _start_more(state, block, node, foreach, rules)


def _start_more(state: State, block: BlockState, node: Block, foreach: ForEach, rules: Rules) -> Iterator[Command]:
    begun, items = block.started.get(ITEM, 0), _items(block)
    until = min(len(items), begun + foreach.max_parallel - len(block.open))
    if until <= begun:
        return
    # The item's scope is that of the step, which stands in the block around it.
    around = {**scope_of(state, state.blocks[block.path.parent]), "iteration": block.path.number}
    for index in range(begun, until):
        path = block.path.child(ITEM, index + 1)
        try:
            yield start_body(
                path, node.step(ITEM), items[index], {**around, "item": items[index], "index": index}, rules
            )
        except StepError as error:
            yield RefuseStep(path=path, failure=error.failure)


def _end(state: State, block: BlockState, foreach: ForEach, good: int, enough: int) -> FinishBlock | FailBlock:
    if foreach.join == "all":
        return FinishBlock(path=block.path, output=[child.output for child in _children(state, block)])
    if foreach.join == "settled":
        return FinishBlock(path=block.path, output=[_outcome(child) for child in _children(state, block)])
    if good < enough:
        failure = next((child.failure for child in _children(state, block) if child.failure is not None), None)
        message = f"{good} of {len(_items(block))} items succeeded, and {foreach.join} had to"
        details = {} if failure is None else {"first": failure.to_json()}
        return FailBlock(
            path=block.path, failure=Failure(code=FailureCode.AGENT_FAILED, message=message, details=details)
        )
    succeeded = [child for child in _children(state, block) if child.phase is Phase.SUCCEEDED]
    if foreach.join == "any":
        first = next(result for result in block.results if result.status == "succeeded")
        return FinishBlock(path=block.path, output=first.output)
    return FinishBlock(path=block.path, output=[child.output for child in succeeded])


def _children(state: State, block: BlockState) -> Iterator[Execution | BlockState]:
    """In the order of the items."""
    for number in range(1, block.started.get(ITEM, 0) + 1):
        path: StepPath = block.path.child(ITEM, number)
        yield state.executions.get(path) or state.blocks[path]


def _outcome(child: Execution | BlockState) -> JsonValue:
    if child.failure is not None and child.phase is Phase.FAILED:
        failure = child.failure
        return {"status": "failed", "output": None, "failure": {"code": failure.code.value, "message": failure.message}}
    return {"status": "succeeded", "output": child.output, "failure": None}


def _items(block: BlockState) -> Sequence[JsonValue]:
    assert isinstance(block.input, Sequence)
    return block.input
