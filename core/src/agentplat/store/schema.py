"""Whether the database has the schema that this version needs."""

from __future__ import annotations

from sqlalchemy import Column, MetaData, Table, Text, inspect, select
from sqlalchemy.engine import Connection

from agentplat.domain.errors import SchemaOutdated
from agentplat.store.database import OUTDATED, Transaction
from agentplat.store.tables import REVISION, SCHEMA, VERSION_TABLE

# Alembic's own table: not among ours, so that no revision makes it.
_version = Table(VERSION_TABLE, MetaData(schema=SCHEMA), Column("version_num", Text))


async def check_schema(transaction: Transaction) -> None:
    """Raises SchemaOutdated unless the database's revision is exactly the one that this version needs."""
    if not await transaction.connection.run_sync(_has_version_table):
        raise SchemaOutdated(OUTDATED.format(found=f"it has none, {REVISION} is needed"))
    found = (await transaction.connection.execute(select(_version.c.version_num))).scalar_one_or_none()
    if found == REVISION:
        return
    if found is not None and found > REVISION:
        raise SchemaOutdated(
            f"The database has revision {found} of the schema, this version knows revisions up to {REVISION} only. "
            "A newer version of agentplat upgraded it: update this one."
        )
    raise SchemaOutdated(OUTDATED.format(found=f"it has revision {found}, {REVISION} is needed"))


def _has_version_table(connection: Connection) -> bool:
    schema = SCHEMA if connection.dialect.name == "postgresql" else None
    return inspect(connection).has_table(VERSION_TABLE, schema=schema)
