"""What a task is waiting for by the clock: retries, waits, and blocks that may only take so long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from agentplat.domain.ids import StepPath
from agentplat.domain.state import BlockState, Execution, Phase, State


def waiting(state: State) -> Iterator[Execution | BlockState]:
    """What has a timer that has not fired."""
    for execution in state.executions.values():
        if _waits(execution):
            yield execution
    for path in state.open_blocks:
        if _may_end(state.blocks[path]):
            yield state.blocks[path]


def has_timer(state: State, path: StepPath) -> bool:
    """Whether what is at `path` still waits for its timer."""
    execution = state.executions.get(path)
    if execution is not None:
        return _waits(execution)
    block = state.blocks.get(path)
    return block is not None and _may_end(block)


def due_times(state: State) -> Iterator[tuple[StepPath, datetime]]:
    """When each timer is due, by the database's clock. For states that were folded with the times of their events."""
    for timer in waiting(state):
        since = timer.updated_at if isinstance(timer, Execution) else timer.since
        if isinstance(timer, Execution) and timer.until is not None:
            yield timer.path, datetime.fromisoformat(timer.until)
        elif timer.delay is not None and since is not None:
            yield timer.path, since + timedelta(seconds=timer.delay)


def _waits(execution: Execution) -> bool:
    return execution.has_timer and execution.phase in (Phase.BACKING_OFF, Phase.WAITING) and not execution.fired


def _may_end(block: BlockState) -> bool:
    return block.delay is not None and block.phase.is_open and not block.fired
