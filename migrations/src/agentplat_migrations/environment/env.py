"""Alembic's environment: upgrades on the connection that it is handed, in that connection's transaction."""

from __future__ import annotations

from alembic import context

from agentplat_migrations.schema import comparison, wanted

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=wanted(connection), **comparison(connection))
with context.begin_transaction():
    context.run_migrations()
