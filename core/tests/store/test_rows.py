"""What the tables themselves refuse, whoever writes."""

import sqlite3

import psycopg
import pytest

from agentplat.contracts.store import Store

from .making import submitted, working
from .outside import execute

SENSELESS_QUEUE_ROWS = [
    "ready = true, worker_id = :worker_id, claim_id = :worker_id, fence = 1",
    "ready = false, worker_id = :worker_id, claim_id = :worker_id, fence = 0",
    "ready = false, worker_id = :worker_id, claim_id = null, fence = 1",
    "claim_id = :worker_id",
    "ready = true, run_at = null",
    "ready = false, under_way = true",
    "ready = false, wake = true",
    "crashes = 3",
    "crashes = -1",
    "fence = -1",
]
SENSELESS_TASKS = [
    "status = 'running'",
    "status = 'done'",
    "finished_at = created_at",
    "output = '{}'",
    "status = 'error', finished_at = created_at",
    "status = 'done', finished_at = created_at, failure = '{}'",
    "cost = -1",
    "input_tokens = -1",
]


REFUSED = (psycopg.errors.IntegrityError, sqlite3.IntegrityError)


async def test_a_queue_row_that_makes_no_sense_is_refused(store: Store, database_url: str) -> None:
    await submitted(store)
    worker_id = await working(store)
    for values in SENSELESS_QUEUE_ROWS:
        with pytest.raises(REFUSED, match="ck_queue"):
            execute(database_url, f"update agentplat.queue set {values}", worker_id=worker_id)


async def test_a_task_that_makes_no_sense_is_refused(store: Store, database_url: str) -> None:
    await submitted(store)
    for values in SENSELESS_TASKS:
        with pytest.raises(REFUSED, match="ck_tasks"):
            execute(database_url, f"update agentplat.tasks set {values}")


async def test_a_row_that_is_there_already_is_refused(store: Store, database_url: str) -> None:
    await submitted(store)
    event = "task_id, {seq}, tenant_id, fence, at, kind, content from agentplat.journal"
    rows = ["queue select * from agentplat.queue", *(f"journal select {event}".format(seq=seq) for seq in (0, 1))]
    for row in rows:
        with pytest.raises(REFUSED):
            execute(database_url, f"insert into agentplat.{row}")
