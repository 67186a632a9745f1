"""Tasks of every kind: with steps, children, a timer, a signal, a retry; and some that are cancelled."""

from __future__ import annotations

import asyncio
import heapq
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from agentplat.contracts.interface import Submission
from agentplat.domain.errors import ConflictError, IllegalTransition, StoreUnavailable
from agentplat.engine.client.local import LocalClient

REST = 0.3
"""Seconds that a `timed` task waits."""

_BREATH = 0.02

_FICKLE = '''
import os

from agentplat import Agent, AgentContext, FailureCode, StepError
from pydantic import BaseModel


class Input(BaseModel):
    step: str


class Fickle(Agent[Input, Input]):
    """Fails the first time that it runs for a task, whatever became of that time."""

    name = "fickle"

    async def execute(self, input: Input, ctx: AgentContext) -> Input:
        with open(os.environ["MARKS"], "a") as marks:
            marks.write(f"{ctx.task_id} {input.step}\\n")
        try:
            os.close(os.open(f"{os.environ['MARKS']}.{ctx.task_id}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return input
        raise StepError(FailureCode.UNAVAILABLE, "the first time")
'''

_WORKFLOWS = {
    "timed": f"""name: timed
strategy: sequential
steps:
  - {{name: before, agent: stepper, input: {{step: before, pause: "${{{{ input.pause }}}}"}}}}
  - {{name: rest, wait: {{duration: {REST * 1000:g}ms}}}}
  - {{name: after, agent: stepper, input: {{step: after, pause: "${{{{ input.pause }}}}"}}}}
""",
    "told": """name: told
strategy: sequential
steps:
  - {name: before, agent: stepper, input: {step: before, pause: "${{ input.pause }}"}}
  - {name: answer, wait: {signal: go}}
  - {name: after, agent: stepper, input: {step: after, pause: "${{ input.pause }}"}}
output:
  heard: "${{ steps.answer.output }}"
""",
    "retried": """name: retried
strategy: sequential
steps:
  - {name: before, agent: stepper, input: {step: before, pause: "${{ input.pause }}"}}
  - {name: again, agent: fickle, retry: {max_attempts: 2, initial: 100ms}, input: {step: again}}
""",
}

_CANCELLED = 8, 12, 15
_MIX = (
    *("family", "ten", "told", "family", "timed", "ten", "family", "retried"),
    *("ten", "told", "family", "ten", "family", "timed", "family", "told"),
)
"""By the number of the task, and begun again; those of _CANCELLED are cancelled, before they end or too late."""


def write_kinds(folder: Path) -> None:
    """Beside what `write_project` has written."""
    (folder / "agents" / "fickle.py").write_text(_FICKLE)
    for name, text in _WORKFLOWS.items():
        (folder / "workflows" / f"{name}.yaml").write_text(text)


@dataclass
class Kinds:
    """Submits tasks of each kind in turn, and does to them from outside what their kind needs."""

    client: LocalClient
    chance: random.Random
    signalled: dict[UUID, str] = field(default_factory=dict)  # what was said to it
    cancelled: set[UUID] = field(default_factory=set)  # was asked to end
    too_late: set[UUID] = field(default_factory=set)  # and had ended by itself
    _due: list[tuple[float, UUID, str]] = field(default_factory=list)  # when, to which task, what
    _stopped: bool = False

    async def submit(self, key: str) -> UUID | None:
        """The task; None when the database did not answer."""
        at = int(key.removeprefix("key ")) % len(_MIX)
        submission = Submission(type=f"workflow:{_MIX[at]}", input={"pause": 0.005}, idempotency_key=key)
        try:
            task_id = (await self.client.submit(submission)).id
        except StoreUnavailable:
            return None
        if at in _CANCELLED or _MIX[at] == "told":
            errand = "cancel" if at in _CANCELLED else f"said to {key}"
            heapq.heappush(self._due, (time.monotonic() + self.chance.uniform(0.0, 1.0), task_id, errand))
        return task_id

    async def attend(self) -> None:
        """Do what is due, until `stop`, and what is still to be done then."""
        while self._due or not self._stopped:
            if self._due and (self._stopped or self._due[0][0] <= time.monotonic()):
                _, task_id, errand = heapq.heappop(self._due)
                await (self._cancel(task_id) if errand == "cancel" else self._signal(task_id, errand))
            else:
                await asyncio.sleep(_BREATH)

    def stop(self) -> None:
        self._stopped = True

    async def _cancel(self, task_id: UUID) -> None:
        self.cancelled.add(task_id)
        is_sure = True
        while True:
            try:
                await self.client.cancel(task_id)
            except IllegalTransition:
                if is_sure:
                    self.too_late.add(task_id)
            except ConflictError:  # it changed hands all the time
                continue
            except StoreUnavailable:
                is_sure = False  # perhaps it was heard, and the answer was lost
                await asyncio.sleep(_BREATH)
                continue
            return

    async def _signal(self, task_id: UUID, payload: str) -> None:
        """Said twice under one key, which counts once."""
        self.signalled[task_id] = payload
        said = 0
        while said < 2:
            try:
                await self.client.signal(task_id, "go", payload, "the answer")
            except ConflictError:
                return  # it has heard the first one and has ended, or was poisoned
            except StoreUnavailable:
                await asyncio.sleep(_BREATH)
            else:
                said += 1
