"""What agentplat-migrations offers to agentplat."""

from __future__ import annotations

from agentplat import CommandSpec, MigrationSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_migrations() -> list[MigrationSpec]:
    """The migrations of the core's own tables."""
    return [
        MigrationSpec(
            name="core",
            upgrade="agentplat_migrations.at_start:upgrade",
            current="agentplat_migrations.schema:current",
        )
    ]


@hookimpl
def agentplat_commands() -> list[CommandSpec]:
    """The command `agentplat db`."""
    return [
        CommandSpec(
            name="db",
            help="Upgrade the database, or say how it stands.",
            target="agentplat_migrations.cli:app",
        )
    ]
