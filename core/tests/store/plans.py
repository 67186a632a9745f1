"""What PostgreSQL makes of the statements that the store really sends."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, LiteralString, cast
from uuid import UUID

import psycopg
from agentplat_migrations.connection import changing
from agentplat_migrations.schema import upgrade
from sqlalchemy import event, text

from agentplat.contracts.store import Store
from agentplat.store.address import Address
from agentplat.store.postgres import Postgres, connect_options, settings
from agentplat.store.script import Script, columns_of, with_places
from agentplat.store.sql_store import SqlStore
from agentplat.store.statements import statement
from agentplat.store.transactions import partitions

MANY = 30_000
"""So many tasks that reading all of them is never the better plan."""

FILL = f"""
with made as (
    select n, ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as id, timestamptz '2026-01-01' as at,
           n % 100 = 0 as ready, n % 100 = 1 as parked, n % 100 = 2 as suspect, n % 100 = 3 as owned
    from generate_series(1, {MANY}) as n
), filled_queue as (
    insert into agentplat.queue (task_id, tenant_id, queue, concurrency_key, priority, run_at, ready, wake, worker_id,
                                 claim_id, fence, under_way, suspect, crashes)
    select id, 'north', 'default', '', n % 3, case when ready or suspect or parked then at end, ready or suspect, false,
           case when owned then ('01900000-0000-4000-8000-' || lpad(to_hex(n % 50), 12, '0'))::uuid end,
           case when owned then id end, 1, false, suspect, 0
    from made where n > {MANY} / 2
), filled_journal as (
    insert into agentplat.journal (task_id, seq, tenant_id, fence, at, kind, content)
    select id, seq, 'north', 1, at, 'task_submitted', '{{"type": "agent:x", "input": {{}}}}'
    from made, generate_series(1, 3) as seq
), filled_audit as (
    insert into agentplat.audit (tenant_id, at, actor, action, task_id, content)
    select 'north', at, 'api', 'task_submitted', id, '{{}}' from made
), filled_inbox as (
    insert into agentplat.inbox (task_id, number, id, tenant_id, kind, key, name, payload, at)
    select id, number, id, 'north', 'signal', 'key' || number, 'go', 'null'::jsonb, at
    from made, generate_series(1, 3) as number where n > {MANY} / 2 and (owned or ready)
    union all select id, 4, id, 'north', 'signal', 'key4', 'go', 'null'::jsonb, at from made where n <= 5000
), filled_submissions as (
    insert into agentplat.submissions (tenant_id, key, task_id, created_at)
    select 'north', 'key' || n, id, at from made
), filled_definitions as (
    insert into agentplat.definitions (hash, tenant_id, name, document, created_at)
    select 'hash' || n, 'north', 'name' || n, '{{}}', at from made where n < 5000
), filled_calls as (
    insert into agentplat.calls (task_id, path, try_number, number, tenant_id, kind, name, status, content,
                                 input_tokens, output_tokens, fence, at)
    select id, 'step', 1, 1, 'north', 'model', 'm', 'finished', '{{}}', 0, 0, 1, at from made
)
insert into agentplat.tasks (id, tenant_id, type, status, input, user_hash, trace_id, input_tokens, output_tokens,
                             created_at, updated_at, finished_at)
select id, 'tenant' || n % 200, 'agent:' || n % 200, case when n > {MANY} / 2 then 'open' else 'done' end, '{{}}',
       'user' || n % 1000, '0', 0, 0, at, at + n * interval '1 second', case when n > {MANY} / 2 then null else at end
from made
"""


def filled_and_analyzed(url: str) -> None:
    """A database with many tasks, whose statistics are fresh."""
    _fill(url, "analyze")


def filled_without_statistics(url: str) -> None:
    """A database with many tasks of which the planner knows nothing."""
    _fill(url)


def filled_behind_statistics(url: str) -> None:
    """A database with many tasks, which the planner believes to be empty: it was, when somebody looked."""
    _fill(url, unseen=True)


def _fill(url: str, *statements: LiteralString, unseen: bool = False) -> None:
    upgrade(url)
    libpq = Address.parse(url).libpq
    with psycopg.connect(libpq, autocommit=True) as connection, psycopg.connect(libpq) as filling:
        stored = connection.execute(
            "select oid::regclass::text from pg_class where relnamespace = 'agentplat'::regnamespace and relkind = 'r'"
        )
        for [name] in stored.fetchall():
            connection.execute(f"alter table {name} set (autovacuum_enabled = off)".encode())
        filling.execute(FILL.encode())
        if unseen:
            connection.execute("analyze")
        filling.commit()
        for each in statements:
            connection.execute(each)


def divided_at(url: str, end: UUID) -> None:
    """Journal and calls as if their first partition had ended at `end`."""
    with changing(url) as connection:
        for table in partitions.TABLES:
            parent, first = f"agentplat.{table}", partitions.present(connection, table)[0].name
            year = f"agentplat.{table}_until_2025"
            for statement in (
                f"alter table {parent} detach partition agentplat.{first}",
                f"alter table agentplat.{first} rename to {table}_until_2025",
                f"alter index agentplat.{first}_pkey rename to {table}_until_2025_pkey",
                f"alter table {parent} attach partition {year} for values from (minvalue) to ('{end}')",
            ):
                connection.execute(text(statement))
        partitions.make_missing(connection)


class Plans:
    """Records the statements of a store, and explains them."""

    def __init__(self, store: Store, url: str) -> None:
        database = cast(Postgres, cast(SqlStore, store)._database)
        self._database, self._engine = database, database._engine.sync_engine
        self._connection = psycopg.connect(
            Address.parse(url).libpq, autocommit=True, **connect_options(Address.parse(url), "plans", settings())
        )

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def recorded(self, setting: LiteralString = "select") -> Iterator[list[str]]:
        """The plans of what was sent in the block, each the text of EXPLAIN with its statement.

        `setting` is what the statements' own transaction sets.
        """
        sent: list[tuple[str, Any]] = []

        def remember(_c: object, _cursor: object, text: str, parameters: Any, _x: object, many: bool) -> None:
            sent.append((text, parameters[0] if many else parameters))

        def overheard(script: Script[Any]) -> Script[Any]:
            asked = next(script)
            while True:
                sent.extend((_named(each.name), columns_of(each)) for each in asked.statements)
                answers = yield asked
                try:
                    asked = script.send(answers)
                except StopIteration as end:
                    return end.value

        plans: list[str] = []
        conduct = self._database.conduct
        event.listen(self._engine, "before_cursor_execute", remember)
        self._database.conduct = lambda script, hints=(): conduct(overheard(script), hints)  # type: ignore[method-assign]
        try:
            yield plans
        finally:
            event.remove(self._engine, "before_cursor_execute", remember)
            self._database.conduct = conduct  # type: ignore[method-assign]
        self._connection.execute(setting)
        plans += [self._explained(text, parameters) for text, parameters in sent]

    def generic(self, name: str, *arguments: str) -> str:
        """The plan of `sql/<name>.sql` made without looking at its parameters, as a prepared statement gets it.

        `arguments` are SQL, in the order in which the parameters first appear.
        """
        text = with_places(name, "postgresql")
        with self._connection.transaction(force_rollback=True):
            self._connection.execute("set local plan_cache_mode = force_generic_plan")
            self._connection.execute(f"prepare asked as {text}".encode())
            given = f"({', '.join(arguments)})" if arguments else ""
            plan = self._rows(f"explain execute asked{given}")
            self._connection.execute("deallocate asked")
        return f"{text}\n\n{plan}"

    def _explained(self, text: str, parameters: Any) -> str:
        with self._connection.transaction(force_rollback=True):
            return f"{text}\n\n{self._rows(f'explain {text}', parameters)}"

    def _rows(self, text: str, parameters: Any = None) -> str:
        return "\n".join(row[0] for row in self._connection.execute(text.encode(), parameters))


def _named(name: str) -> str:
    """The statement as a cursor of psycopg takes it."""
    return re.sub(r"(?<!:):([a-z_]+)", r"%(\1)s", statement(name, "postgresql").replace("%", "%%"))


def scans(plans: Sequence[str], *, allowed: Sequence[str] = ()) -> list[str]:
    """The plans that read a whole table which grows with the tasks. An empty partition costs nothing."""
    grows = {"tasks", "queue", "journal", "calls", "audit", "inbox", "submissions", "definitions"} - set(allowed)
    reading = re.compile(rf"Seq Scan on ({'|'.join(sorted(grows))})(?![^(\n]*\(cost=0\.00\.\.0\.00 )")
    return [plan for plan in plans if reading.search(plan)]


def walks(plans: Sequence[str]) -> list[str]:
    """The plans that go through the whole of an index, because they look for nothing in it."""
    walking = re.compile(r"Index (?:Only )?Scan using \w+ on (?:tasks|queue|journal|calls)\w*\b.*\n(?! *Index Cond: )")
    return [plan for plan in plans if walking.search(f"{plan}\n")]
