"""What a task is waiting for by the clock: retries, waits, and blocks that may only take so long."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TypeAlias

from agentplat.domain.ids import StepPath
from agentplat.domain.state import BlockState, Execution, Phase, State

TimerKey: TypeAlias = tuple[StepPath, bool]
"""A path, and whether it is the timer of a block's end: that is another one than of the block itself."""


def waiting(state: State) -> Iterator[Execution | BlockState]:
    """What has a timer that has not fired."""
    for execution in state.executions.values():
        if _waits(execution):
            yield execution
    for path in state.open_blocks:
        if _may_end(state.blocks[path]):
            yield state.blocks[path]


def key_of(timer: Execution | BlockState) -> TimerKey:
    """What its timer is known by."""
    return timer.path, timer.phase is Phase.ENDING


def has_timer(state: State, key: TimerKey) -> bool:
    """Whether what is there still waits for this timer."""
    path, is_ending = key
    execution = state.executions.get(path)
    if execution is not None:
        return _waits(execution)
    block = state.blocks.get(path)
    return block is not None and _may_end(block) and is_ending is (block.phase is Phase.ENDING)


def due_times(state: State) -> Iterator[tuple[Execution | BlockState, datetime]]:
    """When each timer is due, by the database's clock. For states that were folded with the times of their events."""
    for timer in waiting(state):
        since = timer.updated_at if isinstance(timer, Execution) else timer.since
        if isinstance(timer, Execution) and timer.until is not None:
            yield timer, datetime.fromisoformat(timer.until)
        elif timer.delay is not None and since is not None:
            yield timer, since + timedelta(seconds=timer.delay)


def _waits(execution: Execution) -> bool:
    return execution.has_timer and execution.phase in (Phase.BACKING_OFF, Phase.WAITING) and not execution.fired


def _may_end(block: BlockState) -> bool:
    return block.delay is not None and block.phase.is_open and not block.fired
