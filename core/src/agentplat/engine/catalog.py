"""What the engine asks of the registries: names, specs, and the objects behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from agentplat.contracts.agent import Agent, AgentSpec
from agentplat.contracts.model import ModelProvider, ModelProviderSpec
from agentplat.contracts.specs import AnalysisSpec, CheckSpec, StrategySpec, Subject, WorkflowSpec
from agentplat.contracts.tool import Tool, ToolSpec
from agentplat.domain.json import JsonValue
from agentplat.domain.strategy import Strategy
from agentplat.domain.workflow import SINGLE, AgentCall, Block, ToolCall, Workflow, leaves, nodes

SpecT_co = TypeVar("SpecT_co", covariant=True)


class Specs(Protocol[SpecT_co]):
    """The specs of one kind, by name."""

    @property
    def names(self) -> tuple[str, ...]: ...

    def spec(self, name: str) -> SpecT_co:
        """UnknownName when there is none."""

    def __contains__(self, name: object) -> bool: ...

    def __iter__(self) -> Iterator[SpecT_co]: ...


class Catalog(Protocol):
    """One generation of everything that is installed."""

    @property
    def agents(self) -> Specs[AgentSpec]: ...

    @property
    def tools(self) -> Specs[ToolSpec]: ...

    @property
    def strategies(self) -> Specs[StrategySpec]: ...

    @property
    def convergence_checks(self) -> Specs[CheckSpec]: ...

    @property
    def model_providers(self) -> Specs[ModelProviderSpec]: ...

    @property
    def workflows(self) -> Specs[WorkflowSpec]: ...

    @property
    def analyses(self) -> Specs[AnalysisSpec]: ...

    def agent(self, name: str) -> Agent[Any, Any]: ...

    def pinned_agent(self, spec: AgentSpec) -> Agent[Any, Any]: ...

    def tool(self, name: str) -> Tool[Any, Any]: ...

    def strategy(self, name: str) -> Strategy: ...

    def check(self, name: str) -> Callable[[JsonValue, Mapping[str, JsonValue]], bool]: ...

    def analysis(self, name: str) -> Callable[[Subject], JsonValue]: ...

    def model_provider(self, name: str) -> ModelProvider: ...


def missing(catalog: Catalog, workflow: Workflow, pinned: Mapping[str, AgentSpec]) -> str | None:
    """What the workflow needs and this process lacks, in words; None when it can be worked on here."""
    for step in leaves(workflow.root):
        if step.dispatch is not None:
            continue  # whoever works on the child has to have it
        match step.body:
            case AgentCall(agent) if agent not in pinned and agent not in catalog.agents:
                return f"this worker has no agent {agent!r}"
            case ToolCall(tool) if tool not in catalog.tools:
                return f"this worker has no tool {tool!r}"
            case _:
                continue
    for block in blocks(workflow.root):
        if block.strategy not in catalog.strategies:
            return f"this worker has no strategy {block.strategy!r}"
        if block.convergence_check is not None and block.convergence_check not in catalog.convergence_checks:
            return f"this worker has no convergence check {block.convergence_check!r}"
    return None


def blocks(block: Block) -> Iterator[Block]:
    """The block and all blocks below it that a strategy coordinates."""
    found = (block, *(node for node in nodes(block) if isinstance(node, Block)))
    return (each for each in found if each.strategy != SINGLE and each.foreach is None)
