"""What a strategy is told: options of a block and of its steps, held against the schemas that the strategy gives."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from agentplat.contracts.specs import StrategySpec
from agentplat.domain.json import JsonObject, JsonValue
from agentplat.language.nodes import Node
from agentplat.language.references import Scope, check_template, refuse_expressions
from agentplat.language.schema import faults
from agentplat.language.syntax import OPEN


@dataclass(frozen=True, slots=True)
class Told:
    """The options that one schema allows. Without a schema, whatever stands under `options` is taken as it is."""

    strategy: str = ""
    schema: JsonObject | None = None
    expressions: Collection[str] = ()
    reserved: Collection[str] = ()  # keys that mean something else in this place

    @property
    def keys(self) -> frozenset[str]:
        """The options that may stand as keys of their own."""
        return frozenset(self._properties) - frozenset(self.reserved)

    @property
    def _properties(self) -> Mapping[str, JsonValue]:
        properties = self.schema.get("properties") if self.schema is not None else None
        return properties if isinstance(properties, Mapping) else {}

    def read(self, node: Node, *, from_map: bool = True, lenient: bool = False) -> dict[str, JsonValue]:
        """What `node` says, by the name of the option. Faults are reported; `lenient` lets unknown names pass."""
        found = self.places(node, from_map=from_map)
        for name, place in found.items():
            self._check(name, place, lenient=lenient)
        required = self.schema.get("required") if self.schema is not None else None
        for name in required if isinstance(required, list | tuple) else ():
            if name not in found:
                node.refuse("missing_option", f"strategy `{self.strategy}` needs `{name}` here")
        return {name: place.value for name, place in found.items()}

    def places(self, node: Node, *, from_map: bool = True) -> dict[str, Node]:
        """Where the options stand, by their names."""
        found: dict[str, Node] = {}
        options = node["options"]
        if from_map and options.value is not None and options.is_map():
            found = {child.key: child for child in options.items()}
        for child in node.items():
            if child.key in self.keys and child.value is not None:
                if child.key in found:
                    child.refuse_key("two_keys", f"`{child.key}` stands in `options` as well", "keep one")
                found[child.key] = child
        return found

    def check_expressions(self, node: Node, scope: Scope, *, from_map: bool = True) -> None:
        """Report what is wrong with the expressions that stand in options, those that have no place there included."""
        for name, place in self.places(node, from_map=from_map).items():
            if name in self.expressions:
                check_template(place, scope)
            else:
                refuse_expressions(place)

    def _check(self, name: str, place: Node, *, lenient: bool) -> None:
        if self.schema is None:
            return
        known = self._properties.get(name)
        if known is None:
            if not lenient and self.schema.get("additionalProperties") is not True:
                hint = place.diagnostics.nearest(name, self._properties)
                place.refuse_key("unknown_option", f"strategy `{self.strategy}` takes no `{name}` here", hint)
            return
        if _has_expressions(place.value):  # they are checked, or refused, as such
            return
        for pointer, reason in faults(known if isinstance(known, Mapping) else {}, place.value)[:5]:
            where = f" at {pointer}" if pointer else ""
            place.refuse("invalid_option", f"`{name}`{where} does not fit: {reason}")


def told_of(spec: StrategySpec | None, reserved: Collection[str]) -> Told:
    """What a block of the strategy may be told."""
    return Told() if spec is None else Told(spec.name, spec.options, spec.expressions, reserved)


def told_of_steps(spec: StrategySpec | None, reserved: Collection[str]) -> Told:
    """What a step of such a block may be told."""
    return Told() if spec is None else Told(spec.name, spec.step_options, spec.expressions, reserved)


def _has_expressions(value: JsonValue) -> bool:
    match value:
        case str():
            return OPEN in value
        case Mapping():
            return any(map(_has_expressions, value.values()))
        case list() | tuple():
            return any(map(_has_expressions, value))
        case _:
            return False
