"""What agentplat-agent-assessment offers to agentplat."""

from __future__ import annotations

from agentplat import AgentSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_agents() -> list[AgentSpec]:
    """The agent `assessment`."""
    return [
        AgentSpec(
            name="assessment",
            description="Measures how far findings cover a topic and rest on their sources, and names what is missing.",
            factory="agentplat_agent_assessment.agent:AssessmentAgent",
        )
    ]
