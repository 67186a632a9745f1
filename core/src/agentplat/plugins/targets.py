"""From the path in a spec to the object that it names: imported at first use, checked against its contract."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any, TypeVar, cast

from agentplat.contracts.agent import Agent, AgentSpec
from agentplat.contracts.model import ModelProvider, ModelProviderSpec
from agentplat.contracts.specs import StrategySpec
from agentplat.contracts.tool import Tool, ToolSpec
from agentplat.domain.errors import AgentplatError
from agentplat.domain.strategy import Strategy
from agentplat.plugins.foreign import attempt
from agentplat.plugins.offers import Offer, OfferInvalid

T = TypeVar("T")


def load_target(target: str) -> Any:
    """The object that `module:name` names. OfferInvalid when it cannot be had, for whatever reason."""
    found, reason = attempt(lambda: resolve_name(target))
    if reason is not None:
        raise OfferInvalid(f"{target} cannot be imported: {reason}")
    return found


def make_agent(offer: Offer[AgentSpec]) -> Agent[Any, Any]:
    """A new instance of the agent. OfferInvalid when the class is not what the spec says."""
    spec = offer.spec
    if spec.prompt is not None:
        return _made(spec.factory, Agent, {"entry": spec.prompt})
    agent = _made(spec.factory, Agent)
    if not offer.renamed:
        _agree(spec.factory, "name", agent, spec.name)
        _agree(spec.factory, "tools", agent, spec.tools)
    return agent


def make_tool(offer: Offer[ToolSpec]) -> Tool[Any, Any]:
    """A new instance of the tool. OfferInvalid when the class is not what the spec says."""
    spec = offer.spec
    tool = _made(spec.factory, Tool)
    if not offer.renamed:
        _agree(spec.factory, "name", tool, spec.name)
    _agree(spec.factory, "effect", tool, spec.effect)
    return tool


def make_strategy(offer: Offer[StrategySpec]) -> Strategy:
    """A new instance of the strategy. OfferInvalid when the class is not what the spec says."""
    strategy = _made(offer.spec.factory, Strategy)
    _agree(offer.spec.factory, "name", strategy, offer.spec.name)
    if type(strategy.revision) is not int or strategy.revision < 1:
        raise OfferInvalid(f"{offer.spec.factory} has the revision {strategy.revision!r}; it is a number from 1 on.")
    return strategy


def make_model_provider(offer: Offer[ModelProviderSpec]) -> ModelProvider:
    """A new provider. OfferInvalid when the factory fails or gives something else."""
    spec = offer.spec
    provider = _called(spec.factory, load_target(spec.factory), spec.options)
    for method in ("complete", "aclose"):
        if not inspect.iscoroutinefunction(getattr(provider, method, None)):
            raise OfferInvalid(f"{spec.factory} gave {type(provider).__name__!r}, which has no `async def {method}`.")
    return cast("ModelProvider", provider)


def load_class(target: str, contract: type[T]) -> type[T]:
    """The subclass of `contract` that `module:Class` names. OfferInvalid when it is something else."""
    found = load_target(target)
    if not (inspect.isclass(found) and issubclass(found, contract) and found is not contract):
        raise OfferInvalid(f"{target} is not a subclass of agentplat.{contract.__name__}.")
    return found


def _made(target: str, contract: type[T], arguments: Mapping[str, object] | None = None) -> T:
    return cast("T", _called(target, load_class(target, contract), arguments or {}))


def _called(target: str, factory: Any, arguments: Mapping[str, object]) -> object:
    made, reason = attempt(lambda: factory(**arguments), let_through=AgentplatError)
    if reason is not None:
        raise OfferInvalid(f"{target} cannot be made: {reason}")
    return made


def _agree(target: str, field: str, made: object, expected: object) -> None:
    said = getattr(made, field, None)
    if said != expected:
        raise OfferInvalid(f"{target} has {field} {said!r}, but its spec says {expected!r}.")
