"""The partitions of journal and calls on PostgreSQL: one a month, made ahead of time and dropped whole.

Task ids are UUIDv7, so a range of ids is a range of time. What no month takes goes into the DEFAULT partition: an
insert never fails for want of one. Every function is part of the caller's transaction, and needs the owner's rights.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import Connection, text

from agentplat.store.tables import LATE, SCHEMA, calls, journal

TABLES = (journal.name, calls.name)  # in this order, as everywhere: a commit writes the journal first
AHEAD = 2
"""So many months after the present one have a partition."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEGINNING = UUID(int=0)
_BOUND = re.compile(r"FROM \((?:MINVALUE|'([0-9a-f-]{36})')\) TO \('([0-9a-f-]{36})'\)")
_CLOCK = text("SELECT clock_timestamp()")
_OWNED = text(
    f"SELECT pg_has_role(relowner, 'USAGE') AND has_schema_privilege('{SCHEMA}', 'CREATE') "  # noqa: S608
    "FROM pg_class WHERE oid = CAST(:parent AS regclass)"
)
_PARTITIONS = text(
    "SELECT c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound "
    "FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
    "WHERE i.inhparent = CAST(:parent AS regclass)"
)
_WANTED = text(
    f"SELECT EXISTS (SELECT FROM {SCHEMA}.queue WHERE task_id >= :low AND task_id < :high) OR "  # noqa: S608
    f"EXISTS (SELECT FROM {SCHEMA}.tasks WHERE id >= :low AND id < :high "
    f"AND {LATE} AND finished_at > :cutoff)"
)


@dataclass(frozen=True, slots=True)
class Partition:
    """The ids from `low` on, up to but without `high`, of one table."""

    name: str
    low: UUID
    high: UUID


@dataclass(frozen=True, slots=True)
class Month:
    year: int
    month: int

    @property
    def first(self) -> UUID:
        return first_id(datetime(self.year, self.month, 1, tzinfo=UTC))

    def after(self, months: int) -> Month:
        count = self.year * 12 + self.month - 1 + months
        return Month(count // 12, count % 12 + 1)

    def of(self, table: str) -> Partition:
        """What holds this month's rows of `table`."""
        return Partition(f"{table}_{self.year:04}_{self.month:02}", self.first, self.after(1).first)


def first_id(at: datetime) -> UUID:
    """The least UUIDv7 of that moment: ids below it are older."""
    return UUID(int=((at - _EPOCH) // (datetime.resolution * 1000)) << 80)


def are_ours(connection: Connection) -> bool:
    """Whether this role may make and drop partitions."""
    return all(connection.execute(_OWNED, {"parent": f"{SCHEMA}.{table}"}).scalar_one() for table in TABLES)


def present(connection: Connection, table: str) -> Sequence[Partition]:
    """The partitions of `table` from the oldest on, without the DEFAULT one."""
    rows = connection.execute(_PARTITIONS, {"parent": f"{SCHEMA}.{table}"})
    bounds = {row.name: _BOUND.search(row.bound) for row in rows}
    found = [
        Partition(name, UUID(bound[1]) if bound[1] else _BEGINNING, UUID(bound[2]))
        for name, bound in bounds.items()
        if bound is not None
    ]
    return sorted(found, key=lambda partition: partition.high)


def missing(connection: Connection) -> Sequence[tuple[str, Partition]]:
    """Each partition that should be there and is not, with its table: of this month and of those ahead."""
    at: datetime = connection.execute(_CLOCK).scalar_one().astimezone(UTC)
    months = [Month(at.year, at.month).after(number) for number in range(AHEAD + 1)]
    found = []
    for table in TABLES:
        known = present(connection, table)
        found += [
            (table, month.of(table))
            for month in months
            if not any(each.low <= month.first < each.high for each in known)
        ]
    return found


def make(connection: Connection, table: str, partition: Partition, *, at_most: int | None = None) -> bool:
    """Whether the partition was made: not if more than `at_most` of its rows are in the DEFAULT one by now.

    Rows that are there are moved, under a lock, so that none comes in between. The new table is attached, which does
    not wait for readers and writers of the other partitions, as making it in place would.
    """
    new, default = f"{SCHEMA}.{partition.name}", f"{SCHEMA}.{table}_default"
    bounds = {"low": partition.low, "high": partition.high}
    within = "task_id >= :low AND task_id < :high"
    connection.execute(text(f"LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE"))
    if at_most is not None:
        some = text(f"SELECT count(*) FROM (SELECT FROM {default} WHERE {within} LIMIT :most) AS found")  # noqa: S608
        if connection.execute(some, {**bounds, "most": at_most + 1}).scalar_one() > at_most:
            return False
    connection.execute(text(f"CREATE TABLE {new} (LIKE {SCHEMA}.{table} INCLUDING ALL EXCLUDING INDEXES)"))
    move = f"WITH moved AS (DELETE FROM {default} WHERE {within} RETURNING *) INSERT INTO {new} TABLE moved"  # noqa: S608
    connection.execute(text(move), bounds)
    values = f"FROM ('{partition.low}') TO ('{partition.high}')"
    connection.execute(text(f"ALTER TABLE {SCHEMA}.{table} ATTACH PARTITION {new} FOR VALUES {values}"))
    return True


def make_missing(connection: Connection) -> None:
    """Make every partition that should be there, however many rows have to be moved for it."""
    for table, partition in missing(connection):
        make(connection, table, partition)


def ending(connection: Connection, high: UUID) -> Sequence[Partition]:
    """The partitions of journal and calls that end at `high`."""
    return [each for table in TABLES for each in present(connection, table) if each.high == high]


def is_wanted(connection: Connection, high: UUID, cutoff: datetime) -> bool:
    """Whether a task in the partitions that end at `high` is open, or ended after `cutoff`."""
    low = min((each.low for each in ending(connection, high)), default=high)
    wanted: bool = connection.execute(_WANTED, {"low": low, "high": high, "cutoff": cutoff}).scalar_one()
    return wanted


def drop(connection: Connection, high: UUID, cutoff: datetime) -> Sequence[str]:
    """The names of the partitions that end at `high`: they were dropped. None were, if they are wanted.

    The look comes after the locks: whoever submits a task of that time holds one of them already and is waited for, or
    comes later and writes to the DEFAULT partition.
    """
    connection.execute(text(f"LOCK TABLE ONLY {SCHEMA}.journal, ONLY {SCHEMA}.calls IN ACCESS EXCLUSIVE MODE"))
    if is_wanted(connection, high, cutoff):
        return ()
    names = [each.name for each in ending(connection, high)]
    for name in names:
        connection.execute(text(f"DROP TABLE {SCHEMA}.{name}"))
    return names
