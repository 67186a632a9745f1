"""Alembic environment and revisions of agentplat's tables, and the command `agentplat db`."""
