"""The project of patterns on a real store and worker; tests send the signals, and say what agents say."""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias
from uuid import UUID, uuid4

from agentplat_testkit.fakes import Reply, ScriptedModel

from agentplat import ModelRequest
from agentplat.contracts.interface import JournalView, Submission, TaskFilter, TaskView
from agentplat.contracts.store import Store
from agentplat.domain.task import TaskState
from agentplat.engine.client.local import LocalClient
from agentplat.runtime.sweeper import sweep_once

FOLDER = Path(__file__).parents[2] / "docs" / "reference" / "patterns"
_ALL = {file.stem: file for file in sorted((FOLDER / "workflows").glob("*.yaml"))}
FILES = {name: file for name, file in _ALL.items() if not name.startswith("part_")}
PARTS = {name: file for name, file in _ALL.items() if name not in FILES}
"""What patterns call, and nobody plays alone."""
_WHO = re.compile(r"You are an? (\w+)")
PATIENCE = 30.0
Said: TypeAlias = dict[str, list[Any]]
SAID: Said = {}
"""What each agent says, turn by turn: model providers are made by path, so it is found here."""


class Actor(ScriptedModel):
    """A model that answers as the test wrote down for the agent that asks, and with nothing else."""

    def __init__(self) -> None:
        super().__init__(_said)


def _said(request: ModelRequest) -> Reply:
    found = _WHO.search(str(request.messages[0].content))
    assert found is not None, request.messages
    reply: Reply = SAID[found[1]].pop(0)
    return reply


@dataclass
class Case:
    """One task of a pattern."""

    id: UUID
    client: LocalClient
    store: Store
    view: TaskView = field(init=False)
    _events: Sequence[JournalView] = field(init=False)

    async def signal(self, name: str, payload: Any = None) -> None:
        await self.client.signal(self.id, name, {} if payload is None else payload, key=str(uuid4()))

    async def cancel(self) -> None:
        await self.client.cancel(self.id)

    async def waits_at(self, *paths: str) -> None:
        """Until it waits at exactly these steps, and does nothing else."""
        await self._until(
            lambda task: task.status is TaskState.WAITING and self._paths(TaskState.WAITING) == set(paths),
            f"wait at {sorted(paths)}",
        )

    async def ends(self, status: TaskState = TaskState.DONE) -> Any:
        """What it gives in the end."""
        await self._until(lambda task: task.status.is_terminal, "end")
        assert self.view.status is status, self.view.failure
        return self.view.output

    async def descendants(self) -> "list[Case]":
        """The tasks that its steps were, and theirs, when all is over."""
        found = []
        for child in await self.client.tasks(TaskFilter(parent=self.id)):
            case = Case(child.id, self.client, self.store)
            await case.ends()
            found += [case, *await case.descendants()]
        return found

    def at(self, kind: str) -> datetime:
        """When the event of that kind happened, of which there is one."""
        (moment,) = (event.at for event in self._events if event.kind == kind)
        return moment

    def done(self) -> set[str]:
        """The steps and blocks that succeeded."""
        return self._paths(TaskState.DONE)

    def begun(self) -> list[str]:
        """The steps that were begun, in that order, again in every round."""
        return self._told("step_started", "child_dispatched", "wait_started", "event_emitted")

    def times(self, name: str) -> int:
        """How often a step was begun, whatever blocks, items and rounds are around it."""
        return sum(_name(path) == name for path in self.begun())

    def cancelled(self) -> set[str]:
        """The steps that were under way and were stopped."""
        return set(self._told("step_cancelled"))

    def skipped(self) -> set[str]:
        """The steps of which the condition was false."""
        return set(self._told("step_skipped"))

    def output(self, path: str) -> Any:
        """What the step at the path gave."""
        (step,) = (step for step in self.view.steps if step.path == path)
        assert step.status is TaskState.DONE, (path, step.status)
        return step.output

    def input(self, path: str) -> Any:
        """What the step at the path was given."""
        (step,) = (step for step in self.view.steps if step.path == path)
        return step.input

    def happened(self, *kinds: str) -> list[tuple[str, str]]:
        """The events of these kinds, each with its step, in the order of the journal."""
        return [(event.kind, str(event.content["path"])) for event in self._events if event.kind in kinds]

    def _told(self, *kinds: str) -> list[str]:
        return [path for _, path in self.happened(*kinds)]

    def _paths(self, status: TaskState) -> set[str]:
        return {step.path for step in self.view.steps if step.status is status}

    async def _until(self, holds: Callable[[TaskView], bool], what: str) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + PATIENCE
        while loop.time() < end:
            await sweep_once(self.store)
            self.view = await self.client.task(self.id)
            if holds(self.view):
                self._events = await self.client.journal(self.id)
                return
            assert not self.view.status.is_terminal, f"it does not {what}: {self._now()}"
            await asyncio.sleep(0.02)
        raise AssertionError(f"it does not {what}: {self._now()}")

    def _now(self) -> str:
        steps = {step.path: step.status.value for step in self.view.steps}
        return f"{self.view.status.value} {self.view.failure or ''} {steps}"


@dataclass
class Stage:
    """Where the files of the folder are played."""

    client: LocalClient
    store: Store

    async def play(self, name: str, **input: Any) -> Case:
        submitted = await self.client.submit(Submission(type=f"workflow:{name}", input=input))
        return Case(submitted.id, self.client, self.store)


def _name(path: str) -> str:
    return re.split(r"[\[#]", path.rpartition("/")[2])[0]
