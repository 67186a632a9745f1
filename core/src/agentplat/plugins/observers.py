"""Telling plugins what happened, after it was committed."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from functools import partial

import pluggy

from agentplat.contracts.interface import StepView, TaskChange
from agentplat.plugins.foreign import attempt

logger = logging.getLogger(__name__)


class Observers:
    """Calls the observe hooks, one plugin at a time. Whatever an observer raises stays here, logged and counted."""

    def __init__(self, managers: Mapping[str, pluggy.PluginManager]) -> None:
        self._managers = dict(managers)
        self.failures: Counter[str] = Counter()
        """How often each plugin's observers failed."""
        self.watches_tasks = self._watched("agentplat_task_changed")
        """Whether anybody would be told; if not, nothing need be put together for it."""
        self.watches_steps = self._watched("agentplat_step_changed")

    def task_changed(self, change: TaskChange) -> None:
        self._tell("agentplat_task_changed", change=change)

    def step_changed(self, step: StepView) -> None:
        self._tell("agentplat_step_changed", step=step)

    def process_started(self, role: str) -> None:
        self._tell("agentplat_process_started", role=role)

    def _watched(self, hook: str) -> bool:
        return any(getattr(manager.hook, hook).get_hookimpls() for manager in self._managers.values())

    def _tell(self, hook: str, **arguments: object) -> None:
        for name, manager in self._managers.items():
            _, reason = attempt(partial(getattr(manager.hook, hook), **arguments))
            if reason is not None:
                self.failures[name] += 1
                logger.warning("observer_failed", extra={"plugin": name, "hook": hook, "reason": reason})
