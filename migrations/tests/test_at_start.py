"""The upgrade that every process makes at its start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from agentplat_migrations import at_start, schema
from agentplat_migrations.connection import changing
from sqlalchemy import text

from agentplat.domain.errors import SchemaOutdated, StoreUnavailable
from agentplat.store.tables import SCHEMA, VERSION_TABLE

PROGRAM = """
import sys
from agentplat_migrations.at_start import upgrade
upgrade(sys.argv[1])
print("alembic" in sys.modules)
"""


def imports_alembic(url: str) -> str:
    command = [sys.executable, "-c", PROGRAM, url]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_new_database_is_brought_to_the_newest_revision(database_url: str) -> None:
    at_start.upgrade(database_url)
    assert schema.current(database_url) == (schema.newest(), schema.newest())


def test_alembic_is_imported_only_when_there_is_something_to_do(database_url: str) -> None:
    assert imports_alembic(database_url) == "True"
    assert imports_alembic(database_url) == "False"


def test_a_database_of_a_newer_version_is_refused(upgraded_url: str) -> None:
    with changing(upgraded_url) as connection:
        prefix = f"{SCHEMA}." if connection.dialect.name == "postgresql" else ""
        connection.execute(text(f"UPDATE {prefix}{VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(SchemaOutdated, match="9999"):
        at_start.upgrade(upgraded_url)


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Not a database. " * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        at_start.upgrade(f"sqlite:///{file}")
    assert file.read_text() == "Not a database. " * 100
