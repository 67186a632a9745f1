"""What the engine asks of the registries: names, specs, and the objects behind them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from agentplat.contracts.agent import Agent, AgentSpec
from agentplat.contracts.model import ModelProvider, ModelProviderSpec
from agentplat.contracts.specs import AnalysisSpec, CheckSpec, StrategySpec, Subject, WorkflowSpec
from agentplat.contracts.tool import Tool, ToolSpec
from agentplat.domain.json import JsonValue
from agentplat.domain.state import State
from agentplat.domain.strategy import Strategy
from agentplat.domain.workflow import SINGLE, AgentCall, Block, ToolCall, leaves, nodes

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


def missing(catalog: Catalog, root: Block, pinned: Mapping[str, AgentSpec], revisions: Mapping[str, int]) -> str | None:
    """What the block needs and this process lacks, in words; None when it can be worked on here.

    `revisions`: the least of each strategy that will do, where that is not the first.
    """
    for step in leaves(root):
        if step.dispatch is not None:
            continue  # whoever works on the child has to have it
        match step.body:
            case AgentCall(agent) if agent not in pinned and agent not in catalog.agents:
                return f"this worker has no agent {agent!r}"
            case ToolCall(tool) if tool not in catalog.tools:
                return f"this worker has no tool {tool!r}"
            case _:
                continue
    for block in blocks(root):
        lacking = _lacking(catalog, block.strategy, revisions.get(block.strategy, 1))
        if lacking is not None:
            return lacking
        if block.convergence_check is not None and block.convergence_check not in catalog.convergence_checks:
            return f"this worker has no convergence check {block.convergence_check!r}"
    return None


def outgrown(catalog: Catalog, state: State, pinned: Mapping[str, AgentSpec]) -> str | None:
    """The same of what came with the history: rules of newer revisions, and steps that were planned elsewhere."""
    for path in state.open_blocks:
        block, node = state.blocks[path], state.node(path)
        planned = block.node is not None and missing(catalog, block.node, pinned, {})
        if planned:
            return planned
        if isinstance(node, Block) and block.revision > 1:
            lacking = _lacking(catalog, node.strategy, block.revision)
            if lacking is not None:
                return lacking
    return None


def _lacking(catalog: Catalog, strategy: str, revision: int) -> str | None:
    if strategy not in catalog.strategies:
        return f"this worker has no strategy {strategy!r}"
    if revision > 1 and (here := catalog.strategy(strategy).revision) < revision:
        return f"this worker has revision {here} of the strategy {strategy!r}, and the task needs {revision}"
    return None


def blocks(block: Block) -> Iterator[Block]:
    """The block and all blocks below it that a strategy coordinates."""
    found = (block, *(node for node in nodes(block) if isinstance(node, Block)))
    return (each for each in found if each.strategy != SINGLE and each.foreach is None)
