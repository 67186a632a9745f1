"""A hand that writes into the tables past everything that keeps them in order, and the drills that use it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, create_engine, func, insert, inspect, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.pool import NullPool

from agentplat.domain.ids import TaskId
from agentplat.store.columns import clock
from agentplat.store.tables import SCHEMA, journal

from .healthy import TASKS


@dataclass(frozen=True)
class Hand:
    """Every statement is a transaction of its own."""

    connection: Connection
    url: str

    @property
    def is_sqlite(self) -> bool:
        return self.connection.dialect.name == "sqlite"

    @property
    def file(self) -> Path:
        """Of an SQLite database."""
        return Path(str(make_url(self.url).database))

    @property
    def now(self) -> datetime:
        found: datetime = self.connection.execute(select(clock())).scalar_one()
        return found

    def ago(self, **time: float) -> datetime:
        return self.now - timedelta(**time)

    def do(self, statement: Any) -> None:
        """Execute it. It has to strike: a drill that changes nothing proves nothing."""
        result = self.connection.execute(statement)
        assert result.is_insert or result.rowcount > 0, statement

    def say(self, words: str) -> None:
        """Execute SQL as it is."""
        self.connection.execute(text(words))

    def forge(self, task: str, seq: int, kind: str | None = None, **content: Any) -> None:
        """Change the kind of an event, or some of what it holds."""
        here = (journal.c.task_id == TASKS[task]) & (journal.c.seq == seq)
        row = self.connection.execute(select(journal).where(here)).one()
        self.do(update(journal).where(here).values(kind=kind or row.kind, content={**row.content, **content}))

    def append(self, task: str, kind: str, **content: Any) -> None:
        """One more event, under the last fence."""
        mine = journal.c.task_id == TASKS[task]
        last = select(func.max(journal.c.seq)).where(mine).scalar_subquery()
        row = self.connection.execute(select(journal).where(mine, journal.c.seq == last)).one()
        values = {**row._mapping, "seq": row.seq + 1, "kind": kind, "content": content}
        self.do(insert(journal).values(**values))

    def unbind(self, table: str) -> None:
        """Take the table's constraints away, as whoever restores a backup carelessly may."""
        if self.is_sqlite:
            self.say("PRAGMA ignore_check_constraints = ON")
            return
        for constraint in inspect(self.connection).get_check_constraints(table, schema=SCHEMA):
            self.say(f"ALTER TABLE {SCHEMA}.{table} DROP CONSTRAINT {constraint['name']}")


@contextmanager
def hand(url: str) -> Iterator[Hand]:
    """A hand in the database at `url`."""
    plain = make_url(url).difference_update_query(["pooled"])
    plain = plain.set(drivername="sqlite" if plain.drivername.startswith("sqlite") else "postgresql+psycopg")
    schemas = {SCHEMA: None} if plain.drivername == "sqlite" else {}
    options = {} if schemas else {"prepare_threshold": None}  # there may be a pooler between
    engine = create_engine(plain, poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=options)
    with engine.connect().execution_options(schema_translate_map=schemas) as connection:
        yield Hand(connection, url)
    engine.dispose()


Dialect = Literal["postgresql", "sqlite"]
Strike = Callable[[Hand], Sequence[str] | None]
"""Breaks something, and says the ids of what is broken; None where the drill names a task."""


@dataclass(frozen=True)
class Drill:
    """How one predicate is broken, and no other one but `also`."""

    code: str
    strike: Strike
    task: str | None
    also: frozenset[str]
    dialects: Sequence[Dialect]

    @property
    def name(self) -> str:
        return f"{self.code}-{self.strike.__name__}"


DRILLS: list[Drill] = []


def drill(
    code: str,
    task: str | None = None,
    *,
    also: Sequence[str] = (),
    dialects: Sequence[Dialect] = ("postgresql", "sqlite"),
) -> Callable[[Strike], Strike]:
    """Puts the function into the list of drills. `task` is the one that it breaks."""

    def listed(strike: Strike) -> Strike:
        DRILLS.append(Drill(code, strike, task, frozenset(also), dialects))
        return strike

    return listed


def at(task: str, seq: int) -> Any:
    """The condition for one event."""
    return (journal.c.task_id == TASKS[task]) & (journal.c.seq == seq)


def id_of(task: str) -> TaskId:
    return TASKS[task]
