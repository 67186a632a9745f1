"""The exclusive right to write about a task, and what a claim hands over."""

from __future__ import annotations

from dataclasses import dataclass

from agentplat.domain.ids import TaskId, WorkerId


@dataclass(frozen=True, slots=True)
class Lease:
    """Lost as soon as the task's queue row has another fence or another worker, or is gone.

    `worker_id` None stands for a task that nobody owns: a write under such a lease takes the row for itself, and
    raises the fence, which is how sweepers and administrators write.
    """

    task_id: TaskId
    fence: int
    worker_id: WorkerId | None
