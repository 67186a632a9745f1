"""Bringing a database's schema to the newest revision, and comparing it with the tables of this version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.schema import CreateSchema

from agentplat.domain.errors import SchemaOutdated
from agentplat.store.tables import SCHEMA, VERSION_TABLE, metadata
from agentplat.store.transactions import partitions
from agentplat_migrations.connection import changing, looking

_ENVIRONMENT = Path(__file__).parent / "environment"
_PARTITIONS = f"SELECT relname FROM pg_class WHERE relispartition AND relnamespace = to_regnamespace('{SCHEMA}')"  # noqa: S608
_DIVIDED = """
    SELECT c.relname FROM pg_class AS c JOIN pg_partitioned_table AS p ON p.partrelid = c.oid
    WHERE c.relnamespace = to_regnamespace(:schema) AND p.partdefid <> 0"""


def upgrade(url: str) -> None:
    """Bring the database to the newest revision, and make the partitions of the months ahead.

    Any number of processes may do so at once: one does it, in one transaction, the others wait and find it done.
    """
    with changing(url) as connection:
        make_schema(connection)
        try:
            command.upgrade(config(connection), "head")
        except CommandError as error:
            raise SchemaOutdated(_newer_than_us(connection)) from error
        if connection.dialect.name == "postgresql":
            partitions.make_missing(connection)


def current(url: str) -> tuple[str | None, str]:
    """The database's revision, None before the first, and the newest one."""
    with looking(url) as connection:
        found = None if connection is None else _revision(connection)
        return found, newest()


def differences(url: str) -> list[str]:
    """In what the database differs from the tables of this version; empty when it is as it should be."""
    with looking(url) as connection:
        if connection is None:
            return ["there is no database"]
        context = MigrationContext.configure(connection, opts=comparison(connection))
        found = [_in_words(difference) for difference in compare_metadata(context, wanted(connection))]
        return found + (_undivided(connection) if connection.dialect.name == "postgresql" else [])


def newest() -> str:
    """The newest revision of this version."""
    head = ScriptDirectory(str(_ENVIRONMENT)).get_current_head()
    assert head is not None
    return head


def config(connection: Connection | None = None) -> Config:
    """Alembic's configuration; commands use `connection` and its transaction."""
    settings = Config()
    settings.set_main_option("script_location", str(_ENVIRONMENT))
    settings.attributes["connection"] = connection
    return settings


def make_schema(connection: Connection) -> None:
    """Make the schema of our tables, where there are schemas: Alembic's own table is in it, so no revision can."""
    if connection.dialect.name == "postgresql":
        connection.execute(CreateSchema(SCHEMA, if_not_exists=True))


def wanted(connection: Connection) -> MetaData:
    """The tables as they should be in this database: SQLite has no schemas."""
    if connection.dialect.name == "postgresql":
        return metadata
    plain = MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.sorted_tables:
        # None is documented to mean the schema of `plain`, which has none; the annotation leaves it out.
        table.to_metadata(plain, schema=None)  # type: ignore[arg-type]
    return plain


def comparison(connection: Connection) -> dict[str, Any]:
    """How Alembic looks at this database: our schema only, without partitions, and our version table."""
    schema = SCHEMA if connection.dialect.name == "postgresql" else None
    parts = set(connection.scalars(text(_PARTITIONS))) if schema is not None else set()

    def is_included(name: str | None, kind: str, _parents: object) -> bool:
        return name == schema if kind == "schema" else kind != "table" or name not in parts

    return {
        "version_table": VERSION_TABLE,
        "version_table_schema": schema,
        "include_schemas": schema is not None,
        "include_name": is_included,
        "compare_type": True,
        "compare_server_default": schema is not None,  # SQLite shows no identity
    }


def _undivided(connection: Connection) -> list[str]:
    """What Alembic does not compare: tables that should have partitions."""
    divided = set(connection.scalars(text(_DIVIDED), {"schema": SCHEMA}))
    return [f"no_partitions {table}" for table in partitions.TABLES if table not in divided]


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection, opts=comparison(connection)).get_current_revision()


def _newer_than_us(connection: Connection) -> str:
    return (
        f"The database has revision {_revision(connection)} of the schema, this version knows revisions up to "
        f"{newest()} only. A newer version of agentplat upgraded it: update this one."
    )


def _in_words(difference: object) -> str:
    """Alembic's tuples, without the objects in them: `add_column agentplat tasks ...`."""
    parts = difference[0] if isinstance(difference, list) else difference
    assert isinstance(parts, tuple)
    return " ".join(str(getattr(part, "name", part)) for part in parts if part is not None)
