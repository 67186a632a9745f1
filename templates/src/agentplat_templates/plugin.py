"""What agentplat-templates offers to agentplat."""

from __future__ import annotations

from agentplat import CommandSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_commands() -> list[CommandSpec]:
    """The commands that write something to begin with."""
    return [
        CommandSpec(
            name="init",
            help="Write a project: an agent, a tool, a workflow, settings.",
            target="agentplat_templates.init:init",
        ),
        CommandSpec(
            name="new",
            help="Write a plugin package of your own, complete with tests.",
            target="agentplat_templates.new:new",
        ),
    ]
