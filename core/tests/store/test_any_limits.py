"""Whatever is submitted, limited, claimed and ended: limits hold, what may run is not left, order is kept."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from agentplat.contracts.limits import Limit
from agentplat.contracts.store import Claim, NewTask, Store
from agentplat.domain.ids import TaskId, WorkerId

from .making import ending, new_task, working
from .playing import World

TENANTS, KEYS = ("east", "north", "west"), (None, "a", "b")

_tasks = st.lists(
    st.tuples(st.sampled_from(TENANTS), st.sampled_from(KEYS), st.integers(0, 2)), min_size=1, max_size=25
)
_limits = st.dictionaries(
    st.tuples(st.sampled_from(TENANTS), st.sampled_from(("", "a", "b"))), st.integers(0, 3), max_size=5
)
_weights = st.dictionaries(st.sampled_from(TENANTS), st.integers(1, 4), max_size=3)
_moves = st.lists(st.one_of(st.integers(1, 6), st.sampled_from(["end one", "end all", "more"])), max_size=12)


class Book:
    """What waits and what runs, as the test knows it."""

    def __init__(self, limits: dict[tuple[str, str], int]) -> None:
        self.limits = limits
        self.waiting: dict[TaskId, NewTask] = {}
        self.running: dict[TaskId, tuple[NewTask, Claim]] = {}

    def room(self, tenant: str, key: str | None) -> bool:
        return all(
            self.counted(tenant, name) < self.limits[tenant, name]
            for name in {"", key or ""}
            if (tenant, name) in self.limits
        )

    def counted(self, tenant: str, key: str) -> int:
        tasks = [task for task, _ in self.running.values() if task.tenant == tenant]
        return sum(key in ("", task.concurrency_key) for task in tasks)

    def claimed(self, claims: Sequence[Claim]) -> None:
        for claim in claims:
            task = self.waiting.pop(claim.lease.task_id)
            self.running[task.id] = (task, claim)
        for (tenant, key), most in self.limits.items():
            assert self.counted(tenant, key) <= most, (tenant, key)
        for task, claim in (self.running[claim.lease.task_id] for claim in claims):
            # Of what is alike in everything that a limit can name, the best was taken.
            lane = (task.tenant, task.concurrency_key)
            alike = [other for other in self.waiting.values() if (other.tenant, other.concurrency_key) == lane]
            assert all((-other.priority, other.id) > (-task.priority, task.id) for other in alike)
            assert claim.tenant == task.tenant


async def play(store: Store, tasks: Any, limits: Any, weights: Any, moves: Any) -> None:
    book = Book(limits)
    for tenant in TENANTS:
        if tenant in weights or (tenant, "") in limits:
            values = {"weight": weights.get(tenant), "at_once": limits.get((tenant, ""))}
            await store.set_limit(Limit(tenant=tenant, **values), "somebody")
    for (tenant, key), most in limits.items():
        if key:
            await store.set_limit(Limit(tenant=tenant, key=key, at_once=most), "somebody")
    worker_id = await working(store)

    async def submit() -> None:
        made = [new_task(tenant=t, concurrency_key=key, priority=priority) for t, key, priority in tasks]
        await store.submit(made)
        book.waiting.update((task.id, task) for task in made)

    async def end(most: int) -> None:
        for task, claim in list(book.running.values())[:most]:
            await store.commit([ending(claim.lease, 2)])
            del book.running[task.id]

    await submit()
    for move in moves:
        match move:
            case "more":
                await submit()
            case "end one":
                await end(1)
            case "end all":
                await end(1000)
            case size:
                book.claimed(await store.claim(worker_id, size))
    await drained(store, worker_id, book)


async def drained(store: Store, worker_id: WorkerId, book: Book) -> None:
    """Claim until nothing comes: then nothing is left that may run."""
    while claims := await store.claim(worker_id, 4):
        book.claimed(claims)
    left = [task for task in book.waiting.values() if book.room(task.tenant, task.concurrency_key)]
    assert not left


def test_no_limit_is_exceeded_and_nothing_that_may_run_is_left(world: World) -> None:
    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(_tasks, _limits, _weights, _moves)
    def played(tasks: Any, limits: Any, weights: Any, moves: Any) -> None:
        world.beside.clear()
        world.runner.run(play(world.stores[0], tasks, limits, weights, moves))

    played()
