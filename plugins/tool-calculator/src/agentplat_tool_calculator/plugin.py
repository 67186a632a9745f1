"""What agentplat-tool-calculator offers to agentplat."""

from __future__ import annotations

from agentplat import Effect, ToolSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_tools() -> list[ToolSpec]:
    """The tool `calculator`."""
    return [
        ToolSpec(
            name="calculator",
            description="Evaluates one arithmetic expression exactly, for example (17.5 + 3) * 2**10 / 7.",
            factory="agentplat_tool_calculator.tool:Calculator",
            effect=Effect.PURE,
        )
    ]
