"""Reads `sql/*.sql`: the statements that carry an argument about concurrency, one file each, for both databases.

A file begins with a comment that states purpose, parameters, result, invariant and index. The statement is written
for PostgreSQL. On SQLite a writing transaction is alone from its first moment (BEGIN IMMEDIATE), so what takes locks on
rows is left out there. Lines that end with `-- postgresql` or `-- sqlite` are for that database only; the rest is for
both, with two replacements for SQLite: no schema, and its own clock.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from agentplat.store.address import Dialect

SQLITE_CLOCK = "(CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER) * 1000)"
"""Microseconds since 1970, in whole milliseconds, which is what the floor, SQLite 3.40, can tell."""

CHANNEL = "agentplat"
"""Where PostgreSQL carries hints: the channel of `notify.sql`."""

_FOLDER = Path(__file__).parent / "sql"


@cache
def statement(name: str, dialect: Dialect) -> str:
    """The statement of `sql/<name>.sql`, with `:name` for each parameter."""
    return said_to(dialect, (_FOLDER / f"{name}.sql").read_text(encoding="utf-8"))


def said_to(dialect: Dialect, written: str) -> str:
    """What a database of this kind is told of a statement that is written for both."""
    other = "-- postgresql" if dialect == "sqlite" else "-- sqlite"
    lines = written.splitlines()
    kept = [line.partition("--")[0].rstrip() for line in lines if not line.rstrip().endswith(other)]
    text = "\n".join(line for line in kept if line)
    if dialect == "sqlite":
        text = text.replace("agentplat.", "").replace("clock_timestamp()", SQLITE_CLOCK)
    return text
