"""What an installation offers, with the input schemas of its agents, tools and workflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agentplat import AgentplatError
from agentplat.engine.steps.invocation import input_schema
from agentplat_analysis.reading import known_workflow
from agentplat_analysis.schema.document import Known, Offers

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentplat.domain.json import JsonObject
    from agentplat.plugins.registry import Registries


def offers_of(registries: Registries) -> Offers:
    """All of it. An agent or tool whose class cannot be loaded is known by its name only."""
    return Offers(
        agents=[Known(spec.name, spec.description, _input(registries.agent, spec.name)) for spec in registries.agents],
        tools=[Known(spec.name, spec.description, _input(registries.tool, spec.name)) for spec in registries.tools],
        workflows=[_workflow(registries, spec.name) for spec in registries.workflows],
        strategies=list(registries.strategies),
        checks=[Known(spec.name, spec.description) for spec in registries.convergence_checks],
    )


def _workflow(registries: Registries, name: str) -> Known:
    workflow = known_workflow(registries, name)
    return (
        Known(name, workflow.description, workflow.input_schema) if workflow is not None else Known(name, "At fault.")
    )


def _input(made: Callable[[str], Any], name: str) -> JsonObject | None:
    try:
        return input_schema(made(name))
    except AgentplatError:
        return None
