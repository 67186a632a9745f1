"""A state machine that plays several workers, their sweepers, clients and administrators on one database.

After every move the database must look as the model says. Moves name workers, tasks and owners by numbers that always
find one, so any part of a history is a history too: hypothesis shortens one that went wrong, and it is kept as a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast
from uuid import UUID

from agentplat.contracts.store import (
    InboxItem,
    NewTask,
    Submitted,
    WorkerRow,
    Write,
)
from agentplat.domain.errors import ConflictError, IdempotencyMismatch, NotFound
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.task import Lease

from .comparing import compare_all, promise
from .history import REFUSED, History, ending
from .playing import HOUR, QUEUES, Move, New, Owner, Part

LEASE = 600.0
MOST_OPEN, MOST_WORKERS = 6, 4


class Machine(History):
    """The moves. One that cannot be made yet makes another first, so that none is for nothing."""

    def live(self, moves: Sequence[Move]) -> None:
        """Make the moves, and then compare everything once more, as the store itself shows it."""
        self.start_worker()
        made: list[Move] = []
        try:
            for name, arguments in moves:
                made.append((name, arguments))
                getattr(self, name)(**arguments)
            self.world.runner.run(compare_all(self.book, self.store))
        except Exception as error:
            error.add_note(f"Machine(world).live({made})")
            raise

    # --- clients -------------------------------------------------------------------------------------------

    def submit(self, new: Sequence[New] = (New(),)) -> None:
        if sum(entry.end is None for entry in self.book.tasks.values()) >= MOST_OPEN:
            self.sweep()
            return
        tasks = [
            NewTask(
                id=TaskId(UUID(int=self.number())),
                tenant="north",
                type="agent:writer",
                input={"body": each.body},
                trace_id="0" * 32,
                queue=each.queue,
                priority=each.priority,
                delay=HOUR if each.delayed else 0.0,
                idempotency_key=each.key,
                fingerprint=each.body if each.key else None,
            )
            for each in new
        ]

        async def submit() -> Sequence[Submitted] | None:
            try:
                return await self.store.submit(tasks)
            except IdempotencyMismatch:
                return None

        result = self.play(submit())
        wanted = self.book.submit(tasks)
        found = None if result is None else [(each.task_id, each.created) for each in result]
        self.struck("a key with another body" if wanted is None else "a submission")
        self.struck("a key again", sum(not created for _, created in wanted or ()))
        promise(found == wanted, f"submitted: {found}, wanted {wanted}")
        self.compare()

    def tell(self, task: int, kind: Literal["signal", "cancel"], key: str) -> None:
        if not self.book.tasks:
            self.submit()
            return
        task_id = TaskId(UUID(int=1)) if task == 9 else self.task_id(task)
        name, payload = ("", "on request") if kind == "cancel" else ("go", {"key": key})
        item = InboxItem(
            id=UUID(int=self.number()),
            task_id=task_id,
            kind=kind,
            key="cancel" if kind == "cancel" else key,
            name=name,
            payload=payload,
        )

        async def tell() -> bool | str:
            try:
                return await self.store.tell(item)
            except (NotFound, ConflictError) as error:
                return type(error).__name__

        result = self.play(tell())
        nobody = "ConflictError" if task_id in self.book.tasks else "NotFound"
        before = self.book.tasks.get(task_id)
        self.struck("a delayed task is told", before is not None and before.due == "later" and before.worker is None)
        wanted = self.book.tell(item)
        self.struck(f"told: {wanted}")
        promise(result == (nobody if wanted is None else wanted), f"told: {result}, wanted {wanted or nobody}")
        self.compare()

    def let_time_pass(self) -> None:
        """All that waits for a time has waited long enough."""
        self.world.beside.let_time_pass()
        self.play()
        self.book.let_time_pass()
        self.compare()

    # --- workers -------------------------------------------------------------------------------------------

    def start_worker(self) -> None:
        if len(self.book.workers) >= MOST_WORKERS:
            self.sweep()
            return
        worker_id = WorkerId(UUID(int=self.number()))
        row = WorkerRow(id=worker_id, host="here", pid=1, version="0.1.0", capacity=4, plugins={})
        self.workers.insert(0, worker_id)
        self.play(self.store.register_worker(row, LEASE))
        self.book.register(worker_id)
        self.compare()

    def claim(
        self, worker: int, limit: int = 1, queues: Sequence[str] = QUEUES, suspects: bool = False, begin: bool = True
    ) -> None:
        if not self.book.workers:
            self.start_worker()
        claimed = self._claim(self.worker(worker), limit, queues, suspects)
        if begin and claimed:
            self.commit([Part(who=number, events=("claimed", "started")) for number in range(claimed)])

    def _claim(self, worker_id: WorkerId, limit: int, queues: Sequence[str], suspects: bool) -> int:
        before = self.sight
        if suspects:
            one = self.play(self.store.claim_suspect(worker_id, queues=queues))
            claims, limit = [one] if one else [], 1
        else:
            claims = list(self.play(self.store.claim(worker_id, limit, queues=queues)) or ())

        def run_at(task_id: TaskId) -> int:
            return cast(int, before.tasks[task_id].run_at)

        wanted = self.book.claim(worker_id, limit, queues, run_at, suspects=suspects)
        found = [(claim.lease, claim.suspect) for claim in claims]
        expected = [(Lease(entry.task.id, entry.fence, worker_id), suspects) for entry in wanted]
        self.struck("a suspect is claimed" if suspects else "a task is claimed", len(expected))
        promise(found == expected, f"claimed: {found}, wanted {expected}")
        self.compare()
        for entry in wanted:
            lease = Lease(entry.task.id, entry.fence, worker_id)
            self.owners.insert(0, Owner(lease, end=len(entry.journal)))
        return len(wanted)

    def commit(self, parts: Sequence[Part]) -> None:
        if not self.owners:
            self.submit()
            return
        chosen: dict[TaskId, tuple[Owner, Part]] = {}
        for part in parts:
            owner = self.owner(part.who)
            chosen.setdefault(owner.lease.task_id, (owner, part))
        writes = [self.write_of(owner, part) for owner, part in chosen.values()]
        spoiled = {task_id for task_id, (_, part) in chosen.items() if part.spoiled}
        verdicts = self.write_all(writes, spoiled)
        for (owner, part), write, verdict in zip(chosen.values(), writes, verdicts, strict=True):
            if part.forged == "no":
                owner.last = write
            self.learn(owner, write, verdict)

    def repeat(self, who: int) -> None:
        """An owner writes the same once more, as after an answer that was lost."""
        written = [owner for owner in self.owners if owner.last is not None]
        if not written:
            self.submit()
            return
        owner = written[who % len(written)]
        assert owner.last is not None
        [verdict] = self.write_all([owner.last], {owner.lease.task_id} if owner.last.usage == REFUSED else set())
        self.learn(owner, owner.last, verdict)

    def read(self, who: Sequence[int]) -> None:
        if not self.owners:
            self.submit()
            return
        owners = {(owner := self.owner(number)).lease.task_id: owner for number in who}
        leases = [owner.lease for owner in owners.values()]
        found = self.play(self.store.inbox(leases))
        held = {lease.task_id for lease in leases if self.book.tasks[lease.task_id].holds(lease)}
        self.struck("a stale owner reads", len(leases) - len(held))
        wanted = self.book.read(leases)
        promise(list(found or ()) == list(wanted), f"read: {found}, wanted {wanted}")
        self.compare()
        for task_id in held:
            owners[task_id].read = [item for item in wanted if item.task_id == task_id]

    def look(self, worker: int) -> None:
        found = self.play(self.store.woken(self.worker(worker)))
        wanted = self.book.woken(self.worker(worker))
        promise(sorted(found or ()) == sorted(wanted), f"woken: {found}, wanted {wanted}")
        self.compare()

    def expire(self, worker: int, comes_back: bool) -> None:
        """A lease ends, and nobody has noticed yet."""
        worker_id = self.worker(worker)
        self.world.beside.expire(worker_id)
        self.play()
        self.book.expire(worker_id)
        self.compare()
        if comes_back:
            self._claim(worker_id, 1, QUEUES, suspects=False)
            self._renew(worker_id, by_keeper=True)

    def renew(self, worker: int, by_keeper: bool) -> None:
        self._renew(self.worker(worker, ended_first=True), by_keeper)

    def _renew(self, worker_id: WorkerId, by_keeper: bool) -> None:
        found: bool | None
        if by_keeper:
            found = self.world.keeper.renew(worker_id, LEASE)
            self.play()
        else:
            found = self.play(self.store.renew_worker(worker_id, LEASE))
        self.struck("an ended lease is renewed", self.book.workers.get(worker_id, False))
        wanted = self.book.renew(worker_id)
        promise(found == wanted, f"renewed: {found}, wanted {wanted}")
        self.compare()

    def leave(self, worker: int) -> None:
        self.play(self.store.deregister_worker(self.worker(worker)))
        self.struck("a task is left in good order", self.book.remove(self.worker(worker), dead=False))
        self.compare()

    # --- the end of others ---------------------------------------------------------------------------------

    def kill(self, worker: int, blame: int | None, by_keeper: bool) -> None:
        """A worker is known to be dead; perhaps a step of it is to blame."""
        worker_id = self.worker(worker)
        owned = [task_id for task_id, entry in self.book.tasks.items() if entry.worker == worker_id]
        task_id = None
        if blame is not None and self.book.tasks:
            task_id = owned[blame % len(owned)] if owned else self.task_id(blame)
        if by_keeper:
            self.world.keeper.expire(worker_id, task_id)
            self.play()
        else:
            self.play(self.store.expire_worker(worker_id, blame=task_id))
        self.struck("a step is to blame", task_id in owned)
        self.book.remove(worker_id, dead=True, blame=task_id)
        self._count_the_poisoned()
        self.compare()

    def crash(self, times: int) -> None:
        """So many workers begin a task, and die: the same one, if it is a suspect from then on."""
        for _ in range(times):
            self.start_worker()
            suspects = any(entry.suspect and entry.ready for entry in self.book.tasks.values())
            self.claim(worker=0, suspects=suspects)
            self.kill(worker=0, blame=None, by_keeper=False)

    def sweep(self) -> None:
        swept = self.play(self.store.sweep())
        wanted = self.book.sweep()
        assert swept is not None
        self._count_the_poisoned()
        self.struck("a worker is swept", len(wanted.workers))
        self.struck("a sweep wakes", wanted.woken)
        found = (set(swept.workers), swept.returned, swept.woken, list(swept.poisoned))
        expected = (wanted.workers, wanted.returned, wanted.woken, list(wanted.poisoned))
        promise(found == expected, f"swept: {found}, wanted {expected}")
        soon = {"lease": LEASE, "timer": HOUR, None: None}[wanted.next]
        left = swept.next_expiry
        near = left is soon is None or (left is not None and soon is not None and soon / 2 < left <= soon)
        promise(near, f"the next expiry is in {left} s, wanted about {soon}")
        self.compare()

    def write_by_hand(self, task: int, closing: str, stale: int) -> None:
        """A sweeper or an administrator writes about a task that nobody owns, as it believes."""
        if all(entry.end is not None for entry in self.book.tasks.values()):
            self.submit()
            return
        entry = self.book.tasks[self.task_id(task)]
        self.struck("a poisoned task is ended", closing != "keep" and entry.is_poisoned)
        lease = Lease(entry.task.id, entry.fence - stale, None)
        write = Write(lease=lease, first_seq=len(entry.journal) + 1, events=[self.event("block", None)])
        if closing != "keep":
            write = ending(write, closing)
        self.write_all([write], set())

    def _count_the_poisoned(self) -> None:
        self.struck("a task is poisoned", sum(entry.is_poisoned for entry in self.book.tasks.values()))
