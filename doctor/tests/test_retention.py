"""What retention has removed is no broken promise."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from agentplat_doctor.checks import examine
from agentplat_migrations.connection import changing
from sqlalchemy import func, select, text, update

from agentplat.contracts.stored.retention import Retention
from agentplat.store.connect import open_store
from agentplat.store.tables import SCHEMA, audit, calls, journal, submissions, tasks
from agentplat.store.transactions import partitions

from .hand import Hand, hand
from .healthy import TASKS
from .test_drills import broken

TABLES = {table.name: table for table in (journal, calls, submissions, tasks, audit)}


def _counted(hand: Hand) -> dict[str, int]:
    count = {name: select(func.count()).select_from(table) for name, table in TABLES.items()}
    return {name: hand.connection.execute(statement).scalar_one() for name, statement in count.items()}


def _end_the_first_partition(url: str) -> None:
    """As if the tasks were of a month that has passed: what is in a partition that is too young stays there."""
    values = "FROM (MINVALUE) TO"
    end = partitions.first_id(datetime(2026, 1, 1, tzinfo=UTC))
    with changing(url) as connection:
        for table in partitions.TABLES:
            parent, first = f"{SCHEMA}.{table}", f"{SCHEMA}.{partitions.present(connection, table)[0].name}"
            connection.execute(text(f"ALTER TABLE {parent} DETACH PARTITION {first}"))
            connection.execute(text(f"ALTER TABLE {first} RENAME TO {table}_2025"))
            connection.execute(
                text(f"ALTER TABLE {parent} ATTACH PARTITION {SCHEMA}.{table}_2025 FOR VALUES {values} ('{end}')")
            )
        partitions.make_missing(connection)


async def _upkeep(url: str, kept: Retention) -> set[str]:
    """The tables from which something was removed."""
    store = open_store(url)
    await store.open()
    try:
        return {table for step in [step async for step in store.upkeep(kept)] for table, n in step.rows.items() if n}
    finally:
        await store.close()


@pytest.mark.parametrize(
    ("kept", "struck"),
    [
        (Retention(history=30), {"journal", "calls"}),
        (Retention(history=30, submissions=30), {"journal", "calls", "submissions"}),
        (Retention(history=30, tasks=60, submissions=30), {"journal", "calls", "submissions", "tasks"}),
        (Retention(audit=30), {"audit"}),
        (Retention(history=30, tasks=60, submissions=30, audit=30), set(TABLES)),
    ],
    ids=["history", "history and keys", "tasks too", "audit", "everything"],
)
def test_what_was_kept_long_enough_and_removed_is_not_missed(
    healthy_url: str, kept: Retention, struck: set[str]
) -> None:
    with hand(healthy_url) as turned:
        over, past = tasks.c.finished_at.is_not(None), turned.ago(days=200)
        turned.do(update(tasks).where(over).values(created_at=past, finished_at=past))
        turned.do(update(submissions).values(created_at=past))
        ended = select(tasks.c.id).where(over)
        turned.do(update(audit).where(audit.c.task_id.in_(ended)).values(at=past))
        before = _counted(turned)

    if not healthy_url.startswith("sqlite"):
        _end_the_first_partition(healthy_url)

    assert asyncio.run(_upkeep(healthy_url, kept)) >= struck

    with hand(healthy_url) as turned:
        after = _counted(turned)
    assert all(after[name] < before[name] for name in struck)
    assert after["tasks"] > 0, "those that are not over stay"
    report = examine(healthy_url)
    assert broken(report) == {}
    assert report.tasks == after["tasks"]
    assert "tasks" in struck or report.tasks == len(TASKS)
