"""What is installed, ready to be shown."""

from __future__ import annotations

from collections.abc import Sequence

from agentplat.contracts.interface import Description
from agentplat.domain.errors import AgentplatError, WorkflowInvalid
from agentplat.domain.json import JsonValue
from agentplat.domain.workflow import AgentCall, Block, Step, ToolCall
from agentplat.engine.catalog import Catalog
from agentplat.engine.definitions import Definitions
from agentplat.engine.steps.invocation import input_schema


def describe_agents(catalog: Catalog) -> Sequence[Description]:
    """Every agent, with its config, its tools and the model that its entry names."""
    return [
        Description(
            name=spec.name,
            description=spec.description,
            values={"config": dict(spec.config), "tools": list(spec.tools), "model": spec.model},
        )
        for spec in catalog.agents
    ]


def describe_tools(catalog: Catalog) -> Sequence[Description]:
    """A tool whose class cannot be loaded is listed with the reason in place of its schema."""
    described = []
    for spec in catalog.tools:
        values: dict[str, JsonValue] = {"effect": spec.effect.value}
        try:
            values["schema"] = input_schema(catalog.tool(spec.name))
        except AgentplatError as error:
            values |= {"schema": {"type": "object"}, "fault": error.detail}
        described.append(Description(name=spec.name, description=spec.description, values=values))
    return described


def describe_workflows(catalog: Catalog, definitions: Definitions) -> Sequence[Description]:
    """A workflow whose file is invalid is listed with its diagnostics, and without steps."""
    described = []
    for spec in catalog.workflows:
        values: dict[str, JsonValue] = {"file": spec.file, "demo": spec.demo}
        try:
            workflow = definitions.workflow(catalog, spec.name)
        except AgentplatError as error:
            values |= {"strategy": None, "max_iterations": None, "steps": [], "fault": error.detail}
            described.append(Description(name=spec.name, description="", values=values))
            continue
        values |= {
            "strategy": workflow.root.strategy,
            "max_iterations": workflow.root.max_iterations,
            "steps": [_step(catalog, step) for step in workflow.root.steps],
            "input": workflow.input_schema,
        }
        if kept := definitions.faults(catalog, spec.name):
            # It is what was last good of it; its file says something else by now, and that is at fault.
            values["fault"] = "The last good version stays in use. " + WorkflowInvalid(kept).detail
        described.append(Description(name=workflow.name, description=workflow.description, values=values))
    return described


def _step(catalog: Catalog, step: Step | Block) -> dict[str, JsonValue]:
    tools: list[JsonValue] = []
    agent: str | None = None
    if isinstance(step, Step) and isinstance(step.body, AgentCall):
        agent = step.body.agent
        tools = list(catalog.agents.spec(agent).tools) if agent in catalog.agents else []
    elif isinstance(step, Step) and isinstance(step.body, ToolCall):
        tools = [step.body.tool]
    return {"name": step.name, "agent_type": agent, "description": step.description, "tools": tools}
