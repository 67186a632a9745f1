"""W6 for agentplat: a million rows by copying one of its own, so that columns it gets later are filled too.

Ids are UUIDv7 in the order of the copies, as those of real submissions are.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from harness.database import Sql

Overrides = dict[str, str]
"""Column to the SQL expression that stands in place of the template's value; `g` is the number of the copy."""

_WAITING: dict[str, Overrides] = {"tasks": {}, "queue": {}, "journal": {}}
_FINISHED: dict[str, Overrides] = {
    "tasks": {"status": "'done'", "output": "'{}'", "finished_at": "updated_at"},
    "journal": {},
}
_MILLISECONDS_BACK = 100_000_000  # copies are older than what is submitted from now on
_AT_ONCE = 500_000


def copy_postgres(sql: Sql, waiting: int, finished: int) -> None:
    """Copies of the only task of a PostgreSQL database."""
    start = int(sql.one("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")) - _MILLISECONDS_BACK
    for count, tables in ((waiting, _WAITING), (finished, _FINISHED)):
        for first in range(1, count + 1, _AT_ONCE):
            last = min(first + _AT_ONCE - 1, count)
            for table, overrides in tables.items():
                rows = sql.rows(
                    "SELECT column_name FROM information_schema.columns "
                    "WHERE table_schema = 'agentplat' AND table_name = %s AND is_generated = 'NEVER'",
                    table,
                )
                source = f"(SELECT * FROM agentplat.{table} ORDER BY 1 DESC LIMIT 1) AS template"
                numbers = f"generate_series({first}, {last}) AS g"
                sql.script(
                    _insert(
                        f"agentplat.{table}", [str(name) for (name,) in rows], overrides, _uuid(start), source, numbers
                    )
                )
        start += count


def copy_sqlite(file: Path, waiting: int, finished: int) -> None:
    """Copies of the only task of an SQLite database."""
    with closing(sqlite3.connect(file, timeout=60)) as connection:
        start = int(connection.execute("SELECT unixepoch('now') * 1000").fetchone()[0]) - _MILLISECONDS_BACK
        for count, tables in ((waiting, _WAITING), (finished, _FINISHED)):
            if count == 0:
                continue
            for table, overrides in tables.items():
                names = [str(row[1]) for row in connection.execute(f"PRAGMA table_info({table})")]
                source = f"(SELECT * FROM {table} ORDER BY 1 DESC LIMIT 1) AS template"
                counted = f"SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < {count}"
                numbers = f"(WITH RECURSIVE s (g) AS ({counted}) SELECT g FROM s)"
                uuid = f"printf('%012x7%03x8%015x', {start} + g, g % 4096, g)"
                connection.execute(_insert(table, names, overrides, uuid, source, numbers))
            connection.commit()
            start += count


def _uuid(start: int) -> str:
    """Of the copy `g`; PostgreSQL's."""
    time, rest = f"lpad(to_hex({start} + g), 12, '0')", "lpad(to_hex(g), 15, '0')"
    return f"({time} || '7' || lpad(to_hex(g % 4096), 3, '0') || '8' || {rest})::uuid"


def _insert(table: str, names: list[str], overrides: Overrides, uuid: str, source: str, numbers: str) -> str:
    """The newest row of the table is the template: the copies are older."""
    key = "id" if table.endswith("tasks") else "task_id"
    values = [overrides.get(name, uuid if name == key else f'template."{name}"') for name in names]
    columns = ", ".join(f'"{name}"' for name in names)
    return f"INSERT INTO {table} ({columns}) SELECT {', '.join(values)} FROM {source}, {numbers}"
