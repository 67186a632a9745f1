"""The task's state machine, as a table, and the lease of whoever works on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from agentplat.domain.errors import IllegalTransition
from agentplat.domain.ids import TaskId, WorkerId


class TaskState(StrEnum):
    PENDING = "pending"  # may be claimed, now or from a point in time on
    RUNNING = "running"  # a worker owns it
    WAITING = "waiting"  # parked: nobody owns it, something will wake it
    DONE = "done"
    ERROR = "error"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in _TERMINAL


_TERMINAL = frozenset({TaskState.DONE, TaskState.ERROR, TaskState.CANCELLED})


class TaskTrigger(StrEnum):
    """What can happen to a task as a whole, in the past tense."""

    CLAIMED = "claimed"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PARKED = "parked"
    WOKEN = "woken"
    RELEASED = "released"  # handed back by its worker
    LOST = "lost"  # its worker died
    EXPIRED = "expired"  # its deadline passed while it waited
    POISONED = "poisoned"  # it killed too many workers


TRANSITIONS: Mapping[tuple[TaskState, TaskTrigger], TaskState] = MappingProxyType(
    {
        (TaskState.PENDING, TaskTrigger.CLAIMED): TaskState.RUNNING,
        (TaskState.PENDING, TaskTrigger.CANCELLED): TaskState.CANCELLED,
        (TaskState.PENDING, TaskTrigger.POISONED): TaskState.ERROR,
        (TaskState.RUNNING, TaskTrigger.SUCCEEDED): TaskState.DONE,
        (TaskState.RUNNING, TaskTrigger.FAILED): TaskState.ERROR,
        (TaskState.RUNNING, TaskTrigger.CANCELLED): TaskState.CANCELLED,
        (TaskState.RUNNING, TaskTrigger.PARKED): TaskState.WAITING,
        (TaskState.RUNNING, TaskTrigger.RELEASED): TaskState.PENDING,
        (TaskState.RUNNING, TaskTrigger.LOST): TaskState.PENDING,
        (TaskState.RUNNING, TaskTrigger.POISONED): TaskState.ERROR,
        (TaskState.WAITING, TaskTrigger.WOKEN): TaskState.PENDING,
        (TaskState.WAITING, TaskTrigger.CANCELLED): TaskState.CANCELLED,
        (TaskState.WAITING, TaskTrigger.EXPIRED): TaskState.ERROR,
    }
)
"""A missing pair is an illegal transition. A terminal state has no way out."""


def transition(state: TaskState, trigger: TaskTrigger) -> TaskState:
    """The state after `trigger`. Raises IllegalTransition where the table has none."""
    try:
        return TRANSITIONS[state, trigger]
    except KeyError:
        raise IllegalTransition(state.value, trigger.value) from None


@dataclass(frozen=True, slots=True)
class Lease:
    """Lost as soon as the task's queue row has another fence or another worker, or is gone.

    `worker_id` None stands for a task that nobody owns: a write under such a lease takes the row for itself, and
    raises the fence, which is how sweepers and administrators write.
    """

    task_id: TaskId
    fence: int
    worker_id: WorkerId | None
