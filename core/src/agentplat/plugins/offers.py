"""The kinds of things that can be offered, and what makes one unfit to be registered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import Field, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from agentplat.contracts.agent import AgentSpec
from agentplat.contracts.interface import InterfaceSpec
from agentplat.contracts.model import ModelProviderSpec
from agentplat.contracts.specs import AnalysisSpec, CheckSpec, CommandSpec, MigrationSpec, StrategySpec, WorkflowSpec
from agentplat.contracts.tool import Effect, ToolSpec
from agentplat.domain.errors import UsageError
from agentplat.domain.json import unstorable


class OfferInvalid(UsageError):
    """What was offered cannot be used: a wrong spec, a class that is missing, broken or of the wrong type."""

    code = "offer_invalid"


class Spec(Protocol):
    """What all specs have in common."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def name(self) -> str: ...


SpecT = TypeVar("SpecT", bound=Spec)
SpecT_co = TypeVar("SpecT_co", bound=Spec, covariant=True)


@dataclass(frozen=True, slots=True)
class Kind:
    word: str  # as an error says it: `Agent 'x' not found`
    field: str  # the registry's name, and the hook's after `agentplat_`
    spec: type[Spec]

    @property
    def hook(self) -> str:
        return f"agentplat_{self.field}"


KINDS = (
    Kind("agent", "agents", AgentSpec),
    Kind("tool", "tools", ToolSpec),
    Kind("strategy", "strategies", StrategySpec),
    Kind("model provider", "model_providers", ModelProviderSpec),
    Kind("interface", "interfaces", InterfaceSpec),
    Kind("workflow", "workflows", WorkflowSpec),
    Kind("convergence check", "convergence_checks", CheckSpec),
    Kind("analysis", "analyses", AnalysisSpec),
    Kind("command", "commands", CommandSpec),
    Kind("migration", "migrations", MigrationSpec),
)
_KIND_OF: dict[type[object], Kind] = {kind.spec: kind for kind in KINDS}
_FIELDS: dict[type[object], tuple[str, ...]] = {
    kind.spec: tuple(field.name for field in fields(kind.spec)) for kind in KINDS
}


def kind_of(spec: object) -> Kind:
    """The kind of a spec. OfferInvalid for what is no spec."""
    kind = _KIND_OF.get(type(spec))
    if kind is None:
        known = ", ".join(kind.spec.__name__ for kind in KINDS)
        raise OfferInvalid(f"{spec!r} is a {type(spec).__name__}, not one of {known}.")
    return kind


@dataclass(frozen=True, slots=True)
class Offer(Generic[SpecT_co]):
    """A spec and where it comes from."""

    spec: SpecT_co
    origin: str  # for people: `plugin agent-summarizer`, `agents/greeter.py`, `agents.yaml:3`, `code`
    renamed: bool = False  # an entry gave the name, so the class may have another


_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_PREFIX = re.compile(r"/|(/[A-Za-z0-9._~-]+)+")
_TARGETS = ("factory", "target", "upgrade", "current")
_TEXTS = ("description", "help", "default_model")
_VALUES = ("config", "options", "prompt")
_NAMES = ("tools", "requires")


def fault(spec: Spec) -> str | None:
    """Why the spec cannot be registered, in a few words; None when it can.

    Annotations are not enforced on a frozen record, and a wrong one would strike long after its plugin was accepted.
    """
    name: object = spec.name
    if not (isinstance(name, str) and _NAME.fullmatch(name)):
        return f"name {name!r} does not match ^[a-z][a-z0-9_]*$"
    found = next(filter(None, (_field_fault(spec, field) for field in _FIELDS[type(spec)])), None)
    return f"{spec.name!r}: {found}" if found else None


def _field_fault(spec: Spec, field: str) -> str | None:
    value: object = getattr(spec, field)
    if field in _TARGETS and not (isinstance(value, str) and _TARGET.fullmatch(value)):
        return f"{field} {value!r} is not of the form 'module:name'"
    if field in _TEXTS and not isinstance(value, str):
        return f"{field} {value!r} is not text"
    if field in _NAMES and not (isinstance(value, tuple) and all(isinstance(name, str) for name in value)):
        return f"{field} {value!r} is not a tuple of names"
    if field in _VALUES and value is not None and (wrong := _value_fault(value)):
        return f"{field} {wrong}"
    match field:
        case "effect" if not isinstance(value, Effect):
            return f"effect {value!r} is not an Effect"
        case "check" if not callable(value):
            return f"check {value!r} cannot be called"
        case "file" if not (isinstance(value, str) and Path(value).is_absolute() and Path(value).is_file()):
            return f"file {value!r} is not the absolute path of a file"
        case "prefix" if not (isinstance(value, str) and _PREFIX.fullmatch(value)):
            return f"prefix {value!r} is not '/' or a path such as '/ui'"
        case "rank" if not isinstance(value, int):
            return f"rank {value!r} is not a whole number"
    return None


def _value_fault(value: object) -> str | None:
    if not isinstance(value, Mapping):
        return f"{value!r} is not a mapping"
    wrong = unstorable(value)
    return f"{wrong[0]} {wrong[1]}".strip() if wrong else None
