"""What agentplat-tool-web-search offers to agentplat."""

from __future__ import annotations

from agentplat import Effect, ToolSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_tools() -> list[ToolSpec]:
    """The tool `web_search`."""
    return [
        ToolSpec(
            name="web_search",
            description="Searches the web; returns titles, addresses and descriptions of the best pages.",
            factory="agentplat_tool_web_search.tool:WebSearch",
            effect=Effect.READS,
        )
    ]
