"""How long `agentplat doctor` takes for a million finished tasks.

    python benchmarks/examination.py                        # PostgreSQL and SQLite, a million tasks each: some minutes
    python benchmarks/examination.py sqlite --tasks 100000

A worker runs a few tasks of a workflow with two agents and their model calls. They are copied, with everything that
belongs to them, under new ids. Then the database is examined three times. Ends with 1 when the quickest of them took
longer than ten seconds a million, or when a promise is broken, which a copy of what holds cannot be.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from agentplat_doctor.checks import examine
from agentplat_migrations.schema import upgrade
from agentplat_testkit.postgres import PostgresServer
from uuid_utils.compat import uuid7

from agentplat.contracts.interface import Submission
from agentplat.runtime.app import open_platform
from agentplat.runtime.settings import load_settings
from agentplat.store.tables import audit, calls, journal, submissions, tasks

TEMPLATES = 10
LOOKS = 3
SECONDS_A_MILLION = 10.0
CHUNK = 50_000
MADE = sa.Table("made", sa.MetaData(), sa.Column("id", sa.Uuid, primary_key=True), sa.Column("of", sa.Uuid))


async def run_some(folder: Path, url: str) -> Sequence[UUID]:
    """A few tasks, run by a real worker to their end."""
    environment = {"AGENTPLAT_DATABASE_URL": url, "AGENTPLAT_IDENTITY__KEY": "of the benchmark"}
    os.environ |= {**environment, "AGENTPLAT_LOG__LEVEL": "warning"}
    async with open_platform(load_settings(folder)) as platform:
        client = platform.client()
        command = [sys.executable, "-P", "-m", "agentplat.runtime.cli", "worker"]
        worker = await asyncio.create_subprocess_exec(*command, cwd=folder, start_new_session=True)
        try:
            submitted = [
                await client.submit(
                    Submission(type="workflow:simple_sequential", input={"topic": "tea"}, idempotency_key=f"key {n}")
                )
                for n in range(TEMPLATES)
            ]
            for task in submitted:
                while not (await client.task(task.id)).status.is_terminal:
                    await asyncio.sleep(0.1)
        finally:
            worker.terminate()
            await worker.wait()
    return [task.id for task in submitted]


def copy(engine: sa.Engine, templates: Sequence[UUID], count: int) -> None:
    """`count` more tasks like those."""
    with engine.begin() as connection:
        MADE.create(connection)
        for first in range(0, count, CHUNK):
            rows = [
                {"id": UUID(str(uuid7())), "of": templates[n % len(templates)]}
                for n in range(first, min(first + CHUNK, count))
            ]
            connection.execute(sa.insert(MADE), rows)
        for table, named in ((tasks, "id"), (journal, "task_id"), (calls, "task_id"), (audit, "task_id")):
            copied: dict[str, Any] = {
                column.name: column for column in table.columns if not (table is audit and column.name == "id")
            }
            copied[named] = MADE.c.id.label(named)
            # As a system that has worked lays them down: what belongs to a task lies together, the oldest first.
            rows_of = (
                sa.select(*copied.values())
                .join_from(MADE, table, table.columns[named] == MADE.c.of)
                .order_by(MADE.c.id, *table.primary_key.columns)
            )
            connection.execute(sa.insert(table).from_select(list(copied), rows_of))
        keyed: dict[str, Any] = {column.name: column for column in submissions.columns}
        keyed |= {"task_id": MADE.c.id.label("task_id"), "key": sa.cast(MADE.c.id, sa.Text).label("key")}
        rows_of = sa.select(*keyed.values()).join_from(MADE, submissions, submissions.c.task_id == MADE.c.of)
        rows_of = rows_of.order_by(MADE.c.id)
        connection.execute(sa.insert(submissions).from_select(list(keyed), rows_of))
        MADE.drop(connection)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(sa.text("VACUUM ANALYZE" if engine.dialect.name == "postgresql" else "ANALYZE"))


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """An empty one."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/examined.db"
        return
    with PostgresServer(durable=True) as server:
        yield server.url().replace("+psycopg", "")


def measure(kind: str, count: int) -> bool:
    """Whether it held what was promised."""
    folder = Path(tempfile.mkdtemp(prefix="examination-"))
    try:
        with database(kind, folder) as url:
            upgrade(url)
            templates = asyncio.run(run_some(folder, url))
            without_schema = {"schema_translate_map": {"agentplat": None}} if kind == "sqlite" else {}
            address = url.replace("postgresql:", "postgresql+psycopg:")
            engine = sa.create_engine(address, execution_options=without_schema)
            began = time.monotonic()
            copy(engine, templates, count - len(templates))
            with engine.connect() as connection:
                events = connection.execute(sa.select(sa.func.count()).select_from(journal)).scalar_one()
            engine.dispose()
            say(f"{kind}: {count} tasks with {events} events, made in {time.monotonic() - began:.0f} s")
            reports = [examine(url) for _ in range(LOOKS)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    taken = sorted(report.seconds for report in reports)
    broken = {finding.predicate.code for report in reports for finding in report.errors}
    held = not broken and taken[0] <= SECONDS_A_MILLION * count / 1_000_000
    seconds = ", ".join(f"{each:.1f}" for each in taken)
    say(f"{kind}: examined in {seconds} s, load {os.getloadavg()[0]:.1f}, holds {held}")
    if broken:
        say(f"{kind}: broken: {', '.join(sorted(broken))}")
    return held


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def main() -> None:
    """As the first lines of this file say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kinds", nargs="*", metavar="postgresql|sqlite")
    parser.add_argument("--tasks", type=int, default=1_000_000)
    given = parser.parse_args()
    held = [measure(kind, given.tasks) for kind in given.kinds or ("postgresql", "sqlite")]
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
