"""What agentplat-agent-research offers to agentplat."""

from __future__ import annotations

from agentplat import AgentSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_agents() -> list[AgentSpec]:
    """The agent `research`."""
    return [
        AgentSpec(
            name="research",
            description="Searches documents for a topic and composes findings with their sources.",
            factory="agentplat_agent_research.agent:ResearchAgent",
            tools=("document_search", "web_search"),
        )
    ]
