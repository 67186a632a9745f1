"""What agentplat-testkit offers to agentplat."""

from __future__ import annotations

from agentplat import AnalysisSpec, CommandSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_analyses() -> list[AnalysisSpec]:
    """What `workflows simulate` tells, for the server."""
    return [
        AnalysisSpec(
            name="simulation",
            description="A workflow, played with scripted outputs and failures.",
            target="agentplat_testkit.timelines.offered:simulation",
        )
    ]


@hookimpl
def agentplat_commands() -> list[CommandSpec]:
    """The command `workflows simulate`."""
    return [
        CommandSpec(
            name="workflows_simulate",
            help="Play a workflow with scripted outputs and failures.",
            target="agentplat_testkit.timelines.simulate:simulate",
        )
    ]
