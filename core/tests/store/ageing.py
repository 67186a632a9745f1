"""Tasks that ended long ago, and partitions of months that have passed."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from agentplat_migrations.connection import changing, looking
from sqlalchemy import text

from agentplat.contracts.store import CallRow, Store
from agentplat.domain.ids import TaskId
from agentplat.store.transactions import partitions
from agentplat.store.transactions.partitions import Month, first_id

from .making import claimed, committed, ending, working
from .outside import execute

CALL = CallRow(path="step", try_number=1, number=1, kind="tool", name="t", status="finished", content={})
_numbers = count(1)


def id_of(at: datetime) -> TaskId:
    """A task's id of that time."""
    return TaskId(type(first_id(at))(int=first_id(at).int | 7 << 76 | 8 << 60 | next(_numbers)))


def ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def days_since_month(number: int) -> float:
    """Days since the middle of the month so many months ago: on no day of the year is that near another month."""
    now = datetime.now(UTC)
    months = now.year * 12 + now.month - 1 - number
    return (now - datetime(months // 12, months % 12 + 1, 15, tzinfo=UTC)) / timedelta(days=1)


async def ended(store: Store, url: str, days: float, *, lived: float = 0.0, **values: Any) -> TaskId:
    """A task that ended so many days ago, `lived` days after its submission: journal of 3 events, one call."""
    task_id = id_of(ago(days + lived))
    worker_id = await working(store)
    claim = await claimed(store, worker_id, id=task_id, **values)
    await store.commit([ending(claim.lease, 3, calls=[CALL])])
    await store.deregister_worker(worker_id)
    date(url, task_id, "finished_at", days)
    date(url, task_id, "created_at", days + lived)
    return task_id


async def open_since(store: Store, url: str, days: float) -> TaskId:
    """A task that was submitted so many days ago, was claimed, and is not over."""
    worker_id = await working(store)
    claim = await claimed(store, worker_id, id=id_of(ago(days)))
    await committed(store, claim.lease, 3, calls=[CALL])
    date(url, claim.lease.task_id, "created_at", days)
    return claim.lease.task_id


def date(url: str, task_id: TaskId, column: str, days: float) -> None:
    age(url, "tasks", column, days, f"id = '{task_id if url.startswith('postgresql') else task_id.hex}'")


def age(url: str, table: str, column: str, days: float, where: str = "true") -> None:
    """Set a time so many days back from now."""
    moment = (
        f"clock_timestamp() - {days} * interval '1 day'"
        if url.startswith("postgresql")
        else f"CAST((julianday('now') - 2440587.5 - {days}) * 86400000000.0 AS INTEGER)"
    )
    execute(url, f"update agentplat.{table} set {column} = {moment} where {where}")


def counted(url: str, table: str, task_id: TaskId | None = None) -> int:
    """How many rows there are, of one task if asked for."""
    column = "id" if table == "tasks" else "task_id"
    where = f"where {column} = :task_id" if task_id is not None else ""
    given = {"task_id": str(task_id)} if task_id is not None else {}
    [[number]] = execute(url, f"select count(*) from agentplat.{table} {where}", **given)
    return int(number)


def months_since(url: str, days: float) -> list[str]:
    """Divide the tables by month from so many days ago on, as years of upkeep would; the partitions of the first."""
    with changing(url) as connection:
        now: datetime = connection.execute(text("select clock_timestamp()")).scalar_one().astimezone(UTC)
        then = now - timedelta(days=days)
        first, present = Month(then.year, then.month), Month(now.year, now.month)
        kept: dict[str, set[str]] = {}
        for table in partitions.TABLES:
            oldest, *rest = partitions.present(connection, table)
            connection.execute(text(f"drop table agentplat.{oldest.name}"))
            kept[table] = {each.name for each in rest}  # more than one since a month began
            for number in range((present.year - first.year) * 12 + present.month - first.month + 1):
                partition = first.after(number).of(table)
                if partition.name not in kept[table]:
                    partitions.make(connection, table, partition)
        partitions.make_missing(connection)
        return [first.of(table).name for table in partitions.TABLES]


def partition_names(url: str) -> set[str]:
    with looking(url) as connection:
        assert connection is not None
        return {each.name for table in partitions.TABLES for each in partitions.present(connection, table)}
