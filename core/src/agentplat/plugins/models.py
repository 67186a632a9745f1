"""Which model answers: the one that was named, else the configured provider of highest rank."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from agentplat.contracts.model import ModelProviderSpec
from agentplat.domain.errors import SettingsInvalid


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A provider and one of its models; as text, `provider:model`."""

    provider: ModelProviderSpec
    model: str

    def __str__(self) -> str:
        return f"{self.provider.name}:{self.model}"


def named_model(spec: Callable[[str], ModelProviderSpec], text: str) -> ModelChoice:
    """The choice that `provider:model`, or `provider` alone, names. A model's own name may hold further colons."""
    name, colon, model = text.strip().partition(":")
    provider = spec(name)
    if colon and not model:
        raise SettingsInvalid(
            f"The model {text!r} has a colon but no model. Write {name!r} alone for {name}:{provider.default_model}."
        )
    return ModelChoice(provider, model or provider.default_model)


def choose_model(providers: Iterable[ModelProviderSpec], env: Mapping[str, str]) -> ModelChoice:
    """The configured, automatic provider of highest rank, with its default model. SettingsInvalid for none or two."""
    automatic = [spec for spec in providers if spec.automatic]
    configured = [spec for spec in automatic if all(env.get(variable) for variable in spec.requires)]
    if not configured:
        wanted = "; ".join(f"{spec.name} needs {', '.join(spec.requires)}" for spec in automatic)
        raise SettingsInvalid(
            "No model provider is configured"
            + (f" ({wanted})" if wanted else ": no installed plugin offers one that is chosen by itself")
            + ". Set AGENTPLAT_MODEL=provider:model, or the variables that a provider needs."
        )
    best = max(spec.rank for spec in configured)
    first, *others = (spec for spec in configured if spec.rank == best)
    if others:
        names = ", ".join(spec.name for spec in (first, *others))
        raise SettingsInvalid(
            f"The model providers {names} are configured and of one rank. Say which: AGENTPLAT_MODEL=provider:model."
        )
    return ModelChoice(first, first.default_model)
