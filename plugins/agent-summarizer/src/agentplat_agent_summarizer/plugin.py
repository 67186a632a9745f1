"""What agentplat-agent-summarizer offers to agentplat."""

from __future__ import annotations

from agentplat import AgentSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_agents() -> list[AgentSpec]:
    """The agent `summarizer`."""
    return [
        AgentSpec(
            name="summarizer",
            description="Shortens a text and lists its key points.",
            factory="agentplat_agent_summarizer.agent:SummarizerAgent",
        )
    ]
