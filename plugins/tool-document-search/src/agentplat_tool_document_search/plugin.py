"""What agentplat-tool-document-search offers to agentplat."""

from __future__ import annotations

from agentplat import Effect, ToolSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_tools() -> list[ToolSpec]:
    """The tool `document_search`."""
    return [
        ToolSpec(
            name="document_search",
            description="Finds the passages of a folder of documents that answer a query best.",
            factory="agentplat_tool_document_search.tool:DocumentSearch",
            effect=Effect.READS,
        )
    ]
