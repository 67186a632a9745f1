"""What agentplat-analysis offers to agentplat."""

from __future__ import annotations

from agentplat import AnalysisSpec, CommandSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_analyses() -> list[AnalysisSpec]:
    """What the server says of workflows: `bounds`, `check`, `graph`, `picture` and `schema`."""
    described = {
        "bounds": "The worst case: steps, calls, tokens, money, time.",
        "check": "What the schemas of agents and tools tell of a workflow.",
        "graph": "A workflow as a Mermaid diagram.",
        "picture": "A workflow as a picture (SVG).",
        "schema": "The JSON Schema of workflow files.",
    }
    return [
        AnalysisSpec(name=name, description=text, target=f"agentplat_analysis.offered:{name}")
        for name, text in described.items()
    ]


@hookimpl
def agentplat_commands() -> list[CommandSpec]:
    """The commands `workflows bounds`, `workflows graph` and `workflows schema`."""
    return [
        CommandSpec(
            name="workflows_bounds",
            help="The worst case: steps, calls, tokens, money, time.",
            target="agentplat_analysis.commands:bounds",
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
