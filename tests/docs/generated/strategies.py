"""What each strategy may be told, from the schemas that it offers."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from agentplat import StrategySpec
from agentplat.plugins.host import load_plugins

from .tables import code, table


def options() -> dict[str, Callable[[], str]]:
    """A region `options-<strategy>` for every strategy that says its options."""
    offered = load_plugins().registries.strategies
    return {f"options-{spec.name}": partial(_options, spec) for spec in offered if spec.options is not None}


def _options(spec: StrategySpec) -> str:
    rows = [
        *((code(name), "block", *_meaning(schema)) for name, schema in _properties(spec.options)),
        *((code(name), "step", *_meaning(schema)) for name, schema in _properties(spec.step_options)),
    ]
    if not rows:
        return "It has none of its own."
    return table(("key", "of", "values", "meaning"), rows)


def _properties(schema: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from (schema or {}).get("properties", {}).items()


def _meaning(schema: Mapping[str, Any]) -> tuple[str, str]:
    return _values(schema), schema.get("description", "")


def _values(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(code(word) for word in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_values(one) for one in schema["anyOf"])
    match schema.get("type"):
        case "object":
            names = ", ".join(schema.get("properties", {}))
            return code(f"{{{names}: ...}}") if names else "a map"
        case "array":
            return "a list"
        case "integer" | "number" as kind:
            least, most = schema.get("minimum"), schema.get("maximum")
            words = "a whole number" if kind == "integer" else "a number"
            return words + (
                f", {least} to {most}" if most is not None else f" from {least}" if least is not None else ""
            )
        case "boolean":
            return "true, false"
        case "string":
            return "a text"
        case _:
            return "an expression"
