"""A plugin that observes: it remembers what it was told."""

from __future__ import annotations

from agentplat import hookimpl
from agentplat.contracts.interface import StepView, TaskChange

API_LEVEL = 1

seen: list[object] = []


@hookimpl
def agentplat_task_changed(change: TaskChange) -> None:
    seen.append(change)


@hookimpl
def agentplat_step_changed(step: StepView) -> None:
    seen.append(step)


@hookimpl
def agentplat_process_started(role: str) -> None:
    seen.append(role)
