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


@pytest.mark.parametrize("values", SENSELESS_QUEUE_ROWS)
async def test_a_queue_row_that_makes_no_sense_is_refused(store: Store, database_url: str, values: str) -> None:
    await submitted(store)
    worker_id = await working(store)
    with pytest.raises((psycopg.errors.CheckViolation, sqlite3.IntegrityError)):
        execute(database_url, f"update agentplat.queue set {values}", worker_id=worker_id)


@pytest.mark.parametrize("values", SENSELESS_TASKS)
async def test_a_task_that_makes_no_sense_is_refused(store: Store, database_url: str, values: str) -> None:
    await submitted(store)
    with pytest.raises((psycopg.errors.CheckViolation, sqlite3.IntegrityError)):
        execute(database_url, f"update agentplat.tasks set {values}")


@pytest.mark.parametrize(
    "statement",
    [
        "insert into agentplat.journal select task_id, 0, tenant_id, fence, at, kind, content from agentplat.journal",
        "insert into agentplat.journal select task_id, 1, tenant_id, fence, at, kind, content from agentplat.journal",
        "insert into agentplat.queue select * from agentplat.queue",
    ],
)
async def test_a_row_that_is_there_already_is_refused(store: Store, database_url: str, statement: str) -> None:
    await submitted(store)
    with pytest.raises((psycopg.errors.IntegrityError, sqlite3.IntegrityError)):
        execute(database_url, statement)
