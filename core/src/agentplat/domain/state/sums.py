"""One execution or block of a state replaced, and all that is counted over it kept up to date."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from agentplat.domain.ids import StepPath
from agentplat.domain.state.values import BlockState, Execution, News, Phase, State, replace
from agentplat.domain.strategy import Settled


def put(state: State, execution: Execution) -> News:
    """With this execution, of which state, block and sums are kept up to date, so that nothing is counted again."""
    path, after = execution.path, execution.phase
    known = state.executions.get(path)
    before = known.phase if known is not None else None
    bodies = state.bodies + after.has_body - (before is not None and before.has_body)
    executions = {**state.executions, path: execution}
    return {"executions": executions, "bodies": bodies, "blocks": _told(state.blocks, before, execution)}


def put_block(state: State, block: BlockState) -> News:
    """The same with a block."""
    known = state.blocks.get(block.path)
    blocks = {**state.blocks, block.path: block}
    return {"blocks": _told(blocks, known.phase if known else None, block)}


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
        news["children"] = (*parent.children, path)
        news["started"] = {**parent.started, step: parent.started.get(step, 0) + 1}
    if after.is_open:
        if path not in parent.open:
            news["open"] = {**parent.open, path: None}
    elif path in parent.open:
        news["open"] = {other: None for other in parent.open if other != path} if len(parent.open) > 1 else {}
    if after is Phase.SUCCEEDED or after is Phase.SKIPPED:
        news |= settled(parent, child, "skipped" if after is Phase.SKIPPED else "succeeded")
    elif after is Phase.FAILED:
        news["failed"] = (*(earlier for earlier in parent.failed if earlier != path), path)
    return {**blocks, parent.path: replace(parent, news)} if news else blocks


def settled(
    parent: BlockState, child: Execution | BlockState, status: Literal["succeeded", "skipped", "failed"]
) -> News:
    """What the block around `child` gets to know when that has settled."""
    step, number = child.path[-1]
    result = Settled(step=step, number=number, status=status, output=child.output, failure=child.failure)
    latest = {"output": child.output, "status": status, "iteration": number}
    return {
        "settled": (*parent.settled, child.path),
        "results": (*parent.results, result),
        "latest": {**parent.latest, step: latest},
        "iteration": max(parent.iteration, number),
    }
