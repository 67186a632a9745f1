"""What {{ cookiecutter.distribution }} offers.

Read at every start of agentplat, so it imports nothing heavy.
"""

from __future__ import annotations

from agentplat import AgentSpec, hookimpl

API_LEVEL = 1


@hookimpl
def agentplat_agents() -> list[AgentSpec]:
    """The agent `{{ cookiecutter.name }}`."""
    return [
        AgentSpec(
            name="{{ cookiecutter.name }}",
            description="Says in short what a text is about.",
            factory="{{ cookiecutter.package }}.agent:{{ cookiecutter.class_name }}",
        )
    ]
