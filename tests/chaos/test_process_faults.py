"""Hundreds of workers are killed, stopped and continued at random and at every point where it could matter.

`make faults` does it ten thousand times.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest
from agentplat_doctor.checks import examine
from agentplat_testkit.pooler import pooled

from agentplat.contracts.interface import Submission, TaskFilter
from agentplat.contracts.store import Store
from agentplat.domain.events import ChildDispatched, Recorded, StepSucceeded, TaskClaimed, TaskFinished
from agentplat.domain.failure import Failure, FailureCode
from agentplat.domain.task import TaskState
from agentplat.engine.client.local import LocalClient
from agentplat.store.connect import open_store

from .nursery import LEASE, Fledgling, Nursery, nursery
from .processes import MEMBERS, STEPS, Workers, stop
from .traffic import Traffic, begun, check_history, counted, in_turn, told, until_done
from .zygote import Point

FAULTS = int(os.environ.get("AGENTPLAT_CHAOS_PROCESSES", "300"))  # on each database
SEED = int(os.environ.get("AGENTPLAT_CHAOS_SEED", str(random.SystemRandom().randrange(10**6))))
_FEW = 12
_AT_ONCE = 12  # workers
_TASKS = 36  # open at once
_PATIENCE = 100  # looks at a worker that owns nothing yet
_KILL, _IN_RENEWAL, _STOP = "killed", "killed_in_renewal", "stopped"
_DRAINS = (Point.IN_DRAIN, Point.AFTER_DRAIN)
KINDS = (*Point, *(_KILL, _IN_RENEWAL) * 2, _STOP)


@dataclass
class Trouble:
    """Lets workers live, each until its fault; counts what struck: a worker that owned nothing does not count."""

    nursery: Nursery
    workers: Workers
    chance: random.Random
    faults: int
    struck: Counter[str] = field(default_factory=Counter)
    idle: int = 0  # died, and owned nothing
    codes: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._kinds: Iterator[str] = iter(in_turn(KINDS, self.faults * 2 + len(KINDS) * 10, self.chance))

    async def run(self) -> None:
        """One worker after the other, until enough has struck. Several run at once."""
        while self.struck.total() + sum(self.nursery.deaths.values()) < self.faults:
            kind = next(self._kinds)
            own = kind in {*Point}
            at = 1 if kind in _DRAINS else self.chance.randrange(1, 4 if kind == Point.BEFORE_WAKE else 20)
            fledgling = await self.nursery.fork(kind if own else "", at)
            await (self._until_it_ends(fledgling, kind) if own else self._end(fledgling, kind))
            self.codes[await fledgling.ended] += 1
            # Its keeper hands back what it owned; or the keeper is gone as well, and the lease has to run out.
            if self.chance.random() < 0.8:
                await self.nursery.expire(fledgling)

    async def _until_it_ends(self, fledgling: Fledgling, kind: str) -> None:
        if kind in _DRAINS:
            await self._lives(fledgling, self.chance.uniform(0.2, 0.8))
            fledgling.send(signal.SIGTERM)
        await self._lives(fledgling, 10.0)
        fledgling.send(signal.SIGKILL)  # it had nothing to do for so long; not counted

    async def _end(self, fledgling: Fledgling, kind: str) -> None:
        await self._lives(fledgling, self.chance.uniform(0.1, 0.7))
        for _ in range(_PATIENCE):
            if fledgling.ended.done() or await self.nursery.owned(fledgling):
                break
            await self._lives(fledgling, 0.05)
        if fledgling.ended.done():
            return
        match kind:
            case "killed_in_renewal":
                renewing = asyncio.create_task(self.nursery.renew(fledgling))
                await asyncio.sleep(self.chance.uniform(0.0, 0.002))
                owned = await self._kill(fledgling)
                await renewing
            case "stopped":
                owned = await self._stop(fledgling)
            case _:
                owned = await self._kill(fledgling)
        self.struck[kind] += owned > 0
        self.idle += owned == 0

    async def _kill(self, fledgling: Fledgling) -> int:
        """How many tasks it owned."""
        fledgling.send(signal.SIGKILL)
        await fledgling.ended
        return await self.nursery.owned(fledgling)

    async def _stop(self, fledgling: Fledgling) -> int:
        """As when a machine is paused: it sleeps past its lease, wakes, and believes that it still owns its tasks."""
        fledgling.is_renewed = False
        await asyncio.to_thread(stop, fledgling.pid, self.workers.database_url)
        owned = await self.nursery.owned(fledgling)
        await asyncio.sleep(LEASE * self.chance.uniform(1.1, 1.6))
        fledgling.send(signal.SIGCONT)
        await self._lives(fledgling, 0.5)
        fledgling.send(signal.SIGKILL)
        return owned

    @staticmethod
    async def _lives(fledgling: Fledgling, seconds: float) -> None:
        await asyncio.wait([fledgling.ended], timeout=seconds)


def check_family(where: str, journal: Sequence[Recorded]) -> Sequence[UUID]:
    """The children: of each step one, however often its parent changed hands."""
    events = [each.event for each in journal]
    sent = [event for event in events if isinstance(event, ChildDispatched)]
    assert sorted(str(event.path) for event in sent) == sorted(MEMBERS), where
    outcomes = [event for event in events if isinstance(event, StepSucceeded)]
    assert Counter(str(event.path) for event in outcomes) == Counter(MEMBERS), where
    assert sum(isinstance(event, TaskFinished) for event in events) == 1, where
    return [event.execution_id for event in sent]


def _is_poisoned(failure: Failure) -> bool:
    return failure.code is FailureCode.POISONED


@dataclass(frozen=True)
class Found:
    tasks: int
    claims: int
    poisoned: int


async def check_all_ended(observer: Store, accepted: dict[str, UUID], marks: Path) -> Found:
    """Every accepted task is there once, and done; or three workers died with it, one after the other."""
    rows = await observer.tasks(TaskFilter(limit=1_000_000))
    assert set(accepted.values()) == {row.id for row in rows if row.parent is None}
    of_poisoned = {row.parent.id for row in rows if row.parent and row.failure and _is_poisoned(row.failure)}
    executions = begun(marks)
    claims = poisoned = 0
    members: list[UUID] = []
    for at in range(0, len(rows), 500):
        journals = await observer.journals([row.id for row in rows[at : at + 500]])
        for row in rows[at : at + 500]:
            journal = journals[row.id]
            fences = sum(isinstance(each.event, TaskClaimed) for each in journal)
            claims += fences
            if row.failure is not None and row.id in of_poisoned:
                assert _is_poisoned(row.failure), f"seed {SEED}: {row}"
                continue
            if row.status is TaskState.CANCELLED and row.parent and row.parent.id in of_poisoned:
                continue  # its parent has failed by another child
            if row.failure is not None and _is_poisoned(row.failure):
                assert fences >= 3, f"seed {SEED}: task {row.id} is called poisoned after {fences} claims"
                poisoned += 1
                continue
            assert row.status is TaskState.DONE, f"seed {SEED}: {row}"
            if row.type == "workflow:family":
                members += check_family(f"seed {SEED}: task {row.id}", journal)
                continue
            steps = STEPS if row.type == "workflow:ten" else ("stepper",)
            marked = executions.get(row.id, Counter())
            begun_here = marked if row.type == "workflow:ten" else Counter({"stepper": marked.total()})
            check_history(f"seed {SEED}: task {row.id}", journal, steps, begun_here)
    assert len(members) == len(set(members)), f"seed {SEED}: a child is of two executions"
    return Found(len(rows), claims, poisoned)


async def _survived(
    faults: int, workers: Workers, client: LocalClient, capsys: pytest.CaptureFixture[str]
) -> tuple[Counter[str], int]:
    """What struck, and how many stale writes were refused. Nothing was lost or doubled by it."""
    began = time.monotonic()
    used = time.process_time()
    observer = open_store(workers.database_url)

    async def submit(key: str) -> UUID:
        # Every fourth one has children.
        name = "ten" if int(key.removeprefix("key ")) % 4 else "family"
        submission = Submission(type=f"workflow:{name}", input={"pause": 0.005}, idempotency_key=key)
        return (await client.submit(submission)).id

    traffic = Traffic(submit, observer, at_once=_TASKS)
    async with nursery(workers.folder, workers.database_url, workers.marks) as found:
        trouble = Trouble(found, workers, random.Random(SEED), faults)
        async with asyncio.TaskGroup() as group:
            group.create_task(traffic.flow())
            await asyncio.gather(*[trouble.run() for _ in range(_AT_ONCE)])
            traffic.stop()
        seconds = time.monotonic() - began
        used = time.process_time() - used + found.used()
        for _ in range(2):
            await found.fork()
        await until_done(observer)
        refused = found.refused()
        struck = trouble.struck + found.deaths
    totals = await check_all_ended(observer, traffic.accepted, workers.marks)
    report = await asyncio.to_thread(examine, workers.database_url)
    await observer.close()

    told(
        capsys,
        f"process faults, seed {SEED}: {struck.total()} in {seconds:.0f} s: {counted(struck)}; {trouble.idle} others"
        f" owned nothing; {used / struck.total():.2f} CPU s each, and the database's; {totals.tasks} tasks,"
        f" {totals.claims} claims, {refused} stale writes refused, {totals.poisoned} poisoned",
    )
    assert struck.total() >= faults
    assert totals.claims > totals.tasks, "no task changed hands"
    assert [(finding.predicate.code, finding.examples) for finding in report.errors] == [], f"seed {SEED}"
    return struck, refused


@pytest.mark.timeout(240 + FAULTS)
async def test_no_death_of_a_process_loses_or_doubles_anything(
    workers: Workers, client: LocalClient, capsys: pytest.CaptureFixture[str]
) -> None:
    struck, refused = await _survived(FAULTS, workers, client, capsys)
    assert set(struck) == set(KINDS), f"seed {SEED}: {struck}"
    assert refused > 0, f"seed {SEED}: no stale write was tried"


class TestBehindAPooler:
    """By transaction, so that nobody has a session of its own. `make pooled` does it more often."""

    @pytest.fixture
    def database_url(self, postgres_url: str) -> Iterator[str]:
        with pooled(postgres_url) as url:
            yield url

    @pytest.mark.timeout(600)
    async def test_no_death_of_a_process_leaves_anything_in_a_session(
        self, workers: Workers, client: LocalClient, capsys: pytest.CaptureFixture[str]
    ) -> None:
        await _survived(_FEW, workers, client, capsys)
