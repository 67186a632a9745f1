"""One execution or block of a state replaced, and all that is counted over it kept up to date."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from agentplat.domain.growing import LARGE, grown, with_entry
from agentplat.domain.ids import StepPath
from agentplat.domain.state.values import BlockState, Execution, News, Phase, State, replace
from agentplat.domain.strategy import Settled
from agentplat.domain.workflow import COMPENSATE, FINALLY


def put(state: State, execution: Execution) -> News:
    """With this execution, of which state, block and sums are kept up to date, so that nothing is counted again."""
    path, after = execution.path, execution.phase
    known = state.executions.get(path)
    before = known.phase if known is not None else None
    bodies = state.bodies + after.has_body - (before is not None and before.has_body)
    known_ones = state.executions
    # Nearly every task is small, and this is done for every event.
    small = len(known_ones) < LARGE
    executions = {**known_ones, path: execution} if small else with_entry(known_ones, path, execution)
    news: News = {"executions": executions, "bodies": bodies, "blocks": _told(state.blocks, before, execution)}
    if after is Phase.SUCCEEDED and (state.workflow.compensates or not state.is_as_written):
        news |= _undoable(state, path)
    return news


def put_block(state: State, block: BlockState) -> News:
    """The same with a block."""
    path, after = block.path, block.phase
    known = state.blocks.get(path)
    blocks = {**state.blocks, path: block} if len(state.blocks) < LARGE else with_entry(state.blocks, path, block)
    news: News = {"blocks": _told(blocks, known.phase if known else None, block)}
    if after.is_open and known is None:
        news["open_blocks"] = {**state.open_blocks, path: None}
    elif not after.is_open:
        left = dict(state.open_blocks)
        left.pop(path, None)
        news["open_blocks"] = left
    if after is Phase.SUCCEEDED and (state.workflow.compensates or not state.is_as_written):
        news |= _undoable(state, path)
    return news


def _undoable(state: State, path: StepPath) -> News:
    if not path or state.node(path).compensate is None or any(name in (FINALLY, COMPENSATE) for name, _ in path):
        return {}
    return {"undoable": (*state.undoable, path)}


def _told(
    blocks: Mapping[StepPath, BlockState], before: Phase | None, child: Execution | BlockState
) -> Mapping[StepPath, BlockState]:
    """The block around `child` knows what is in it: what is open, and the order in which it settled, and failed."""
    path, after = child.path, child.phase
    parent = blocks.get(path.parent) if path and before is not after else None
    if parent is None:
        return blocks
    step = path.step
    news: News = {}
    if before is None:
        children = parent.children
        news["children"] = (*children, path) if len(children) < LARGE else grown(children, path)
        news["started"] = {**parent.started, step: parent.started.get(step, 0) + 1}
    elif before is Phase.FAILED:
        news["failed"] = tuple([earlier for earlier in parent.failed if earlier != path])
    if after.is_open:
        if path not in parent.open:
            news["open"] = {**parent.open, path: None}
    elif path in parent.open:
        news["open"] = left = dict(parent.open)
        del left[path]
    # What deals with a failure, or an end, is none of the strategy's business.
    if parent.phase is not Phase.CATCHING and parent.phase is not Phase.ENDING:
        if after is Phase.SUCCEEDED or after is Phase.SKIPPED:
            news |= settled(parent, child, "skipped" if after is Phase.SKIPPED else "succeeded")
        elif after is Phase.FAILED:
            news["failed"] = (*parent.failed, path)
    if not news:
        return blocks
    told = replace(parent, news)
    return {**blocks, parent.path: told} if len(blocks) < LARGE else with_entry(blocks, parent.path, told)


def settled(
    parent: BlockState, child: Execution | BlockState, status: Literal["succeeded", "skipped", "failed"]
) -> News:
    """What the block around `child` gets to know when that has settled."""
    step, number = child.path[-1]
    result = Settled(step=step, number=number, status=status, output=child.output, failure=child.failure)
    latest = {"output": child.output, "status": status, "iteration": number}
    paths, results = parent.settled, parent.results
    small = len(paths) < LARGE
    return {
        "settled": (*paths, child.path) if small else grown(paths, child.path),
        "results": (*results, result) if small else grown(results, result),
        "latest": {**parent.latest, step: latest},
        "iteration": max(parent.iteration, number),
    }
