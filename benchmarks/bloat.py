"""What history, a deep queue and a pinned xmin cost a claim, on PostgreSQL.

    python benchmarks/bloat.py depth --waiting 10000 1000000 --history 0 5000000
    python benchmarks/bloat.py pin --seconds 120 --rate 200
    python benchmarks/bloat.py pin --seconds 120 --rate 200 --tenants 50
    python benchmarks/bloat.py pin --seconds 120 --rate 200 --no-pin     # the same load without the fault

Without --database-url a server of its own is started, which waits for the disk at every commit. The named database must
be empty: it is upgraded, filled, and left behind. Beside the times stands how many pages one claim touches, which does
not move with the load of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from itertools import count, cycle
from typing import Any, cast
from uuid import uuid4

import psycopg
from agentplat_migrations.schema import upgrade
from agentplat_testkit.postgres import PostgresServer
from uuid_utils.compat import uuid7

from agentplat.contracts.store import Claim, End, NewTask, Store, WorkerRow, Write
from agentplat.domain.events import TaskFinished
from agentplat.domain.ids import TaskId, WorkerId
from agentplat.domain.task import TaskState
from agentplat.store.address import Address
from agentplat.store.connect import open_store
from agentplat.store.sql_store import SqlStore
from agentplat.store.statements import statement

BATCH = 100
ROUNDS, WARM = 52, 2  # the first ones make connections and fill caches
TAKEN = "n, least, p50, p99 ms"
EVERY = 10.0  # seconds between two lines of `pin`
CHUNK = 250_000

# One task a second, over and over through the same months, so that none is in the future.
MADE = """
with numbered as (
    select n, clock_timestamp() - interval '60 days' + n %% 5000000 * interval '1 second' as at
    from generate_series(%(first)s::bigint, %(last)s::bigint) as n
), made as materialized (
    select n, (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70008'
               || lpad(to_hex(n), 15, '0'))::uuid as id, at
    from numbered
), """
FINISHED = (
    MADE
    + """filled_journal as (
    insert into agentplat.journal (task_id, seq, tenant_id, fence, at, kind, content)
    select id, seq, 'default', 1, at, kind, '{"type": "agent:bench", "input": {}}'
    from made, (values (1, 'task_submitted'), (2, 'task_finished')) as events (seq, kind)
)
insert into agentplat.tasks (id, tenant_id, type, status, input, output, trace_id, input_tokens, output_tokens,
                             created_at, updated_at, finished_at)
select id, 'tenant' || n %% 100, 'agent:bench', 'done', '{"topic": "tea"}', '{}', repeat('0', 32), 0, 0, at, at, at
from made"""
)
WAITING = (
    MADE
    + """filled_queue as (
    insert into agentplat.queue (task_id, tenant_id, queue, concurrency_key, priority, run_at, ready, wake, fence,
                                 under_way, suspect, crashes)
    select id, 'default', 'default', '', 0, at, true, false, 0, false, false, 0 from made
), filled_journal as (
    insert into agentplat.journal (task_id, seq, tenant_id, fence, at, kind, content)
    select id, 1, 'default', 0, at, 'task_submitted', '{"type": "agent:bench", "input": {}}' from made
)
insert into agentplat.tasks (id, tenant_id, type, status, input, trace_id, input_tokens, output_tokens,
                             created_at, updated_at)
select id, 'tenant' || n %% 100, 'agent:bench', 'open', '{"topic": "tea"}', repeat('0', 32), 0, 0, at, at
from made"""
)
SIZES = """
select (select sum(n_dead_tup) from pg_stat_user_tables where relname = 'queue'),
       pg_relation_size('agentplat.queue') / 1048576.0,
       (select sum(pg_relation_size(indexrelid)) from pg_index where indrelid = 'agentplat.queue'::regclass) / 1048576.0
"""


# Of a claim that is undone: what `claim.sql` touches now, by its own account.
TOUCHED = "explain (analyze, buffers, timing off, format json) "


class Measured:
    """Times of one statement, in milliseconds."""

    def __init__(self) -> None:
        self.times: list[float] = []

    @contextmanager
    def one(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.times.append((time.perf_counter() - began) * 1000)

    def taken(self) -> str:
        """Number, least, median and 99th percentile since the last call."""
        times, self.times = sorted(self.times) or [0.0], []
        shown = (times[0], times[len(times) // 2], times[len(times) * 99 // 100])
        return f"{len(times):5}" + "".join(f" {each:7.2f}" for each in shown)


async def depth(url: str, waiting: Sequence[int], history: Sequence[int]) -> None:
    """Claim and finish 1,000 tasks, by 100, with so many waiting and so many finished."""
    say(f"waiting  finished | claim of {BATCH} ({TAKEN}, pages) | commit of {BATCH} ends ({TAKEN})")
    async with opened(url) as store:
        worker_id = await registered(store)
        finished = ready = number = 0
        for wanted in sorted(history):
            number = fill(url, FINISHED, number, wanted - finished)
            finished = wanted
            for depth in sorted(waiting):
                number = fill(url, WAITING, number, depth - ready)
                ready = max(ready, depth)
                claims, commits = Measured(), Measured()
                for round_ in range(ROUNDS):
                    if round_ == WARM:
                        claims.times, commits.times = [], []
                    with claims.one():
                        found = await store.claim(worker_id, BATCH)
                    with commits.one():
                        await store.commit([ending(claim) for claim in found])
                ready -= ROUNDS * BATCH
                with psycopg.connect(Address.parse(url).libpq, autocommit=True) as session:
                    touched = pages(session, worker_id)
                say(f"{depth:7} {finished:9} | {claims.taken()} {touched:6} | {commits.taken()}")
            with psycopg.connect(Address.parse(url).libpq, autocommit=True) as session:
                session.execute("delete from agentplat.queue")
                session.execute("vacuum agentplat.queue")
            ready = 0


async def pin(url: str, seconds: float, rate: float, tenants: int, *, pinned: bool) -> None:
    """Submit, claim and finish `rate` tasks a second of so many tenants, while a transaction holds xmin back."""
    claims, full, ends, polls, sweeps = Measured(), Measured(), Measured(), Measured(), Measured()
    say(
        f"    s | claim ({TAKEN}) | from the start ({TAKEN}, pages) "
        "| commit | woken | sweep | waiting | dead | table, indexes MB"
    )
    address = Address.parse(url).libpq
    holder = psycopg.connect(address) if pinned else nullcontext()
    async with opened(url) as store:
        worker_id = await registered(store)
        with holder, psycopg.connect(address, autocommit=True) as session:
            if isinstance(holder, psycopg.Connection):
                holder.execute("set transaction isolation level repeatable read")
                holder.execute("select count(*) from agentplat.workers")
            beside = [
                asyncio.create_task(submitting(store, rate, tenants)),
                asyncio.create_task(working(store, worker_id, claims, full, ends)),
                asyncio.create_task(polling(store, worker_id, polls, sweeps)),
            ]
            began = time.monotonic()
            while (passed := time.monotonic() - began) < seconds:
                await asyncio.wait(beside, timeout=EVERY, return_when=asyncio.FIRST_COMPLETED)
                for task in beside:
                    if task.done():
                        task.result()
                dead, table, indexes = session.execute(SIZES).fetchone() or (0, 0, 0)
                [ready] = session.execute("select count(*) from agentplat.queue where ready").fetchone() or (0,)
                line = (
                    claims.taken(),
                    "|",
                    full.taken(),
                    f"{pages(session, worker_id)} |",
                    ends.taken(),
                    "|",
                    polls.taken(),
                    "|",
                    sweeps.taken(),
                )
                say(f"{passed + EVERY:5.0f} | {' '.join(line)} | {ready:7} | {dead:6} | {table:.1f} {indexes:.1f}")
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)


async def submitting(store: Store, rate: float, tenants: int) -> None:
    """Tasks at an even rate, in small groups, of one tenant after the other."""
    group = max(int(rate / 20), 1)
    due = time.monotonic()
    names = cycle([f"tenant{number}" for number in range(tenants)])
    while True:
        await store.submit([new_task(next(names)) for _ in range(group)])
        due += group / rate
        await asyncio.sleep(max(due - time.monotonic(), 0))


async def working(store: SqlStore, worker_id: WorkerId, claims: Measured, full: Measured, ends: Measured) -> None:
    """Claim what is there, end it, and look again.

    One claim of ten is made by a store that has made none before, and so looks from the start whatever it costs.
    """
    database = store._database  # noqa: SLF001 - its connections are the same
    for number in count():
        measured, by = (full, SqlStore(database)) if number % 10 == 9 else (claims, store)
        with measured.one():
            found = await by.claim(worker_id, BATCH)
        if found:
            with ends.one():
                await store.commit([ending(claim) for claim in found])
        await asyncio.sleep(0.02)


async def polling(store: Store, worker_id: WorkerId, polls: Measured, sweeps: Measured) -> None:
    """What a worker asks every second."""
    while True:
        with polls.one():
            await store.woken(worker_id)
        with sweeps.one():
            await store.sweep()
        await asyncio.sleep(1)


def pages(session: psycopg.Connection[Any], worker_id: WorkerId) -> int:
    """How many pages a claim touches now. It is undone."""
    given = {"worker_id": worker_id, "claim_id": worker_id, "queue": "default", "limit": BATCH}
    asked = re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", statement("claim", "postgresql"))
    with session.transaction(force_rollback=True):
        [found] = session.execute((TOUCHED + asked).encode(), given).fetchone() or ([],)
    plan = found[0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def new_task(tenant: str) -> NewTask:
    """A task of one step."""
    return NewTask(id=TaskId(uuid7()), tenant=tenant, type="agent:bench", input={"topic": "tea"}, trace_id="0" * 32)


def ending(claim: Claim) -> Write:
    """The write that ends a claimed task."""
    return Write(
        lease=claim.lease,
        first_seq=2,
        events=[TaskFinished(status="done", output={}, failure=None)],
        closing=End(status=TaskState.DONE, output={}, failure=None),
    )


async def registered(store: Store) -> WorkerId:
    """A worker with a lease of a day."""
    worker = WorkerRow(id=WorkerId(uuid4()), host="bench", pid=1, version="0", capacity=BATCH, plugins={})
    await store.register_worker(worker, 86_400)
    return worker.id


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SqlStore]:
    """An open store."""
    store = cast(SqlStore, open_store(url))
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def fill(url: str, statement: str, number: int, count: int) -> int:
    """`count` more rows, numbered after `number`; the last number."""
    with psycopg.connect(Address.parse(url).libpq, autocommit=True) as session:
        last = number + max(count, 0)
        for first in range(number + 1, last + 1, CHUNK):
            session.execute(statement.encode(), {"first": first, "last": min(first + CHUNK - 1, last)})
            say(f"  ... {first - number - 1} of {count} rows made", end="\r")
        if count > 0:
            session.execute("vacuum (analyze) agentplat.tasks, agentplat.queue, agentplat.journal")
    return last


def say(text: str, end: str = "\n") -> None:
    """Print a line; what the next line overwrites, on a terminal only."""
    if end == "\n" or sys.stdout.isatty():
        print(text, end=end, flush=True)


@contextmanager
def database(url: str | None) -> Iterator[str]:
    """The named database, or one on a server that lives as long."""
    if url is not None:
        yield url
        return
    with PostgresServer(durable=True) as server:
        yield server.url().replace("+psycopg", "")


def main() -> None:
    """As the first lines of this file say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["depth", "pin"])
    parser.add_argument("--database-url")
    parser.add_argument("--waiting", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--history", type=int, nargs="+", default=[0, 5_000_000])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--tenants", type=int, default=1)
    parser.add_argument("--no-pin", action="store_true")
    given: Any = parser.parse_args()
    with database(given.database_url) as url:
        upgrade(url)
        if given.what == "depth":
            asyncio.run(depth(url, given.waiting, given.history))
        else:
            asyncio.run(pin(url, given.seconds, given.rate, given.tenants, pinned=not given.no_pin))


if __name__ == "__main__":
    main()
