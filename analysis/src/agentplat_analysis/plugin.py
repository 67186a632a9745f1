"""What agentplat-analysis offers to agentplat."""

from __future__ import annotations

from agentplat import CommandSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_commands() -> list[CommandSpec]:
    """The commands `workflows bounds`, `workflows check`, `workflows graph` and `workflows schema`."""
    return [
        CommandSpec(
            name="workflows_bounds",
            help="The worst case: steps, calls, tokens, money, time.",
            target="agentplat_analysis.commands:bounds",
        ),
        CommandSpec(
            name="workflows_check",
            help="What the schemas of agents and tools tell of a workflow.",
            target="agentplat_analysis.commands:check",
        ),
        CommandSpec(
            name="workflows_graph",
            help="A workflow as a Mermaid diagram, or as a picture.",
            target="agentplat_analysis.commands:graph",
        ),
        CommandSpec(
            name="workflows_schema",
            help="The JSON Schema of workflow files, for editors.",
            target="agentplat_analysis.commands:schema",
        ),
    ]
