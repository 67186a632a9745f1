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
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
from agentplat_testkit.pooler import pooled

from agentplat.contracts.store import Store
from agentplat.engine.client.local import LocalClient
from agentplat.store.connect import open_store

from .endings import Ends, check_all_ended
from .kinds import Kinds, write_kinds
from .nursery import LEASE, Fledgling, Foster, Nursery, nursery
from .processes import Workers, stop
from .traffic import SEED, Traffic, check_health, counted, in_turn, told, until_done
from .zygote import Point

FAULTS = int(os.environ.get("AGENTPLAT_CHAOS_PROCESSES", "300"))  # on each database
_FEW = 12
_AT_ONCE = 12  # workers
_TASKS = 60  # open at once; a third of them wait for something, or to be run alone
_IDLE = 5.0  # seconds after which a worker that has not come to its point is ended
_KILL, _IN_RENEWAL, _STOP = "killed", "killed_in_renewal", "stopped"
_DRAINS = (Point.IN_DRAIN, Point.AFTER_DRAIN)
KINDS = (*Point, *(_KILL, _IN_RENEWAL) * 2, _STOP)
_RARE = {Point.AFTER_CLAIM: 4, Point.BEFORE_WAKE: 2, **dict.fromkeys(_DRAINS, 1)}
"""How often a worker comes to such a point at the most, in the time that it has; to the others a dozen times."""


@dataclass
class Trouble:
    """Lets workers live, each until its fault; counts what struck.

    A worker that owned nothing does not count, but for one that has just handed back what it owned.
    """

    nursery: Nursery
    workers: Workers
    chance: random.Random
    faults: int
    struck: Counter[str] = field(default_factory=Counter)
    idle: int = 0  # died, and owned nothing
    ends: Counter[tuple[str, int]] = field(default_factory=Counter)  # by kind and exit code

    def __post_init__(self) -> None:
        self._kinds: Iterator[str] = iter(in_turn(KINDS, self.faults * 2 + len(KINDS) * 10, self.chance))

    async def run(self) -> None:
        """One worker after the other, until enough has struck. Several run at once."""
        foster = self.nursery.foster()
        while self.struck.total() + sum(self.nursery.deaths.values()) < self.faults:
            kind = next(self._kinds)
            is_point = kind in {*Point}
            at = self.chance.randint(1, _RARE.get(Point(kind), 6)) if is_point else 0
            after = self.chance.uniform(0.0, 0.003)
            fledgling = await self.nursery.fork(foster, kind if is_point else "", at, after)
            if not is_point or kind in _DRAINS:
                await self._until_it_owns(fledgling)
            if is_point:
                await self._until_it_ends(fledgling, kind)
            elif not fledgling.ended.done():
                await self._end(fledgling, foster, kind)
            self.ends[kind, await fledgling.ended] += 1
            # Its keeper hands back what it owned; or the keeper is gone as well, and the lease has to run out.
            if self.chance.random() < 0.8:
                await foster.expire(fledgling)

    async def _until_it_owns(self, fledgling: Fledgling) -> None:
        """Some time of its life, and then until it owns a task; or until it was idle for too long."""
        await self._lives(fledgling, self.chance.uniform(0.1, 0.7))
        ends = time.monotonic() + _IDLE
        while not (fledgling.ended.done() or await self.nursery.owned(fledgling)) and time.monotonic() < ends:
            await self._lives(fledgling, 0.02)

    async def _until_it_ends(self, fledgling: Fledgling, kind: str) -> None:
        if kind in _DRAINS:
            fledgling.send(signal.SIGTERM)
        await self._lives(fledgling, _IDLE)
        fledgling.send(signal.SIGKILL)  # it had nothing to do for so long; not counted

    async def _end(self, fledgling: Fledgling, foster: Foster, kind: str) -> None:
        match kind:
            case "killed_in_renewal":
                was_under_way = await foster.kill_in_renewal(fledgling, self.chance.uniform(0.0, 0.001))
                await fledgling.ended
                owned = await self.nursery.owned(fledgling)
                kind = _IN_RENEWAL if was_under_way else _KILL
            case "stopped":
                owned = await self._stop(fledgling)
            case _:
                fledgling.send(signal.SIGKILL)
                await fledgling.ended
                owned = await self.nursery.owned(fledgling)
        self.struck[kind] += owned > 0
        self.idle += owned == 0

    async def _stop(self, fledgling: Fledgling) -> int:
        """As when a machine is paused: it sleeps past its lease, wakes, and believes that it still owns its tasks."""
        fledgling.is_renewed = False
        await asyncio.to_thread(stop, fledgling.pid, self.workers.database_url)
        # Not waited for: the stopped one may be within as many transactions as the pooler has sessions.
        counting = asyncio.create_task(self.nursery.owned(fledgling))
        await asyncio.sleep(LEASE * self.chance.uniform(1.1, 1.6))
        fledgling.send(signal.SIGCONT)
        owned = await counting
        await self._lives(fledgling, 0.5)
        fledgling.send(signal.SIGKILL)
        return owned

    def check_ends(self) -> None:
        """Workers end by a kill, and after a drain in good order. Never by an error of theirs."""
        allowed = {(kind, -signal.SIGKILL) for kind in KINDS} | {(kind, 0) for kind in _DRAINS}
        wrong = {end: count for end, count in self.ends.items() if end not in allowed}
        assert wrong == {}, f"seed {SEED}: ended by themselves; their last words: {self.nursery.last_words()}"

    @staticmethod
    async def _lives(fledgling: Fledgling, seconds: float) -> None:
        await asyncio.wait([fledgling.ended], timeout=seconds)


@pytest.fixture
def workers(workers: Workers) -> Workers:
    """Before anybody reads their folder."""
    write_kinds(workers.folder)
    return workers


@pytest.fixture
async def observer(workers: Workers) -> AsyncIterator[Store]:
    store = open_store(workers.database_url)
    yield store
    await store.close()


async def _survived(
    faults: int, workers: Workers, client: LocalClient, observer: Store, capsys: pytest.CaptureFixture[str]
) -> tuple[Counter[str], Ends, int]:
    """What struck, how the tasks ended, and how many stale writes were refused. Nothing was lost or doubled by it."""
    began = time.monotonic()
    used = time.process_time()
    chance = random.Random(SEED)
    kinds = Kinds(client, random.Random(chance.random()))
    traffic = Traffic(kinds.submit, observer, at_once=_TASKS, pause=0.1)
    async with nursery(workers.folder, workers.database_url, workers.marks) as found:
        trouble = Trouble(found, workers, chance, faults)
        async with asyncio.TaskGroup() as group:
            group.create_task(traffic.flow())
            group.create_task(kinds.attend())
            await asyncio.gather(*[trouble.run() for _ in range(_AT_ONCE)])
            traffic.stop()
            kinds.stop()
        seconds = time.monotonic() - began
        used = time.process_time() - used + found.used()
        healthy = [asyncio.create_task(found.go_on()) for _ in range(2)]
        await until_done(observer)
        for each in healthy:
            each.cancel()
        refused = found.refused()
        struck = trouble.struck + found.deaths
    ends = await check_all_ended(observer, traffic.accepted, kinds, workers.marks)
    await check_health(workers.database_url)

    told(
        capsys,
        f"process faults, seed {SEED}: {struck.total()} in {seconds:.0f} s: {counted(struck)}; {trouble.idle} others"
        f" owned nothing; {used / struck.total():.2f} CPU s each, and the database's; {len(ends.rows)} tasks"
        f" ({counted(ends.ends)}), {ends.claims} claims, {refused} stale writes refused",
    )
    trouble.check_ends()
    assert struck.total() >= faults
    assert ends.claims > len(ends.rows), "no task changed hands"
    return struck, ends, refused


@pytest.mark.timeout(240 + FAULTS)
async def test_no_death_of_a_process_loses_or_doubles_anything(
    workers: Workers, client: LocalClient, observer: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    struck, ends, refused = await _survived(FAULTS, workers, client, observer, capsys)
    assert set(struck) == set(KINDS), f"seed {SEED}: {struck}"
    assert {"done", "cancelled", "retried"} <= set(ends.ends), f"seed {SEED}: {ends.ends}"
    assert refused > 0, f"seed {SEED}: no stale write was tried"


class TestBehindAPooler:
    """By transaction, so that nobody has a session of its own. `make pooled` does it more often."""

    @pytest.fixture
    def database_url(self, postgres_url: str) -> Iterator[str]:
        with pooled(postgres_url) as url:
            yield url

    @pytest.mark.timeout(600)
    async def test_no_death_of_a_process_leaves_anything_in_a_session(
        self, workers: Workers, client: LocalClient, observer: Store, capsys: pytest.CaptureFixture[str]
    ) -> None:
        await _survived(_FEW, workers, client, observer, capsys)
