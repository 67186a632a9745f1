"""The upgrade at the start of every process: without Alembic where there is nothing to do, which is nearly always."""

from __future__ import annotations

from sqlalchemy import Connection, inspect, text

from agentplat.store.tables import REVISION, SCHEMA, VERSION_TABLE
from agentplat_migrations.connection import looking


def upgrade(url: str) -> None:
    """Bring the database to the newest revision, as `agentplat_migrations.schema.upgrade` does."""
    with looking(url) as connection:
        if connection is not None and _revision(connection) == REVISION:
            return
    from agentplat_migrations import schema

    schema.upgrade(url)


def _revision(connection: Connection) -> str | None:
    schema = SCHEMA if connection.dialect.name == "postgresql" else None
    if not inspect(connection).has_table(VERSION_TABLE, schema=schema):
        return None
    table = f"{schema}.{VERSION_TABLE}" if schema else VERSION_TABLE
    found: str | None = connection.execute(text(f"SELECT version_num FROM {table}")).scalar_one_or_none()  # noqa: S608 - our own names
    return found
