"""What agentplat-doctor offers to agentplat."""

from __future__ import annotations

from agentplat import CommandSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_commands() -> list[CommandSpec]:
    """The command `agentplat doctor`."""
    return [
        CommandSpec(
            name="doctor",
            help="Check every promise on the database, as it is now.",
            target="agentplat_doctor.cli:doctor",
        )
    ]
