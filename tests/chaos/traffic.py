"""Tasks that are submitted all the time, a memory of which were accepted, and what must be true of them in the end."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import pytest
from agentplat_doctor.checks import examine

from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.store import Store
from agentplat.domain.errors import StoreUnavailable
from agentplat.domain.events import (
    Recorded,
    StepCancelled,
    StepFailed,
    StepStarted,
    StepSucceeded,
    TaskClaimed,
    TaskFinished,
    TaskSubmitted,
)
from agentplat.domain.task import TaskState

from .processes import STEPS, Keeper, Workers, wait_for

T = TypeVar("T")
SEED = int(os.environ.get("AGENTPLAT_CHAOS_SEED", str(random.SystemRandom().randrange(10**6))))
"""Of all chance in these tests. A fixture says it before each of them, so that a red one says it too."""

_EVERYTHING = TaskFilter(limit=1_000_000)
_OPEN = (TaskState.PENDING, TaskState.RUNNING, TaskState.WAITING)


@dataclass
class Traffic:
    """Keeps about `at_once` tasks open. Every submission has a key, and is repeated until it is accepted."""

    submit: Callable[[str], Awaitable[UUID | None]]  # by key; None when the database does not answer
    observer: Store  # sees the database past all that is broken on purpose
    at_once: int
    pause: float = 0.05  # seconds between two looks at how many are open
    accepted: dict[str, UUID] = field(default_factory=dict)
    turned_away: int = 0
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _refused: list[str] = field(default_factory=list)
    _stopped: bool = False

    def __str__(self) -> str:
        return f"{self.turned_away} submissions repeated"

    async def flow(self) -> None:
        """Submit until `stop`. Several may flow at once."""
        while not self._stopped:
            for _ in range(self.at_once - await _opened(self.observer, self.at_once)):
                await self._submit(f"key {next(self._numbers)}")
            await asyncio.sleep(self.pause)

    async def offer(self) -> bool:
        """Whether one more task, however many are open, is accepted at the first try. If not, `repeat` it later."""
        key = f"key {next(self._numbers)}"
        task_id = await self.submit(key)
        if task_id is None:
            self.turned_away += 1
            self._refused.append(key)
            return False
        self.accepted[key] = task_id
        return True

    async def repeat(self) -> None:
        """Submit again what was refused, until it is accepted."""
        while self._refused:
            await self._submit(self._refused.pop())

    def stop(self) -> None:
        self._stopped = True

    async def _submit(self, key: str) -> None:
        while (task_id := await self.submit(key)) is None:
            self.turned_away += 1
            await asyncio.sleep(0.02)
        self.accepted[key] = task_id


async def _opened(observer: Store, most: int) -> int:
    """How many tasks are open; about `most` of each state are counted."""
    try:
        found = [await observer.tasks(TaskFilter(status=status, limit=most)) for status in _OPEN]
    except StoreUnavailable:
        return most  # nobody knows
    return sum(map(len, found))


async def until_done(observer: Store, seconds: float = 120.0) -> None:
    """Return when no task is open any more."""
    ends = time.monotonic() + seconds
    while await _opened(observer, 1) or await _is_any_open(observer):
        assert time.monotonic() < ends, f"after {seconds:g} s still open: {await _stuck(observer)}"
        await asyncio.sleep(0.05)


async def _is_any_open(observer: Store) -> bool:
    """By one read. Those by status are three moments, between which a task that waits may begin to run."""
    try:
        return any(row.status in _OPEN for row in await observer.tasks(_EVERYTHING))
    except StoreUnavailable:
        return True  # nobody knows


async def _stuck(observer: Store) -> Sequence[str]:
    rows = [row for status in _OPEN for row in await observer.tasks(TaskFilter(status=status))]
    return [f"{row.id} {row.status}, fence {row.fence} of {row.worker_id}, journal to {row.last_seq}" for row in rows]


@asynccontextmanager
async def flowing(traffic: Traffic, workers: Workers, flows: int = 1) -> AsyncIterator[None]:
    """While tasks are submitted and worked on; at the end all of them are done."""
    async with asyncio.TaskGroup() as group:
        for _ in range(flows):
            group.create_task(traffic.flow())
        await asyncio.to_thread(wait_for, workers.marks.exists)
        yield
        traffic.stop()
    await until_done(traffic.observer)


@dataclass(frozen=True)
class Totals:
    """What a run came to, for the line that is printed."""

    tasks: int
    claims: int
    repeated: int  # steps that were begun more than once

    def __str__(self) -> str:
        return f"{self.tasks} tasks, {self.claims} claims, {self.repeated} steps begun again"


async def check_all_done(observer: Store, accepted: Mapping[str, UUID], marks: Path, database_url: str) -> Totals:
    """Every accepted task is there once, done, free of any lease, its history without fault; and no other is.

    `database_url`: where the doctor is to look, past all that is broken on purpose.
    """
    rows = await observer.tasks(_EVERYTHING)
    assert len(set(accepted.values())) == len(accepted), "two keys got one task"
    assert set(accepted.values()) == {row.id for row in rows}
    assert Counter(row.status for row in rows) == {TaskState.DONE: len(accepted)}
    held = [row for row in rows if row.fence is not None or row.worker_id is not None]
    assert held == [], "ended, and still in the queue"
    executions = begun(marks)
    journals = await observer.journals([row.id for row in rows])
    for row in rows:
        assert row.output is not None
        check_history(f"task {row.id}", journals[row.id], STEPS, executions.get(row.id, Counter()))
    await check_health(database_url)
    return Totals(
        tasks=len(rows),
        claims=sum(isinstance(each.event, TaskClaimed) for journal in journals.values() for each in journal),
        repeated=sum(count.total() for count in executions.values()) - len(rows) * len(STEPS),
    )


def begun(marks: Path) -> dict[UUID, Counter[str]]:
    """How often each step was begun, as the steps themselves say."""
    found: dict[UUID, Counter[str]] = {}
    for line in marks.read_text().splitlines():
        task_id, step = line.split()
        found.setdefault(UUID(task_id), Counter())[step] += 1
    return found


async def check_health(database_url: str) -> None:
    """The doctor finds no promise broken."""
    report = await asyncio.to_thread(examine, database_url)
    assert report.tasks > 0, "there was nothing to examine"
    assert [(finding.predicate.code, finding.examples) for finding in report.errors] == [], f"seed {SEED}"


def check_history(
    where: str, journal: Sequence[Recorded], steps: Sequence[str], executions: Counter[str], waits: Sequence[str] = ()
) -> None:
    """One outcome for each of `steps`, which ran, and of `waits`; no more executions than are recorded."""
    check_order(where, journal)
    succeeded = {str(each.event.path) for each in journal if isinstance(each.event, StepSucceeded)}
    assert succeeded == {*steps, *waits}, where
    assert set(executions) == set(steps), f"{where}: {executions}"
    check_executions(where, journal, executions)


def check_executions(where: str, journal: Sequence[Recorded], executions: Counter[str]) -> None:
    """What a step did, it did after its start was kept."""
    started = Counter(str(each.event.path) for each in journal if isinstance(each.event, StepStarted))
    assert executions <= started, f"{where}: begun {executions}, but recorded {started}"


def check_frame(where: str, journal: Sequence[Recorded]) -> None:
    """No gap, one end, and claims in order."""
    events = [each.event for each in journal]
    assert [each.seq for each in journal] == list(range(1, len(journal) + 1)), f"{where} has a gap"
    assert isinstance(events[0], TaskSubmitted), where
    assert [isinstance(event, TaskFinished) for event in events] == [False] * (len(events) - 1) + [True], where
    fences = [event.fence for event in events if isinstance(event, TaskClaimed)]
    assert fences == sorted(set(fences)), f"{where} was claimed under {fences}"


def check_order(where: str, journal: Sequence[Recorded]) -> None:
    """As `check_frame`; and no step has two outcomes, or is begun again without need: one follows the other."""
    check_frame(where, journal)
    ended: set[str] = set()
    under_way: str | None = None
    for event in (each.event for each in journal):
        match event:
            case TaskClaimed():
                under_way = None  # what was under way may begin once more
            case StepStarted(path=path):
                assert under_way is None, f"{where}: {path} was started while {under_way} was under way"
                assert str(path) not in ended, f"{where}: {path} was started after its outcome"
                under_way = str(path)
            case StepSucceeded(path=path) | StepCancelled(path=path):
                assert str(path) not in ended, f"{where}: {path} has two outcomes"
                ended.add(str(path))
                under_way = None
            case StepFailed(path=path):
                assert under_way == str(path), f"{where}: {path} failed, and {under_way} was under way"
                under_way = None
            case _:
                pass


def in_turn(kinds: Iterable[T], count: int, chance: random.Random) -> Sequence[T]:
    """`count` faults; each kind comes once before any comes again."""
    dealt: list[T] = []
    while len(dealt) < count:
        dealt += chance.sample(each := list(kinds), len(each))
    return dealt[:count]


async def drained(keepers: Iterable[Keeper]) -> None:
    """Return when all have ended after SIGTERM, in order."""
    for keeper in keepers:
        keeper.process.terminate()
    for keeper in keepers:
        assert await asyncio.to_thread(keeper.process.wait, 60) == 0, keeper.log.read_text()[-4000:]


def counted(struck: Mapping[T, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(struck.items(), key=str))


def told(capsys: pytest.CaptureFixture[str], line: str) -> None:
    """Print it, so that it is seen of a test that passes too."""
    with capsys.disabled():
        print(f"\n{line}")  # noqa: T201
