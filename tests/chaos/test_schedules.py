"""Processes in which schedules fire are killed while they do it: each due time makes one task, whoever comes next."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from agentplat_doctor.checks import examine

from agentplat.contracts.firing import ScheduleStore
from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.schedules import Schedule
from agentplat.engine.client.schedules.planning import key_of
from agentplat.language.cron import next_times
from agentplat.store.connect import open_store

from .processes import Workers
from .traffic import SEED

ROUNDS = 2 * int(os.environ.get("AGENTPLAT_CHAOS_RUNS", "5"))
_SCHEDULES = 120  # in each round
_HOURS = 3  # each of them was due so often while nothing ran
_AT_ONCE = 2  # processes

SWEEPER = """
import asyncio, os, sys
from pathlib import Path
from agentplat.runtime.app import open_platform
from agentplat.runtime.settings import Settings
from agentplat.runtime.sweeper import sweep_forever

async def sweep():
    settings = Settings(project=Path(sys.argv[1]), database_url=sys.argv[2])
    async with open_platform(settings) as platform:
        await sweep_forever(platform.store, platform.scheduler())

for line in sys.stdin:  # a new process for each
    if (child := os.fork()) == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what it logs is not read here
        try:
            asyncio.run(sweep())
        finally:
            os._exit(1)
    os.write(1, f"{child}\\n".encode())
"""


@dataclass
class Sweepers:
    """Processes that are forked from one that has loaded everything already."""

    parent: subprocess.Popen[str]
    alive: list[int] = field(default_factory=list)

    def start(self) -> None:
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        self.parent.stdin.write("\n")
        self.parent.stdin.flush()
        self.alive.append(int(self.parent.stdout.readline()))

    def kill(self, pid: int) -> None:
        self.alive.remove(pid)
        os.kill(pid, signal.SIGKILL)


@contextmanager
def sweepers(workers: Workers) -> Iterator[Sweepers]:
    command = [sys.executable, "-c", SWEEPER, str(workers.folder), workers.database_url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        made = Sweepers(parent)
        try:
            yield made
        finally:
            for pid in list(made.alive):
                made.kill(pid)
            parent.kill()


@pytest.fixture
async def observer(workers: Workers) -> AsyncIterator[ScheduleStore]:
    store = open_store(workers.database_url)
    await store.open()
    yield store
    await store.close()


async def _left_alone(store: ScheduleStore, names: list[str]) -> list[datetime]:
    """Schedules that were due while nothing ran; at which times. None becomes due while the test runs."""
    now = await store.clock()
    cron = f"{(now + timedelta(minutes=30)).minute} * * * *"
    times = [at for at in next_times(cron, UTC, now - timedelta(hours=_HOURS), _HOURS + 1) if at <= now]
    given = {"pause": 0.0}
    for name in names:
        schedule = Schedule(name=name, target="ten", cron=cron, input=given, catch_up="all")
        await store.put_schedule(schedule, source="api", next_at=times[0], user_hash=None, actor="test")
    return times


async def _due(store: ScheduleStore) -> int:
    return len(await store.due_schedules(100_000))


async def _begun(store: ScheduleStore, before: int) -> None:
    """Until some are not due any more."""
    async with asyncio.timeout(60):
        while await _due(store) == before:  # noqa: ASYNC110  # it is done by other processes
            await asyncio.sleep(0.002)


@pytest.mark.timeout(600)
async def test_no_death_loses_or_doubles_a_due_time(
    workers: Workers, observer: ScheduleStore, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    expected: dict[str, datetime] = {}
    struck, kills = 0, _AT_ONCE * ROUNDS
    with sweepers(workers) as found:
        for number in range(ROUNDS):
            names = [f"r{number}-{each}" for each in range(_SCHEDULES)]
            times = await _left_alone(observer, names)
            expected |= {key_of(name, at): at for name in names for at in times}
            before = await _due(observer)
            for _ in range(_AT_ONCE):
                found.start()
            await _begun(observer, before)
            for pid in chance.sample(found.alive, _AT_ONCE):
                await asyncio.sleep(chance.uniform(0.0, 0.03))
                found.kill(pid)
                # It was killed at work: some were fired, and some are left for those that come after it.
                struck += await _due(observer) > 0
        found.start()
        async with asyncio.timeout(60):
            while await observer.due_schedules(1):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    known: dict[str, object] = {}
    keys = list(expected)
    for start in range(0, len(keys), 200):
        known |= await observer.known_tasks("default", keys[start : start + 200])
    tasks = await observer.tasks(TaskFilter(limit=1_000_000))
    with capsys.disabled():
        print(f"\n{workers.database_url.partition(':')[0]}: {struck} of {kills} kills struck, {len(tasks)} tasks")  # noqa: T201
    assert known.keys() == expected.keys(), f"seed {SEED}: due times without a task"
    assert sorted(known.values(), key=str) == sorted((task.id for task in tasks), key=str), f"seed {SEED}: doubled"
    assert struck >= kills // 3, f"seed {SEED}: only {struck} of {kills} kills struck"
    assert not examine(workers.database_url).errors
