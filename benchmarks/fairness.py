"""What it costs to claim where many tenants wait, and whether each gets its share, on PostgreSQL.

    python benchmarks/fairness.py                                       # 1,000 tenants with 100,000 waiting tasks
    python benchmarks/fairness.py --tenants 3 --claimers 8 --size 1
    python benchmarks/fairness.py --at-once 5                           # every tenant under a limit

A third of the tenants has the weight 1, a third 2, a third 5. The tasks are claimed and ended at once, by so many
claimers at one time. What matters for fairness is measured while every tenant still has tasks: that is checked. Without
--database-url a server of its own is started, with 128 MB of shared buffers, which waits for the disk at every commit.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

import psycopg
from agentplat_migrations.schema import upgrade
from agentplat_testkit.postgres import PostgresServer

from agentplat.contracts.limits import Limit
from agentplat.contracts.store import Claim, End, Store, WorkerRow, Write
from agentplat.domain.events import TaskFinished
from agentplat.domain.ids import WorkerId
from agentplat.domain.task import TaskState
from agentplat.store.address import Address
from agentplat.store.connect import open_store

WEIGHTS = (1, 2, 5)
WARM = 5
FILLED = """
with made as materialized (
    select n, 'tenant-' || lpad((n %% %(tenants)s)::text, 5, '0') as tenant,
           ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as id,
           clock_timestamp() - interval '1 hour' + n * interval '1 ms' as at
    from generate_series(1, %(waiting)s) as n
), filled_queue as (
    insert into agentplat.queue (task_id, tenant_id, queue, concurrency_key, priority, run_at, ready, wake, fence,
                                 under_way, suspect, crashes)
    select id, tenant, 'default', '', 0, at, true, false, 0, false, false, 0 from made
), filled_journal as (
    insert into agentplat.journal (task_id, seq, tenant_id, fence, at, kind, content)
    select id, 1, tenant, 0, at, 'task_submitted', '{"type": "agent:bench", "input": {}}' from made
)
insert into agentplat.tasks (id, tenant_id, type, status, input, trace_id, input_tokens, output_tokens, created_at,
                             updated_at)
select id, tenant, 'agent:bench', 'open', '{"topic": "tea"}', repeat('0', 32), 0, 0, at, at from made"""


async def main(url: str, given: argparse.Namespace) -> None:
    """Fill, claim, and print."""
    upgrade(url)
    tenants = [f"tenant-{number:05}" for number in range(given.tenants)]
    weights = {tenant: WEIGHTS[number % len(WEIGHTS)] for number, tenant in enumerate(tenants)}
    with psycopg.connect(Address.parse(url).libpq, autocommit=True) as connection:
        connection.execute(FILLED, {"tenants": given.tenants, "waiting": given.waiting})
        connection.execute("vacuum analyze")
    store = open_store(url)
    await store.open()
    for tenant, weight in weights.items():
        await store.set_limit(Limit(tenant=tenant, weight=weight, at_once=given.at_once), "benchmark")
    # Until the tenants of the greatest weight have a quarter left, so that everybody always has tasks.
    shares = sum(weights.values())
    most = int(given.waiting / given.tenants / max(WEIGHTS) * shares * 0.75)
    took: list[float] = []
    served: Counter[str] = Counter()
    await asyncio.gather(*(claim_and_end(url, given, most, took, served) for _ in range(given.claimers)))
    await store.close()
    took.sort()
    ratios = [served[tenant] / weight / (served.total() / shares) for tenant, weight in weights.items()]
    p50, p99 = (took[int(len(took) * part)] for part in (0.5, 0.99))
    print(f"{given.tenants} tenants, {given.waiting} waiting, {given.claimers} claimers of {given.size}")
    print(f"claims {len(took)}, tasks {served.total()}; ms: least {took[0]:.2f}, p50 {p50:.2f}, p99 {p99:.2f}")
    print(f"service to weight, 1 is fair: {min(ratios):.3f} to {max(ratios):.3f}")


async def claim_and_end(
    url: str, given: argparse.Namespace, most: int, took: list[float], served: Counter[str]
) -> None:
    """One worker; it notes how long each claim took and whom it served."""
    store = open_store(url)
    await store.open()
    worker_id = WorkerId(uuid4())
    row = WorkerRow(id=worker_id, host="here", pid=1, version="0.1.0", capacity=given.size, plugins={})
    await store.register_worker(row, 3600.0)
    held: list[Sequence[Claim]] = []
    for number in range(10**9):
        if served.total() >= most:
            break
        began = time.perf_counter()
        claims = await store.claim(worker_id, given.size)
        if number >= WARM:
            took.append((time.perf_counter() - began) * 1000)
        served.update(claim.tenant for claim in claims)
        held.append(claims)
        if len(held) > given.behind:
            await end(store, held.pop(0))
    await store.close()


async def end(store: Store, claims: Sequence[Claim]) -> None:
    """All of them are done."""
    finished = TaskFinished(status="done", output={}, failure=None)
    closing = End(status=TaskState.DONE, output={}, failure=None)
    await store.commit([Write(lease=claim.lease, first_seq=2, events=[finished], closing=closing) for claim in claims])


@contextmanager
def database(given: str | None) -> Iterator[str]:
    """The named database, or one of a server that is there for as long as the block lasts."""
    if given is not None:
        yield given
        return
    with PostgresServer(durable=True, settings={"shared_buffers": "128MB"}) as server:
        yield server.url()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", help="an empty database")
    parser.add_argument("--tenants", type=int, default=1000)
    parser.add_argument("--waiting", type=int, default=100_000)
    parser.add_argument("--claimers", type=int, default=4)
    parser.add_argument("--size", type=int, default=10, help="of a claim")
    parser.add_argument("--behind", type=int, default=1, help="so many claims are held while another is made")
    parser.add_argument("--at-once", type=int, help="the limit of each tenant")
    arguments = parser.parse_args()
    with database(arguments.database_url) as url:
        asyncio.run(main(url, arguments))
