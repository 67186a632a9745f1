"""Input schemas of agents and tools, as they hold for steps: any value may be an expression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agentplat.domain.json import JsonObject, JsonValue
from agentplat_analysis.schema.keys import EXPRESSION

_ONE = ("items", "additionalProperties", "not", "contains")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS = ("properties", "patternProperties")


def for_steps(name: str, schema: JsonObject) -> tuple[JsonObject, JsonObject]:
    """The schema of `input`, and definitions that it refers to; `name` keeps them apart from those of others."""
    own, definitions = loose(name, schema)
    return _any_value(own), definitions


def loose(name: str, schema: JsonObject) -> tuple[JsonObject, JsonObject]:
    """The same for an input that is written out.

    Nothing is required: a model may take a field by several names, of which a schema knows one.
    """
    local = schema.get("$defs")
    definitions = local if isinstance(local, Mapping) else {}
    prefix = f"#/definitions/{name}."
    whole = {key: value for key, value in schema.items() if key not in ("$defs", "$schema", "title")}
    return _loose(whole, prefix), {
        f"{name}.{key}": _loose(value, prefix) for key, value in definitions.items() if isinstance(value, Mapping)
    }


def _loose(schema: Mapping[str, JsonValue], prefix: str) -> JsonObject:
    """The schema with expressions allowed for whatever is inside of its value."""
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("required", "title"):
            continue
        if key == "$ref" and isinstance(value, str):
            found[key] = value.replace("#/$defs/", prefix)
        elif key in _ONE and isinstance(value, Mapping):
            found[key] = _any_value(_loose(value, prefix))
        elif key in _LISTS and isinstance(value, list | tuple):
            found[key] = [_loose(each, prefix) if isinstance(each, Mapping) else each for each in value]
        elif key in _MAPS and isinstance(value, Mapping):
            found[key] = {
                name: _any_value(_loose(each, prefix)) if isinstance(each, Mapping) else each
                for name, each in value.items()
            }
        else:
            found[key] = value
    return found


def _any_value(schema: JsonObject) -> JsonObject:
    said = schema.get("description")
    described = {"description": said} if isinstance(said, str) else {}
    return {**described, "anyOf": [{key: value for key, value in schema.items() if key != "description"}, EXPRESSION]}
