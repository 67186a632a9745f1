import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
from agentplat_migrations import schema
from agentplat_migrations.connection import changing, looking
from sqlalchemy import inspect, text

from agentplat.domain.errors import SchemaOutdated, SettingsInvalid, StoreUnavailable
from agentplat.store.connect import open_store
from agentplat.store.tables import REVISION

UPGRADE = "import sys; from agentplat_migrations.schema import upgrade; upgrade(sys.argv[1])"
DIE = """
import os, signal, sys
from alembic import command
from agentplat_migrations import schema
from agentplat_migrations.connection import changing

with changing(sys.argv[1]) as connection:
    schema.make_schema(connection)
    command.upgrade(schema.config(connection), "head")
    os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_an_upgraded_database_can_be_opened(database_url: str) -> None:
    assert schema.current(database_url) == (None, REVISION)
    await asyncio.to_thread(schema.upgrade, database_url)
    assert schema.current(database_url) == (REVISION, REVISION)
    store = open_store(database_url)
    await store.open()
    await store.close()


def test_upgrading_again_changes_nothing(upgraded_url: str) -> None:
    with changing(upgraded_url) as connection:
        prefix = "agentplat." if connection.dialect.name == "postgresql" else ""
        insert = f"insert into {prefix}submissions values ('t', 'k', null, '{'0' * 32}', :at)"
        connection.execute(text(insert), {"at": 0 if not prefix else "2026-01-01"})
    schema.upgrade(upgraded_url)
    with looking(upgraded_url) as connection:
        assert connection is not None
        assert connection.execute(text(f"select count(*) from {prefix}submissions")).scalar() == 1


async def test_any_number_of_processes_may_upgrade_at_once(database_url: str) -> None:
    command = [sys.executable, "-c", UPGRADE, database_url]
    processes = [await asyncio.create_subprocess_exec(*command) for _ in range(4)]
    assert [await process.wait() for process in processes] == [0] * 4
    assert schema.differences(database_url) == []


def test_a_new_file_that_another_process_makes_meanwhile_is_waited_for(tmp_path: Path) -> None:
    """SQLite refuses at once, whatever its busy timeout, to make a WAL for a file that another connection writes."""
    file = tmp_path / "new.db"
    with closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
        other.execute("begin immediate")
        over = threading.Timer(0.5, other.execute, ["commit"])
        over.start()
        schema.upgrade(f"sqlite:///{file}")
        over.join()
    assert schema.differences(f"sqlite:///{file}") == []


def test_an_upgrade_that_is_killed_leaves_nothing_and_can_be_repeated(database_url: str) -> None:
    killed = subprocess.run([sys.executable, "-c", DIE, database_url], check=False)
    assert killed.returncode == -signal.SIGKILL
    with looking(database_url) as connection:
        assert connection is not None
        name = "agentplat" if connection.dialect.name == "postgresql" else None
        assert name is None or name not in inspect(connection).get_schema_names()
        assert inspect(connection).get_table_names(schema=name) == []
    schema.upgrade(database_url)
    assert schema.differences(database_url) == []


def test_a_database_of_a_newer_version_is_left_alone(upgraded_url: str) -> None:
    with changing(upgraded_url) as connection:
        prefix = "agentplat." if connection.dialect.name == "postgresql" else ""
        connection.execute(text(f"update {prefix}alembic_version_core set version_num = '9999'"))
    with pytest.raises(SchemaOutdated, match=r"revision 9999.*newer version of agentplat"):
        schema.upgrade(upgraded_url)
    assert schema.current(upgraded_url) == ("9999", REVISION)


def test_looking_at_a_file_that_is_not_there_does_not_make_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/deep/er/new.db"
    assert schema.current(url) == (None, REVISION)
    assert schema.differences(url) == ["there is no database"]
    assert list(tmp_path.iterdir()) == []
    schema.upgrade(url)
    assert schema.current(url) == (REVISION, REVISION)


def test_a_database_that_does_not_answer_is_unavailable_and_its_password_stays_hidden() -> None:
    with pytest.raises(StoreUnavailable) as away:
        schema.upgrade("postgresql://user:secret@/none?host=/nowhere")
    assert "secret" not in str(away.value)
    with pytest.raises(SettingsInvalid):
        schema.upgrade("mysql://user:secret@host/name")


async def test_sqlite_is_left_with_a_journal_that_lets_readers_read(sqlite_url: str) -> None:
    schema.upgrade(sqlite_url)
    with looking(sqlite_url) as connection:
        assert connection is not None
        assert connection.execute(text("pragma journal_mode")).scalar() == "wal"
