"""Registries: one frozen map per kind from name to spec, and the instances that were made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic

from agentplat.contracts.agent import Agent, AgentSpec
from agentplat.contracts.interface import InterfaceSpec
from agentplat.contracts.model import ModelProvider, ModelProviderSpec
from agentplat.contracts.specs import (
    AnalysisSpec,
    CheckSpec,
    CommandSpec,
    MigrationSpec,
    StrategySpec,
    Subject,
    WorkflowSpec,
)
from agentplat.contracts.tool import Tool, ToolSpec
from agentplat.domain.errors import UnknownName
from agentplat.domain.json import JsonValue
from agentplat.domain.strategy import Strategy
from agentplat.plugins import targets
from agentplat.plugins.instances import Instances
from agentplat.plugins.models import ModelChoice, choose_model, named_model
from agentplat.plugins.offers import KINDS, Offer, OfferInvalid, Spec, SpecT, fault, kind_of


class Registry(Generic[SpecT]):
    """What is known of one kind, by name. Never changes; iterates over the specs in the order of their names."""

    __slots__ = ("_offers", "kind")

    def __init__(self, kind: str, offers: Iterable[Offer[SpecT]] = ()) -> None:
        self.kind = kind
        self._offers = {offer.spec.name: offer for offer in sorted(offers, key=lambda offer: offer.spec.name)}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._offers)

    def spec(self, name: str) -> SpecT:
        """The spec of that name. UnknownName, with the known names, when there is none."""
        return self.offer(name).spec

    def offer(self, name: str) -> Offer[SpecT]:
        """The spec of that name with its origin. UnknownName, with the known names, when there is none."""
        try:
            return self._offers[name]
        except KeyError:
            raise UnknownName(self.kind, name, self.names) from None

    def __contains__(self, name: object) -> bool:
        return name in self._offers

    def __iter__(self) -> Iterator[SpecT]:
        return (offer.spec for offer in self._offers.values())

    def __len__(self) -> int:
        return len(self._offers)

    def __repr__(self) -> str:
        return f"Registry({self.kind!r}: {', '.join(self._offers) or 'empty'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Registries:
    """One registry per kind, and one instance per process and configuration of what they name.

    A generation is a value: a reload makes another one. Both share `instances`, so what did not change is kept.
    """

    agents: Registry[AgentSpec] = field(default=Registry("agent"))
    tools: Registry[ToolSpec] = field(default=Registry("tool"))
    strategies: Registry[StrategySpec] = field(default=Registry("strategy"))
    model_providers: Registry[ModelProviderSpec] = field(default=Registry("model provider"))
    interfaces: Registry[InterfaceSpec] = field(default=Registry("interface"))
    workflows: Registry[WorkflowSpec] = field(default=Registry("workflow"))
    convergence_checks: Registry[CheckSpec] = field(default=Registry("convergence check"))
    analyses: Registry[AnalysisSpec] = field(default=Registry("analysis"))
    commands: Registry[CommandSpec] = field(default=Registry("command"))
    migrations: Registry[MigrationSpec] = field(default=Registry("migration"))
    instances: Instances = field(default_factory=Instances, repr=False)

    def agent(self, name: str) -> Agent[Any, Any]:
        """The kept instance. UnknownName, or OfferInvalid when its class is not what the spec says."""
        offer = self.agents.offer(name)
        return self.instances.kept("agent", offer.spec, lambda: targets.make_agent(offer))

    def fresh_agent(self, name: str) -> Agent[Any, Any]:
        """Another instance, kept by nobody."""
        return targets.make_agent(self.agents.offer(name))

    def pinned_agent(self, spec: AgentSpec) -> Agent[Any, Any]:
        """The kept instance for a spec that may be in no registry: one that a task was submitted with."""
        offer = Offer(spec, "pinned", renamed=True)
        return self.instances.kept("agent", spec, lambda: targets.make_agent(offer))

    def tool(self, name: str) -> Tool[Any, Any]:
        """The kept instance. UnknownName, or OfferInvalid when its class is not what the spec says."""
        offer = self.tools.offer(name)
        return self.instances.kept("tool", offer.spec, lambda: targets.make_tool(offer))

    def fresh_tool(self, name: str) -> Tool[Any, Any]:
        """Another instance, kept by nobody."""
        return targets.make_tool(self.tools.offer(name))

    def strategy(self, name: str) -> Strategy:
        """The kept instance. UnknownName, or OfferInvalid when its class is not what the spec says."""
        offer = self.strategies.offer(name)
        return self.instances.kept("strategy", offer.spec, lambda: targets.make_strategy(offer))

    def check(self, name: str) -> Callable[[JsonValue, Mapping[str, JsonValue]], bool]:
        """The convergence check of that name."""
        return self.convergence_checks.spec(name).check

    def analysis(self, name: str) -> Callable[[Subject], JsonValue]:
        """The analysis of that name, over all that is here. OfferInvalid when its module cannot be loaded."""
        asked: Callable[[Registries, Subject], JsonValue] = targets.load_target(self.analyses.spec(name).target)
        return lambda subject: asked(self, subject)

    def model_provider(self, name: str) -> ModelProvider:
        """The kept provider, shared by all generations; `aclose` ends it."""
        offer = self.model_providers.offer(name)
        return self.instances.kept("model provider", offer.spec, lambda: targets.make_model_provider(offer))

    def model(self, text: str) -> ModelChoice:
        """The choice that `provider:model`, or `provider` alone, names. UnknownName for an unknown provider."""
        return named_model(self.model_providers.spec, text)

    def default_model(self, env: Mapping[str, str], named: str | None = None) -> ModelChoice:
        """What `named` names; without it, the automatic provider of highest rank whose variables `env` has.

        SettingsInvalid when none is configured, or when two are of one rank: where prompts go is not left to chance.
        """
        return self.model(named) if named else choose_model(self.model_providers, env)

    async def aclose(self) -> None:
        """Close every model provider that was made, in this and in all other generations."""
        await self.instances.aclose()


class RegistryBuilder:
    """Collects offers, and gives frozen registries. For plugins, projects, code and tests alike."""

    def __init__(self, base: Registries | None = None) -> None:
        """Begin with what `base` has, and share its instances."""
        self._base = base or Registries()
        self._offers: dict[str, dict[str, Offer[Any]]] = {
            kind.field: {name: registry.offer(name) for name in registry.names}
            for kind in KINDS
            for registry in (getattr(self._base, kind.field),)
        }

    def register(self, spec: Spec, *, origin: str = "code", renamed: bool = False) -> None:
        """Add a spec. OfferInvalid when it is unfit, or when its name is taken and it does not say `replaces`."""
        kind = kind_of(spec)
        reason = fault(spec)
        if reason is not None:
            raise OfferInvalid(f"{type(spec).__name__}: {reason}.")
        taken = self._offers[kind.field].get(spec.name)
        if taken is not None and not getattr(spec, "replaces", False):
            raise OfferInvalid(
                f"{kind.word.capitalize()} {spec.name!r} is offered by {taken.origin} already."
                + (" Say `replaces: true` to replace it." if hasattr(spec, "replaces") else "")
            )
        self._offers[kind.field][spec.name] = Offer(spec, origin, renamed)

    def build(self) -> Registries:
        built: dict[str, Registry[Any]] = {
            kind.field: Registry(kind.word, self._offers[kind.field].values()) for kind in KINDS
        }
        return Registries(**built, instances=self._base.instances)
