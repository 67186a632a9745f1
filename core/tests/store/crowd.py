"""Workers, clients, sweepers, killers and administrators at once, each with a store of its own, and all that they saw.

Nobody knows in which order their transactions came. What each was answered is kept, and has to explain how it ended.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from agentplat.contracts.interface import TaskFilter
from agentplat.contracts.store import (
    CallRow,
    Claim,
    Closing,
    Committed,
    InboxItem,
    Keep,
    NewTask,
    Park,
    Release,
    Store,
    Submitted,
    Write,
    WriteResult,
)
from agentplat.domain.errors import ConflictError
from agentplat.domain.events import BlockStarted, Event, StepStarted, StepSucceeded, TaskClaimed
from agentplat.domain.ids import ExecutionId, TaskId, WorkerId
from agentplat.domain.task import Lease, TaskState
from agentplat.domain.usage import Usage
from agentplat.store.connect import open_store

from .history import told
from .making import EXPIRED, STEP, cancel, ending, new_task, new_worker, signal

ROUNDS = 12
KEYS = ("a", "b", "c")
# No timers: a task that a sweep wakes is one whose wake-up was lost.
_CLOSINGS: Sequence[Closing] = (Keep(), Keep(), Park(wake_after=None), Release())


@dataclass
class Seen:
    """What the store answered. Each list is in the order of the answers that one caller got."""

    submitted: list[tuple[NewTask, Submitted]] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)
    writes: list[tuple[Write, WriteResult]] = field(default_factory=list)
    told: list[tuple[InboxItem, bool]] = field(default_factory=list)  # False: known, or the task was over
    swept: list[WorkerId] = field(default_factory=list)
    woken: int = 0
    poisoned: int = 0


@dataclass
class Holder:
    """What a worker believes of a task."""

    lease: Lease
    end: int  # of the journal
    calls: int = 0


class Crowd:
    def __init__(self, url: str, seed: object) -> None:
        self.url = url
        self.seen = Seen()
        self._seed = seed
        self._numbers = itertools.count(1)
        self._workers: list[WorkerId] = []
        self._tasks: list[TaskId] = []

    async def play(self) -> None:
        """Everybody at once; then all workers are dead, and one more ends what is left."""
        actors = (*[self._work] * 3, *[self._submit_and_tell] * 2, self._sweep, self._kill, self._administer)
        stores = [open_store(self.url, pool_size=2) for _ in actors]
        for store in stores:
            await store.open()
        await asyncio.gather(
            *(
                actor(store, random.Random(f"{self._seed}/{number}"))
                for number, (actor, store) in enumerate(zip(actors, stores, strict=True))
            )
        )
        await self._finish(stores[0])
        for store in stores:
            await store.close()

    # --- clients -------------------------------------------------------------------------------------------

    async def _submit_and_tell(self, store: Store, luck: random.Random) -> None:
        for _ in range(ROUNDS):
            new = [self._new(luck) for _ in range(luck.randint(1, 3))]
            self._tasks += [task.id for task in new]
            self.seen.submitted += zip(new, await store.submit(new), strict=True)
            for _ in range(3):
                await self._tell(store, luck)

    def _new(self, luck: random.Random) -> NewTask:
        key = luck.choice([None, None, *KEYS])
        return new_task(idempotency_key=key, fingerprint=key, priority=luck.randint(0, 1))

    async def _tell(self, store: Store, luck: random.Random, task_id: TaskId | None = None, key: str = "") -> None:
        known = {submitted.task_id for _, submitted in self.seen.submitted}
        task_id = task_id or luck.choice(sorted(known))
        item = signal(task_id, key or luck.choice(KEYS), id=UUID(int=next(self._numbers)), payload=next(self._numbers))
        if not key and luck.random() < 0.1:
            item = replace(cancel(task_id), id=UUID(int=next(self._numbers)))
        try:
            self.seen.told.append((item, await store.tell(item)))
        except ConflictError:
            self.seen.told.append((item, False))

    # --- workers -------------------------------------------------------------------------------------------

    async def _work(self, store: Store, luck: random.Random) -> None:
        worker_id = await self._register(store)
        held: list[Holder] = []
        for _ in range(ROUNDS):
            if luck.random() < 0.3 and not await store.renew_worker(worker_id, 60.0):
                worker_id = await self._register(store)  # what it held is left as it is, and written about all the same
            held += [await self._begin(store, claim) for claim in await self._claim(store, worker_id, luck)]
            chosen = luck.sample(held, min(len(held), luck.randint(1, 3)))
            # Of one task there is one write in a commit.
            await self._write(store, luck, list({holder.lease.task_id: holder for holder in chosen}.values()), held)

    async def _register(self, store: Store) -> WorkerId:
        worker = new_worker()
        self._workers.append(worker.id)
        await store.register_worker(worker, 60.0)
        return worker.id

    async def _claim(self, store: Store, worker_id: WorkerId, luck: random.Random) -> Sequence[Claim]:
        claims = list(await store.claim(worker_id, luck.randint(1, 3)))
        if luck.random() < 0.5 and (suspect := await store.claim_suspect(worker_id)) is not None:
            claims.append(suspect)
        self.seen.claims += claims
        return claims

    async def _begin(self, store: Store, claim: Claim) -> Holder:
        holder = Holder(claim.lease, end=len(await store.journal(claim.lease.task_id)))
        events = [TaskClaimed(fence=claim.lease.fence, worker=str(claim.lease.worker_id)), self._started()]
        await self._commit(
            store,
            [Write(lease=claim.lease, first_seq=holder.end + 1, events=events, under_way=True, tenant=claim.tenant)],
        )
        holder.end += 2
        return holder

    async def _write(self, store: Store, luck: random.Random, chosen: Sequence[Holder], held: list[Holder]) -> None:
        writes = [await self._some_write(store, luck, holder) for holder in chosen]
        results = await self._commit(store, writes)
        if luck.random() < 0.25:  # the same again, as after an answer that was lost
            results = await self._commit(store, writes)

        for holder, write, result in zip(chosen, writes, results, strict=True):
            if isinstance(result, Committed) and isinstance(write.closing, Keep):
                holder.end += len(write.events)
            elif luck.random() < 0.7:
                held.remove(holder)
            else:  # a stale owner that even reads the journal again
                holder.end = len(await store.journal(holder.lease.task_id))

    async def _some_write(self, store: Store, luck: random.Random, holder: Holder) -> Write:
        items = await store.inbox([holder.lease]) if luck.random() < 0.7 else ()
        events: list[Event] = [told(item) for item in items]
        events += [luck.choice([self._block, self._started, self._succeeded])() for _ in range(luck.randint(0, 2))]
        if luck.random() < 0.3:
            events.append(self._block())
            return replace(
                ending(holder.lease, holder.end + 1, TaskState.DONE), events=[*events, *ending(holder.lease, 1).events]
            )
        calls = [self._call(holder) for _ in range(luck.randint(0, 2))]
        return Write(
            lease=holder.lease,
            first_seq=holder.end + 1,
            events=events,
            calls=calls,
            taken=[item.id for item in items],
            usage=Usage(input_tokens=next(self._numbers), cost=1) if calls else None,
            under_way=luck.choice([True, True, False, None]),
            tenant=luck.choice(["north", None]),
            closing=luck.choice(_CLOSINGS),
        )

    async def _commit(self, store: Store, writes: Sequence[Write]) -> Sequence[WriteResult]:
        results = await store.commit(writes)
        self.seen.writes += zip(writes, results, strict=True)
        return results

    def _block(self) -> Event:
        return BlockStarted(path=STEP, input=next(self._numbers))

    def _started(self) -> Event:
        execution = ExecutionId(UUID(int=next(self._numbers)))
        return StepStarted(path=STEP, execution_id=execution, attempt=1, try_number=1, input=None)

    def _succeeded(self) -> Event:
        return StepSucceeded(path=STEP, attempt=1, output=next(self._numbers))

    def _call(self, holder: Holder) -> CallRow:
        holder.calls += 1
        return CallRow(
            path=f"fence {holder.lease.fence}",
            try_number=1,
            number=holder.calls,
            kind="tool",
            name="look",
            status="finished",
            content={"number": next(self._numbers)},
        )

    # --- those who come between -----------------------------------------------------------------------------

    async def _kill(self, store: Store, luck: random.Random) -> None:
        for _ in range(ROUNDS):
            await asyncio.sleep(0)
            if not self._workers or not self._tasks:
                continue
            victim = luck.choice(self._workers[-4:])
            match luck.choice(["expire", "expire", "expire", "kill", "blame", "leave"]):
                case "expire":
                    if await store.renew_worker(victim, EXPIRED) and luck.random() < 0.5:
                        await self._sweep_once(store)
                case "kill":
                    await store.expire_worker(victim)
                case "blame":
                    await store.expire_worker(victim, blame=luck.choice(self._tasks))
                case _:
                    await store.deregister_worker(victim)

    async def _sweep(self, store: Store, luck: random.Random) -> None:
        for _ in range(ROUNDS):
            await self._sweep_once(store)
            await asyncio.sleep(luck.uniform(0, 0.01))

    async def _sweep_once(self, store: Store) -> None:
        swept = await store.sweep()
        self.seen.swept += swept.workers
        self.seen.woken += swept.woken
        for lease in swept.poisoned:
            self.seen.poisoned += 1
            end = len(await store.journal(lease.task_id))
            await self._commit(store, [ending(lease, end + 1, TaskState.ERROR)])

    async def _administer(self, store: Store, luck: random.Random) -> None:
        """Ends a task in its owner's place, or writes about one that nobody owns."""
        for _ in range(ROUNDS):
            await asyncio.sleep(luck.uniform(0, 0.01))
            if not self.seen.submitted:
                continue
            row = await store.task(luck.choice(self.seen.submitted)[1].task_id)
            if row.fence is None:
                continue
            write = Write(
                lease=Lease(row.id, row.fence, row.worker_id), first_seq=row.last_seq + 1, events=[self._block()]
            )
            if luck.random() < 0.3:
                write = ending(write.lease, write.first_seq, TaskState.CANCELLED)
            elif row.worker_id is not None:
                continue
            await self._commit(store, [write])

    async def _finish(self, store: Store) -> None:
        """One round must do: whatever nobody owns is claimable as soon as it is told something."""
        for worker_id in self._workers:
            await store.expire_worker(worker_id)
        await self._sweep_once(store)
        left = [row.id for row in await store.tasks(TaskFilter(limit=1000)) if not row.status.is_terminal]
        for task_id in left:
            await self._tell(store, random.Random(0), task_id, key="the end")
        worker_id = await self._register(store)
        claims = list(await store.claim(worker_id, 1000))
        while (suspect := await store.claim_suspect(worker_id)) is not None:
            claims.append(suspect)
        self.seen.claims += claims
        for claim in claims:
            end = len(await store.journal(claim.lease.task_id))
            await self._commit(store, [ending(claim.lease, end + 1)])
        await store.deregister_worker(worker_id)
