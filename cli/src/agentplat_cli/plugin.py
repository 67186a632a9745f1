"""What agentplat-cli offers to agentplat."""

from __future__ import annotations

from agentplat import CommandSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_commands() -> list[CommandSpec]:
    """The commands that submit, watch and show."""
    return [
        CommandSpec(
            name="approvals",
            help="List and answer what tasks ask people.",
            target="agentplat_cli.approvals:app",
        ),
        CommandSpec(
            name="demo",
            help="Show what agentplat does, over your documents; no key.",
            target="agentplat_cli.demo:demo",
        ),
        CommandSpec(
            name="limits",
            help="List, set and remove limits, and the weights of tenants.",
            target="agentplat_cli.limits:app",
        ),
        CommandSpec(
            name="run",
            help="Submit a task, wait for it, and print what came of it.",
            target="agentplat_cli.run:run",
        ),
        CommandSpec(
            name="schedules",
            help="List, put, pause and backfill what runs by itself.",
            target="agentplat_cli.schedules.commands:app",
        ),
        CommandSpec(
            name="tasks",
            help="List, show, signal, cancel, retry and fork tasks.",
            target="agentplat_cli.tasks:app",
        ),
        CommandSpec(name="why", help="Say why a task stands where it stands.", target="agentplat_cli.why:why"),
        CommandSpec(
            name="workflows", help="List, validate and compare workflows.", target="agentplat_cli.workflows:app"
        ),
    ]
