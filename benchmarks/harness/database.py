"""The benchmark's PostgreSQL as an adapter sees it: fresh databases, and counters of what was done to them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from harness.processes import cpu_seconds, descendants
from harness.tally import now

HOST_VARIABLE, PORT_VARIABLE = "BENCH_PG_HOST", "BENCH_PG_PORT"
SERVERS_VARIABLE = "BENCH_SERVER_PIDS"  # of PostgreSQL and Redis, separated by blanks


def address(database: str, scheme: str = "postgresql") -> str:
    """The URL of a database of the benchmark's server."""
    return f"{scheme}://postgres@{os.environ[HOST_VARIABLE]}:{os.environ[PORT_VARIABLE]}/{database}"


class Sql:
    """One connection that commits every statement."""

    def __init__(self, database: str = "postgres") -> None:
        self._connection = psycopg.connect(address(database), autocommit=True, prepare_threshold=None)

    def rows(self, statement: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        cursor = self._connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    def one(self, statement: LiteralString, *values: Any) -> Any:
        """The first column of the first row; None when there is none."""
        rows = self.rows(statement, *values)
        return rows[0][0] if rows else None

    def script(self, text: str) -> None:
        """Several statements at once."""
        self._connection.execute(text.encode())

    def close(self) -> None:
        self._connection.close()


def fresh_database(name: str) -> str:
    """An empty database of that name, with the counters' extensions."""
    drop_database(name)
    sql = Sql()
    sql.script(f'CREATE DATABASE "{name}"')
    sql.close()
    sql = Sql(name)
    sql.script("CREATE EXTENSION pg_stat_statements; CREATE EXTENSION pg_walinspect")
    sql.script("CHECKPOINT")
    sql.close()
    return name


def drop_database(name: str) -> None:
    """Remove it, whoever is connected; nothing when it is not there."""
    sql = Sql()
    sql.script(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    sql.close()


def server_cpu() -> float:
    """CPU seconds of the servers' processes so far, also of those that ended."""
    total = 0.0
    for server in os.environ.get(SERVERS_VARIABLE, "").split():
        first, *children = descendants(int(server))
        total += cpu_seconds(first, with_ended_children=True) + sum(cpu_seconds(child) for child in children)
    return total


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Counters at one moment. `wal` is a position in the write-ahead log, in bytes."""

    at: float
    cpu: float
    statements: int
    wal: int


class Counters:
    """What was done to a database of the server between two snapshots; nothing is counted without one."""

    def __init__(self, database: str | None) -> None:
        self.sql = Sql(database) if database else None

    def snapshot(self) -> Snapshot:
        if self.sql is None:
            return Snapshot(now(), 0, 0, 0)
        statements = self.sql.one(
            "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid "
            "WHERE d.datname = current_database()"
        )
        wal = self.sql.one("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")
        return Snapshot(now(), server_cpu(), int(statements), int(wal))

    def per_unit(self, before: Snapshot, after: Snapshot, units: int) -> dict[str, float]:
        """Commits (COMMIT records in the WAL: exact, where the statistics lag), statements, bytes and CPU per unit."""
        if self.sql is None:
            return {}
        return {
            "commits": round(self._commits(before, after) / units, 4),
            # Two statements are the snapshot's own.
            "statements": round(max(after.statements - before.statements - 2, 0) / units, 4),
            "wal_bytes": round((after.wal - before.wal) / units),
            "server_cpu_ms": round((after.cpu - before.cpu) * 1000 / units, 4),
        }

    def _commits(self, before: Snapshot, after: Snapshot) -> int:
        assert self.sql is not None
        self.sql.rows("SELECT txid_current()")  # a commit of our own: everything up to `after` is on disk
        found = self.sql.one(
            # An insert position may lie behind a page's header that nobody has written yet.
            "SELECT count FROM pg_get_wal_stats('0/0'::pg_lsn + %s::numeric, "
            "least('0/0'::pg_lsn + %s::numeric, pg_current_wal_flush_lsn()), true) "
            "WHERE \"resource_manager/record_type\" = 'Transaction/COMMIT'",
            before.wal,
            after.wal,
        )
        return int(found or 0)

    def top(self, most: int = 12) -> list[list[Any]]:
        """The most frequent statements: calls, milliseconds, text."""
        if self.sql is None:
            return []
        rows = self.sql.rows(
            "SELECT calls, round(total_exec_time::numeric, 1)::float, "
            "regexp_replace(left(query, 200), '\\s+', ' ', 'g') "
            "FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid "
            "WHERE d.datname = current_database() ORDER BY calls DESC LIMIT %s",
            most,
        )
        return [list(row) for row in rows]

    def close(self) -> None:
        if self.sql is not None:
            self.sql.close()
